"""The breath-phase adapter on a few generated clips, and on the real data set."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.datasets import breath_phase
from auscult.datasets.build import build
from auscult.datasets.errors import DatasetError

CLIPS = {"steth_20180816_11_09_13_000.wav": "I", "steth_20180816_11_09_13_007.wav": "E",
         "steth_20180817_09_00_00_000.wav": "E"}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, sine) -> Path:
    (tmp_path / "train").mkdir()
    for pitch, name in enumerate(CLIPS, start=100):
        soundfile.write(tmp_path / "train" / name, sine(pitch, 1.0, 16000), 16000)
    table(tmp_path, CLIPS)
    return tmp_path


def table(root: Path, clips: dict[str, str]) -> None:
    (root / "train.csv").write_text("file_name,label\n" + "".join(f"{k},{v}\n" for k, v in clips.items()))


def read(root: Path):
    return build(breath_phase.ingest(root, breath_phase.Options()), root, "mean", 0.9, workers=1)


def test_a_day_is_the_subject_and_a_recording_the_source(root):
    manifest = read(root)
    assert manifest.quality.empty
    cases = manifest.cases
    assert cases["phase"].tolist() == ["inhale", "exhale", "exhale"]
    assert cases["subject"].tolist() == ["20180816", "20180816", "20180817"]
    assert cases["source"].nunique() == 2
    assert manifest.columns.groups == ["source"]
    assert set(manifest.recordings["rate_hz"]) == {16000}


def test_a_clip_that_no_row_lists_is_reported(root):
    table(root, dict(list(CLIPS.items())[:2]))
    assert read(root).quality.to_numpy().tolist() == [
        [
            "steth_20180817_09_00_00_000",
            "unlisted",
            "dropped",
            "train.csv does not list steth_20180817_09_00_00_000.wav",
        ]
    ]


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ({"clip.wav": "I"}, r"train.csv: row 2, column 'file_name': 'clip.wav'"),
        ({**CLIPS, "steth_20180817_09_00_00_001.wav": "X"}, r"train.csv: row 5, column 'label': 'X' is not I or E"),
        ({"../steth_20180817_09_00_00_001.wav": "I"}, r"row 2, column 'file_name'"),
    ],
)
def test_bad_rows_are_refused(root, clips, message):
    table(root, clips)
    with pytest.raises(DatasetError, match=message):
        read(root)


def test_a_missing_column_is_named(root):
    (root / "train.csv").write_text("file,label\n")
    with pytest.raises(DatasetError, match="no column 'file_name'; it has file, label"):
        read(root)


@pytest.mark.real
@pytest.mark.skipif(not os.environ.get("AUSCULT_REAL_BREATH"), reason="AUSCULT_REAL_BREATH is not set")
def test_the_real_clips():
    root = Path(os.environ["AUSCULT_REAL_BREATH"])
    manifest = read(root)
    assert manifest.quality.empty
    assert manifest.cases["phase"].value_counts().to_dict() == {"exhale": 1243, "inhale": 1157}
    assert (manifest.cases["subject"].nunique(), manifest.cases["source"].nunique()) == (85, 1482)
    assert np.allclose(manifest.recordings["frames"], 16000)


@pytest.mark.parametrize("clip", CLIPS)
def test_a_clip_that_is_listed_twice_is_refused_with_its_row(root, clip):
    with (root / "train.csv").open("a") as file:
        file.write(f"{clip},{'E' if CLIPS[clip] == 'I' else 'I'}\n")
    with pytest.raises(DatasetError, match=rf"train\.csv: row 5: '{clip}' is listed twice"):
        read(root)
