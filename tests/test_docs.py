"""What the pages show works: the network of docs/extend.md, its study, and every relative link."""

import ast
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from auscult import networks
from auscult.datasets.build import build
from auscult.datasets.errors import DatasetError
from auscult.studies import load_study

TOP = Path(__file__).resolve().parents[1]
EXTEND = (TOP / "docs/extend.md").read_text()
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]


def block(language: str, word: str = "") -> str:
    """The first block of a language on the page that has a word."""
    return next(text for text in re.findall(rf"```{language}\n(.*?)```", EXTEND, re.DOTALL) if word in text)


def module_of(name: str, text: str) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(text, module.__dict__)
    return module


def test_the_network_of_the_page_is_a_network():
    module = module_of("moments", block("python", "nn.Module"))
    assert "moments" not in networks.names() and "{name: moments}" in EXTEND  # it would replace that one
    network = module.build(module.Options(), (1, 50, 40), 3)
    logits, latents = network(torch.zeros(2, 1, 50, 40))
    assert logits.shape == (2, 3) and latents.shape == (2, 80)


def test_the_adapter_of_the_page_is_an_adapter(tmp_path):
    module = module_of("clips", block("python", "Listing("))
    for name in ("ann_1_wheeze", "ann_2_normal", "bob_1_wheeze"):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 8000), 4000)
    manifest = build(module.ingest(tmp_path, module.Options()), tmp_path, "mean", 1.0, workers=1)
    assert manifest.cases["subject"].tolist() == ["ann", "ann", "bob"] and len(manifest.recordings) == 3
    (tmp_path / "bob_1_wheeze.wav").rename(tmp_path / "bob_1_snore.wav")
    with pytest.raises(DatasetError, match="'snore' is neither wheeze nor normal"):
        module.ingest(tmp_path, module.Options())


def test_the_study_of_the_page_loads(tmp_path):
    (tmp_path / "mine.yaml").write_text(block("yaml"))
    study = load_study("mine", tmp_path)
    assert study.targets["sound"].heads == ["sound"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_yaml_on_a_page_can_be_read(page):
    """Its keys are text: YAML takes words such as `on` for something else."""

    def keys(value) -> list:
        if isinstance(value, list):
            return [key for each in value for key in keys(each)]
        return [*value, *keys(list(value.values()))] if isinstance(value, dict) else []

    for text in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        found = keys(yaml.safe_load(text))
        assert found and [key for key in found if not isinstance(key, str)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The pages as MkDocs builds them; it fails on a link or an anchor that leads nowhere."""
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [Path(sys.executable).parent / "mkdocs", "build", "--quiet", "--site-dir", place],
        cwd=TOP,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_every_page_is_in_the_site_and_none_asks_a_network(site):
    pages = {path.stem for path in site.glob("*.html")}
    assert {path.stem for path in (TOP / "docs").glob("*.md")} <= pages
    for path in site.glob("*.html"):
        loaded = re.findall(r'(?:<script[^>]*src|<link[^>]*href|<img[^>]*src)="([^"]+)"', path.read_text())
        assert [name for name in loaded if "://" in name or name.startswith("//")] == [], path.name


def test_a_link_that_leads_nowhere_stops_the_site(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Here\n\n[there](gone.md)\n")
    settings = (TOP / "mkdocs.yml").read_text().split("nav:")[0]
    (tmp_path / "mkdocs.yml").write_text(settings)
    done = subprocess.run(
        [Path(sys.executable).parent / "mkdocs", "build"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0 and "gone.md" in done.stderr


def texts(path: Path) -> list[str]:
    """Every text of a Python file, whole; what is put into it when it runs is an ellipsis."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def missing(page: str, said: list[str]) -> list[str]:
    """Messages in the table's first column that no single text says, with its fixed words in their order."""
    column = re.findall(r"^\| (`[^|]+?) \|", page, re.MULTILINE)
    messages = [message for cell in column for message in re.findall("`([^`]+)`", cell)]
    wanted = {message: ".*".join(map(re.escape, message.split("…"))) for message in messages}
    return [message for message, words in wanted.items() if not any(re.search(words, text) for text in said)]


def test_every_error_of_the_page_is_one_that_the_code_says():
    said = [path.read_text() for path in (TOP / "rules").glob("*.smk")]
    said += [text for path in (TOP / "workflow").rglob("*.py") for text in texts(path)]
    page = (TOP / "docs/troubleshooting.md").read_text()
    assert page.count("| `") > 12
    assert missing(page, said) == []
    assert missing(page.replace("lower training.learning_rate", "lower training.rate"), said) != []
    assert missing(page.replace("the loss is", "the memory is"), said) != []
