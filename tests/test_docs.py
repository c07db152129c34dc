"""What the pages show works: the network of docs/extend.md, its study, and every relative link."""

import re
import sys
import types
from pathlib import Path

import pytest
import torch

from auscult.studies import load_study

TOP = Path(__file__).resolve().parents[1]
EXTEND = (TOP / "docs/extend.md").read_text()
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", EXTEND, re.DOTALL).group(1)


def test_the_network_of_the_page_is_a_network():
    module = types.ModuleType("linear")
    sys.modules["linear"] = module
    exec(block("python"), module.__dict__)
    network = module.build(module.Options(), (1, 50, 40), 3)
    logits, latents = network(torch.zeros(2, 1, 50, 40))
    assert logits.shape == (2, 3) and latents.shape == (2, 40)


def test_the_study_of_the_page_loads(tmp_path):
    (tmp_path / "mine.yaml").write_text(block("yaml"))
    study = load_study("mine", tmp_path)
    assert study.targets["sound"].heads == ["sound"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []
