"""Tests in a real browser: the report, the page of predictions, the documentation site, and MLflow's pages."""

import copy
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from auscult.datasets import simulate
from tests.workflow.harness import TOP, Project, copy_workflow
from tests.workflow.test_reruns import STUDY

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"),
]
WIDTHS = [1280, 400]
LEAST_CONTRAST = 4.5  # WCAG 2.2, level AA

# the lowest contrast of a text on the page, and its element
CONTRAST = """() => {
  const luminance = c => { const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                       return .2126 * r + .7152 * g + .0722 * b; };
  const numbers = text => (text.match(/[0-9.]+/g) || []).map(Number);
  const background = e => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor);
                          if (c.length == 3 || c[3] > .5) return c.slice(0, 3); } return [255, 255, 255]; };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("p, li, td, th, h1, h2, h3, dd, dt, a, button, figcaption, caption")) {
    if (!e.textContent.trim() || !e.offsetParent) continue;
    const text = luminance(numbers(getComputedStyle(e).color).slice(0, 3));
    const [a, b] = [text, luminance(background(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 200)];
  }
  return worst;
}"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A small study with its results, and its winner's predictions for new recordings."""
    project = copy_workflow(tmp_path_factory.mktemp("pages"))
    for name, subjects, seed in (("tiny", 24, 3), ("new", 4, 9)):
        options = simulate.Options(subjects=subjects, seed=seed, seconds=(3.0, 4.0), twins=0.0)
        simulate.fetch(project.path(f"resources/{name}"), options, lambda line: None)
    project.study("tiny", **copy.deepcopy(STUDY) | {"protocol": {"name": "group_cv", "folds": 2, "val": 0.4}})
    project.run()
    project.run("predict", config=("recordings=resources/new",))
    return project


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class BrowserPage:
    """A page in the browser, with its errors and the addresses that it requested."""

    def __init__(self, browser, **context) -> None:
        self.page = browser.new_context(**context).new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._add_console_error)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _add_console_error(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def remote_requests(self, *allowed: str) -> list[str]:
        """Requests to other machines, without addresses that begin with one of `allowed`."""
        return [url for url in self.requests if not url.startswith(("file:", "data:", "blob:", *allowed))]


def pages(project: Project) -> dict[str, Path]:
    return {
        "report": project.path("results/tiny/report.html"),
        "listening": project.path("results/tiny/listen.html"),
        "predictions": next(project.path("results/tiny/predicted").glob("*/report.html")),
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "listening", "predictions"])
def test_a_page_is_readable(project, browser, name, scheme, width):
    tab = BrowserPage(browser, viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab.page.goto(pages(project)[name].as_uri())
    assert (tab.errors, tab.remote_requests()) == ([], [])
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    without_text = (
        "[...document.querySelectorAll('img')].filter(e => !e.alt.trim()).map(e => e.outerHTML.slice(0, 100))"
    )
    assert tab.page.evaluate(without_text) == []
    ratio, element = tab.page.evaluate(CONTRAST)
    assert ratio >= LEAST_CONTRAST, element
    background = "getComputedStyle(document.body).backgroundColor"
    brightness = sum(map(float, re.findall(r"[\d.]+", tab.page.evaluate(background))[:3]))
    assert (brightness < 200) == (scheme == "dark")


@pytest.mark.parametrize("name", ["report", "listening", "predictions"])
def test_a_page_prints_dark_on_white(project, browser, name, tmp_path):
    tab = BrowserPage(browser, color_scheme="dark")
    tab.page.goto(pages(project)[name].as_uri())
    tab.page.emulate_media(media="print")
    ratio, element = tab.page.evaluate(CONTRAST)
    assert ratio >= LEAST_CONTRAST, element
    color = "getComputedStyle(document.body).color"
    assert sum(map(float, re.findall(r"[\d.]+", tab.page.evaluate(color))[:3])) < 200
    tab.page.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


@pytest.fixture
def listening(project, browser) -> BrowserPage:
    tab = BrowserPage(browser, viewport={"width": 400, "height": 800})
    tab.page.goto(pages(project)["listening"].as_uri())
    return tab


PLAYING = "player => player.currentTime > 0.3 && player.webkitAudioDecodedByteCount > 0"
CURSOR = "player => parseFloat(player.nextElementSibling.querySelector('.cursor').style.left || 0)"


def test_every_sound_plays_by_keyboard_and_its_cursor_moves(listening):
    """One after another; the one before stops."""
    players = listening.page.locator("audio")
    assert players.count() > 3
    for number in range(players.count()):
        player = players.nth(number)
        player.focus()
        listening.page.keyboard.press("Space")
        handle = player.element_handle()
        listening.page.wait_for_function(PLAYING, arg=handle, timeout=15_000)
        before = player.evaluate(CURSOR)
        assert before > 0
        listening.page.wait_for_function(f"player => ({CURSOR})(player) > {before}", arg=handle, timeout=5_000)
        playing = listening.page.evaluate("[...document.querySelectorAll('audio')].filter(a => !a.paused).length")
        assert playing == 1 and 2.5 < player.evaluate("player => player.duration") < 4.6
    assert (listening.errors, listening.remote_requests()) == ([], [])


def test_a_click_on_the_picture_moves_the_sound(listening):
    player, track = listening.page.locator("audio").first, listening.page.locator(".track").first
    box = track.bounding_box()
    track.click(position={"x": 0.75 * box["width"], "y": 10})
    listening.page.wait_for_function(
        "player => Math.abs(player.currentTime / player.duration - 0.75) < 0.02", arg=player.element_handle()
    )
    assert abs(player.evaluate(CURSOR) - 75) < 2


def test_sounds_can_be_played_higher(listening):
    listening.page.get_by_label("Play").select_option("2")
    player = listening.page.locator("audio").first
    player.focus()
    listening.page.keyboard.press("Space")
    listening.page.wait_for_function(PLAYING, arg=player.element_handle())
    assert player.evaluate("player => [player.playbackRate, player.preservesPitch]") == [2, False]


def test_cases_can_be_chosen_and_found(listening):
    visible = "[...document.querySelectorAll('.case')].filter(e => !e.hidden).map(e => e.dataset.id)"
    every = listening.page.evaluate(visible)
    listening.page.get_by_label("Show").select_option("among the least sure")
    assert len(listening.page.evaluate(visible)) == 2 < len(every)
    listening.page.get_by_label("Show").select_option("")
    listening.page.get_by_role("searchbox", name="Case").fill(every[-1])
    assert listening.page.evaluate(visible) == [every[-1]]
    listening.page.get_by_role("searchbox", name="Case").fill("no such case")
    assert listening.page.locator("#nothing").is_visible()


def test_tables_sort(project, browser):
    tab = BrowserPage(browser)
    tab.page.goto(pages(project)["report"].as_uri())
    table = tab.page.locator("table.sortable").first
    heads = table.locator("th button").all_inner_texts()
    number = next(i for i, text in enumerate(heads) if "AUROC" in text)
    values_script = f"table => [...table.tBodies[0].rows].map(row => Number(row.cells[{number}].dataset.v))"
    for order in (sorted, lambda numbers: sorted(numbers, reverse=True)):
        table.locator("th button").nth(number).click()
        values = table.evaluate(values_script)
        assert len(values) > 2 and values == order(values)
    assert table.locator("th:has(button)").nth(number).get_attribute("aria-sort") == "descending"


def test_the_documentation_site_fits_a_narrow_screen_and_loads_nothing(browser, tmp_path):
    subprocess.run(
        [Path(sys.executable).parent / "mkdocs", "build", "--quiet", "--site-dir", tmp_path], cwd=TOP, check=True
    )
    for page in ("index", "extend", "configuration", "results"):
        tab = BrowserPage(browser, viewport={"width": 400, "height": 800})
        tab.page.goto((tmp_path / f"{page}.html").as_uri())
        assert tab.remote_requests() == [], page
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400, page


@pytest.fixture(scope="module")
def mlflow(project) -> Iterator[str]:
    """Address of the MLflow server that `make ui` starts, on the project's store."""
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        port = free_socket.getsockname()[1]
    (arguments,) = re.findall(r"\tu?\$\(BIN\)/mlflow (ui .*)", (TOP / "Makefile").read_text())
    server = subprocess.Popen(
        [Path(sys.executable).parent / "mlflow", *arguments.split(), "--port", str(port)],
        cwd=project.home,
        env=os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])},
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            requests.get(address, timeout=5)
            break
        except requests.ConnectionError:
            time.sleep(0.5)
    yield address
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def test_mlflow_shows_the_study_and_serves_this_machine_only(mlflow, browser):
    tab = BrowserPage(browser, viewport={"width": 1280, "height": 800})
    tab.page.goto(f"{mlflow}/#/experiments")
    for text in ("Model training", "tiny", "small"):
        tab.page.get_by_text(text, exact=True).first.click(timeout=60_000)
    assert tab.remote_requests(mlflow) == []
    host = socket.gethostbyname(socket.gethostname())
    if not host.startswith("127."):
        with pytest.raises(requests.ConnectionError):
            requests.get(mlflow.replace("127.0.0.1", host), timeout=5)
