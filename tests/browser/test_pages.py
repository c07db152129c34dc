"""Pages in a real browser: the report, the page of predictions, the site of the docs, and MLflow's pages of a study."""

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

CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                       return .2126 * r + .7152 * g + .0722 * b; };
  const numbers = text => (text.match(/[0-9.]+/g) || []).map(Number);
  const behind = e => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor);
                          if (c.length == 3 || c[3] > .5) return c.slice(0, 3); } return [255, 255, 255]; };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("p, li, td, th, h1, h2, h3, dd, dt, a, button, figcaption, caption")) {
    if (!e.textContent.trim() || !e.offsetParent) continue;
    const [a, b] = [light(numbers(getComputedStyle(e).color).slice(0, 3)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 200)];
  }
  return worst;
}"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A small study, predicted too."""
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


class Watched:
    """A page with what its console and its requests said."""

    def __init__(self, browser, **context) -> None:
        self.page = browser.new_context(**context).new_page()
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def away(self, *allowed: str) -> list[str]:
        """Requests that leave this machine."""
        return [url for url in self.asked if not url.startswith(("file:", "data:", "blob:", *allowed))]


def pages(project: Project) -> dict[str, Path]:
    return {
        "report": project.path("results/tiny/report.html"),
        "predictions": next(project.path("results/tiny/predicted").glob("*/report.html")),
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "predictions"])
def test_a_page_reads_well(project, browser, name, scheme, width):
    watched = Watched(browser, viewport={"width": width, "height": 800}, color_scheme=scheme)
    watched.page.goto(pages(project)[name].as_uri())
    assert (watched.wrong, watched.away()) == ([], [])
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
    nameless = "[...document.querySelectorAll('img')].filter(e => !e.alt.trim()).map(e => e.outerHTML.slice(0, 100))"
    assert watched.page.evaluate(nameless) == []
    ratio, where = watched.page.evaluate(CONTRAST)
    assert ratio >= LEAST_CONTRAST, where
    background = "getComputedStyle(document.body).backgroundColor"
    brightness = sum(map(float, re.findall(r"[\d.]+", watched.page.evaluate(background))[:3]))
    assert (brightness < 200) == (scheme == "dark")


@pytest.mark.parametrize("name", ["report", "predictions"])
def test_a_page_prints_dark_on_white(project, browser, name, tmp_path):
    watched = Watched(browser, color_scheme="dark")
    watched.page.goto(pages(project)[name].as_uri())
    watched.page.emulate_media(media="print")
    ratio, where = watched.page.evaluate(CONTRAST)
    assert ratio >= LEAST_CONTRAST, where
    color = "getComputedStyle(document.body).color"
    assert sum(map(float, re.findall(r"[\d.]+", watched.page.evaluate(color))[:3])) < 200
    watched.page.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


def test_tables_sort(project, browser):
    watched = Watched(browser)
    watched.page.goto(pages(project)["report"].as_uri())
    table = watched.page.locator("table.sortable").first
    heads = table.locator("th button").all_inner_texts()
    number = next(i for i, text in enumerate(heads) if "AUROC" in text)
    read = f"table => [...table.tBodies[0].rows].map(row => Number(row.cells[{number}].dataset.v))"
    for order in (sorted, lambda numbers: sorted(numbers, reverse=True)):
        table.locator("th button").nth(number).click()
        found = table.evaluate(read)
        assert len(found) > 2 and found == order(found)
    assert table.locator("th:has(button)").nth(number).get_attribute("aria-sort") == "descending"


def test_the_site_of_the_docs(browser, tmp_path):
    subprocess.run(
        [Path(sys.executable).parent / "mkdocs", "build", "--quiet", "--site-dir", tmp_path], cwd=TOP, check=True
    )
    for page in ("index", "extend", "configuration", "results"):
        watched = Watched(browser, viewport={"width": 400, "height": 800})
        watched.page.goto((tmp_path / f"{page}.html").as_uri())
        assert watched.away() == [], page
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= 400, page


@pytest.fixture(scope="module")
def mlflow(project) -> Iterator[str]:
    """Address of `make ui` on the project's store."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (words,) = re.findall(r"\tu?\$\(BIN\)/mlflow (ui .*)", (TOP / "Makefile").read_text())
    server = subprocess.Popen(
        [Path(sys.executable).parent / "mlflow", *words.split(), "--port", str(port)],
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


def test_mlflow_shows_the_study_to_this_machine_alone(mlflow, browser):
    watched = Watched(browser, viewport={"width": 1280, "height": 800})
    watched.page.goto(f"{mlflow}/#/experiments")
    for words in ("Model training", "tiny", "small"):
        watched.page.get_by_text(words, exact=True).first.click(timeout=60_000)
    assert watched.away(mlflow) == []
    host = socket.gethostbyname(socket.gethostname())
    if not host.startswith("127."):
        with pytest.raises(requests.ConnectionError):
            requests.get(mlflow.replace("127.0.0.1", host), timeout=5)
