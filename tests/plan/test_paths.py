"""Paths: no two patterns can name the same file, and a store's address is part of the tracking file's name."""

import re
from itertools import combinations

from auscult.config.dataset import Dataset
from auscult.plan import paths
from auscult.training.model_folder import FILES

PATTERNS = {
    name: value
    for name, value in vars(paths).items()
    if name.isupper() and isinstance(value, str) and value.startswith("results/")
}


def test_patterns_are_told_apart_by_their_folders():
    filled = {name: re.sub(r"\{(\w+)\}", r"<\1>", pattern) for name, pattern in PATTERNS.items()}
    assert len(filled) > 30
    assert [pair for pair in combinations(filled, 2) if filled[pair[0]] == filled[pair[1]]] == []


def test_a_study_cannot_have_the_name_of_a_shared_folder():
    tops = {pattern.split("/")[1] for pattern in PATTERNS.values() if "{study}" not in pattern}
    assert {top for top in tops if not top.startswith(".")} == set(paths.SHARED_FOLDERS)


def test_two_stores_have_two_tracking_files():
    assert paths.tracking("sqlite:///a.db") != paths.tracking("sqlite:///b.db")
    assert "{study}" in paths.tracking("sqlite:///a.db")


def test_two_roots_never_share_a_folder(tmp_path):
    def folder(root: str, given: str | None) -> str:
        return paths.dataset_folder(Dataset(name="heart", adapter="folder", root=root), given)

    assert folder("anywhere", None) == "heart"
    here, there = folder(str(tmp_path / "a"), "x"), folder(str(tmp_path / "b"), "x")
    assert here != there and here.startswith("heart-")
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert folder(str(tmp_path / "link"), "x") == folder(str(tmp_path / "a"), "x")


def test_a_model_folder_has_the_files_that_a_training_writes():
    assert {pattern.rpartition("/")[2] for pattern in paths.MODEL_FILES} == set(FILES)
