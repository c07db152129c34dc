"""The manifest: kept and dropped recordings, errors that stop the ingest, writing and reading."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.datasets import audio, base
from auscult.datasets.base import Columns, Listing, Manifest, load
from auscult.datasets.build import build
from auscult.datasets.errors import DatasetError

RATE = 4000
TRAPS = ["10000", "2530", "9979", "9983", "50782", "007", "1e5", "NA", "12345.0"]  # ids that are not numbers
COLUMNS = Columns(labels=["murmur"], covariates=["age"], recording_labels=["heard"])


@pytest.fixture
def root(tmp_path: Path, sine) -> Path:
    """A WAV per id, each with its own pitch."""
    root = tmp_path / "release"
    root.mkdir()
    for number, name in enumerate(TRAPS):
        soundfile.write(root / f"{name}.wav", sine(20 + number, 2.0), RATE)
    return root


@pytest.fixture
def listing() -> Listing:
    cases = pd.DataFrame({"case": TRAPS, "subject": TRAPS, "murmur": "Absent", "age": np.arange(9.0)})
    cases.loc[3, ["murmur", "age"]] = ["", np.nan]
    recordings = pd.DataFrame(
        {"recording": [f"{name}_AV" for name in TRAPS], "case": TRAPS, "site": "AV", "heard": "yes"}
    ).assign(path=[f"{name}.wav" for name in TRAPS], onset_s=None, offset_s=None)
    return Listing(cases, recordings, COLUMNS)


def with_cell(listing: Listing, column: str, row: int, value: object, table: str = "recordings") -> Listing:
    changed_table = getattr(listing, table).copy()
    changed_table[column] = changed_table[column].astype(object) if column in changed_table else None
    changed_table.loc[row, column] = value
    return dataclasses.replace(listing, **{table: changed_table})


def build_manifest(listing: Listing, root: Path, short_s: float = 1.0, workers: int = 1) -> base.Manifest:
    return build(listing, root, "mean", short_s, workers)


def quality(manifest: base.Manifest) -> list[tuple]:
    return list(manifest.quality.itertuples(index=False, name=None))


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---------------------------------------------------------------- build


def test_a_clean_listing_becomes_a_manifest(listing: Listing, root: Path) -> None:
    manifest = build_manifest(listing, root)
    assert quality(manifest) == []
    assert list(manifest.cases.columns) == ["case", "subject", "murmur", "age"]
    assert list(manifest.recordings.columns) == [*base.RECORDING_COLUMNS, "heard"]
    assert list(manifest.cases["case"]) == sorted(TRAPS)
    assert (manifest.recordings["subject"] == manifest.recordings["case"]).all()
    assert set(manifest.recordings["frames"]) == {8000}
    assert set(manifest.recordings["rate_hz"]) == {RATE}
    assert manifest.recordings["sha256"].str.fullmatch("[0-9a-f]{64}").all()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_listing_changes_nothing(listing: Listing, root: Path, tmp_path: Path, seed: int) -> None:
    shutil.copy(root / "2530.wav", root / "9979.wav")  # a duplicate, reported by the order of ids
    states = pd.DataFrame([("2530_AV", t, t + 1, "S1") for t in (0.0, 1.0)] + [("9979_AV", 0.0, 1.0, "S2")])
    states.columns = ["recording", "onset_s", "offset_s", "state"]
    listing = dataclasses.replace(listing, states=states)
    shuffled = dataclasses.replace(
        listing, **{key: getattr(listing, key).sample(frac=1, random_state=seed) for key in ("cases", "recordings")}
    )
    shuffled = dataclasses.replace(shuffled, states=states.sample(frac=1, random_state=seed))
    build_manifest(listing, root).write(tmp_path / "a")
    build_manifest(shuffled, root, workers=4).write(tmp_path / "b")
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")


def test_samples_stay_with_their_id(listing: Listing, root: Path) -> None:
    manifest = build_manifest(listing, root)
    for row in manifest.recordings.itertuples():
        facts = audio.inspect(root / f"{row.case}.wav", None, None, 1.0, True)
        assert (row.recording, row.path, row.sha256) == (f"{row.case}_AV", f"{row.case}.wav", facts.sha256)


def test_a_bad_recording_is_dropped_with_a_row_and_its_case_stays(listing: Listing, root: Path) -> None:
    (root / "2530.wav").unlink()
    (root / "9979.wav").write_bytes(b"words")
    soundfile.write(root / "9983.wav", np.zeros(8000), RATE)
    manifest = build_manifest(listing, root)
    assert [row[:3] for row in quality(manifest)] == [
        ("2530_AV", "missing", "dropped"),
        ("9979_AV", "corrupt", "dropped"),
        ("9983_AV", "constant", "dropped"),
    ]
    assert set(TRAPS) - set(manifest.recordings["case"]) == {"2530", "9979", "9983"}
    assert set(manifest.cases["case"]) == set(TRAPS)


def test_states_of_dropped_recordings_go_too(listing: Listing, root: Path) -> None:
    states = pd.DataFrame({"recording": ["2530_AV", "9979_AV"], "onset_s": 0.0, "offset_s": 1.0, "state": "S1"})
    (root / "2530.wav").unlink()
    manifest = build_manifest(dataclasses.replace(listing, states=states), root)
    assert list(manifest.states["recording"]) == ["9979_AV"]


def test_suspicious_recordings_are_kept_with_a_row(listing: Listing, root: Path, sine) -> None:
    soundfile.write(root / "2530.wav", np.c_[sine(), sine(60)], RATE)
    soundfile.write(root / "9979.wav", sine(seconds=0.5), RATE)
    manifest = build_manifest(listing, root)
    assert [row[:3] for row in quality(manifest)] == [("2530_AV", "channels", "kept"), ("9979_AV", "short", "kept")]
    assert len(manifest.recordings) == len(TRAPS)


def test_the_same_audio_under_two_ids_is_reported_and_kept(listing: Listing, root: Path) -> None:
    for name in ("9979", "50782"):
        shutil.copy(root / "2530.wav", root / f"{name}.wav")
    manifest = build_manifest(listing, root)
    assert quality(manifest) == [
        ("50782_AV", "duplicate", "kept", "the same samples as 2530_AV"),
        ("9979_AV", "duplicate", "kept", "the same samples as 2530_AV"),
    ]
    assert manifest.recordings["sha256"].nunique() == len(TRAPS) - 2


def test_a_header_that_disagrees_is_reported_and_the_file_is_used(listing: Listing, root: Path) -> None:
    listing = with_cell(listing, "header_rate_hz", 1, 2000)
    listing = with_cell(listing, "header_frames", 2, 7999)
    listing = with_cell(with_cell(listing, "header_rate_hz", 3, RATE), "header_frames", 3, 8000)
    manifest = build_manifest(listing, root)
    assert quality(manifest) == [
        ("2530_AV", "rate", "kept", "the header states 2000 Hz, the file 4000: the file's is used"),
        ("9979_AV", "header", "kept", "the header states 7999 samples, the file has 8000"),
    ]
    assert set(manifest.recordings["rate_hz"]) == {RATE}


def test_intervals_of_one_file(listing: Listing, root: Path) -> None:
    listing = with_cell(with_cell(listing, "path", 0, "2530.wav"), "offset_s", 0, 1.5)
    listing = with_cell(with_cell(listing, "onset_s", 1, 0.5), "offset_s", 2, 2.5)
    manifest = build_manifest(listing, root)
    rows = manifest.recordings.set_index("recording")
    assert (rows.loc["10000_AV", "frames"], rows.loc["2530_AV", "frames"]) == (6000, 6000)
    assert rows.loc["10000_AV", "sha256"] != rows.loc["2530_AV", "sha256"]
    assert quality(manifest) == [("9979_AV", "interval", "dropped", "None to 2.5 s is not inside the file's 2.000 s")]


# ---------------------------------------------------------------- structure


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("cases", "case", "10000", "case '10000' is listed twice"),
        ("cases", "case", " ", "a row without case id"),
        ("recordings", "recording", "10000_AV", "recording '10000_AV' is listed twice"),
        ("recordings", "recording", "", "a row without recording id"),
        ("recordings", "case", "404", "recording '2530_AV' belongs to case '404', which is not among the cases"),
        ("recordings", "path", "", "recording '2530_AV' has no path"),
    ],
)
def test_structural_faults_stop(
    listing: Listing, root: Path, table: str, column: str, value: str, message: str
) -> None:
    with pytest.raises(DatasetError) as error:
        build_manifest(with_cell(listing, column, 1, value, table), root)
    assert str(error.value) == f"{root}: {message}"


def test_no_cases_and_no_usable_recording_stop(listing: Listing, root: Path) -> None:
    with pytest.raises(DatasetError, match="no cases found"):
        build_manifest(dataclasses.replace(listing, cases=listing.cases[:0]), root)
    for path in root.glob("*.wav"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"none of the 9 recordings .* \(007_AV: there is no file '007\.wav'; .*…\)"):
        build_manifest(listing, root)


@pytest.mark.parametrize("kind", ["parent", "absolute", "link", "linked folder", "namesake"])
def test_a_path_outside_the_root_stops(listing: Listing, root: Path, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "release2"  # its name starts with the root's
    outside.mkdir()
    shutil.copy(root / "2530.wav", outside / "x.wav")
    (root / "link.wav").symlink_to(outside / "x.wav")
    (root / "linked").symlink_to(outside)
    path = {
        "parent": "../release/../release2/x.wav",
        "absolute": str(outside / "x.wav"),
        "link": "link.wav",
        "linked folder": "linked/x.wav",
        "namesake": "../release2/x.wav",
    }[kind]
    with pytest.raises(DatasetError) as error:
        build_manifest(with_cell(listing, "path", 1, path), root)
    assert f"{root}: recording '2530_AV': the path {path!r} is outside this folder" in str(error.value)
    assert "must be inside" in str(error.value)


def test_a_root_that_is_a_link_and_a_detour_inside_are_fine(listing: Listing, root: Path, tmp_path: Path) -> None:
    (tmp_path / "short").symlink_to(root)
    inside = with_cell(listing, "path", 1, "../release/2530.wav")
    assert build_manifest(listing, tmp_path / "short").digest() == build_manifest(listing, root).digest()
    assert len(build_manifest(inside, root).recordings) == len(TRAPS)


# ---------------------------------------------------------------- writing and reading


def test_a_manifest_is_the_same_after_writing_and_reading(listing: Listing, root: Path, tmp_path: Path) -> None:
    listing = with_cell(listing, "age", 4, 0.1 + 0.2, "cases")
    listing.cases["age"] = listing.cases["age"].astype(float)
    manifest = build_manifest(dataclasses.replace(listing, subjects_known=False), root)
    manifest.write(tmp_path / "made")
    loaded = load(tmp_path / "made")
    assert loaded.digest() == manifest.digest()
    assert json.loads((tmp_path / "made" / "dataset.json").read_text())["digest"] == manifest.digest()
    assert list(loaded.cases["case"]) == sorted(TRAPS)
    assert all(isinstance(name, str) for name in [*loaded.cases["case"], *loaded.recordings["subject"]])
    labels = loaded.cases.set_index("case")
    assert labels.loc["9983", "murmur"] == ""
    assert np.isnan(labels.loc["9983", "age"])
    assert loaded.columns == COLUMNS
    assert not loaded.subjects_known
    assert loaded.recordings["onset_s"].isna().all()
    assert loaded.recordings["frames"].dtype == np.int64


def test_any_cells_are_the_same_after_writing_and_reading(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("made")
    texts = st.text() | st.sampled_from(["null", "NA", "None", "nan", "-1", "007", "1e5", " blank ", "True", "a\rb"])
    numbers = st.floats(allow_infinity=False)

    @given(st.lists(st.tuples(texts, texts, numbers), min_size=1, max_size=4))
    @settings(max_examples=200, deadline=None)
    def check(rows: list[tuple[str, str, float]]) -> None:
        cases = pd.DataFrame(rows, columns=["murmur", "site", "age"], dtype=object).assign(
            age=lambda t: t["age"].astype(float)
        )
        cases.insert(0, "case", [f"case {number}" for number in range(len(rows))])
        recordings = pd.DataFrame(columns=base.RECORDING_COLUMNS)
        quality = pd.DataFrame(columns=base.QUALITY_COLUMNS)
        Manifest(cases, recordings, quality, Columns(labels=["murmur"], covariates=["age"])).write(folder)
        again = load(folder).cases
        assert again["murmur"].tolist() == cases["murmur"].tolist()
        assert again["site"].tolist() == cases["site"].tolist()
        np.testing.assert_array_equal(again["age"].to_numpy(float), cases["age"].to_numpy())

    check()


def test_the_digest_covers_labels_covariates_and_samples(listing: Listing, root: Path, sine) -> None:
    digests = {build_manifest(listing, root).digest()}
    for column, value in (("murmur", "Present"), ("age", 50.0), ("subject", "other")):
        digests.add(build_manifest(with_cell(listing, column, 1, value, "cases"), root).digest())
    digests.add(build_manifest(with_cell(listing, "site", 1, "MV"), root).digest())
    soundfile.write(root / "2530.wav", sine(99, 2.0), RATE)
    digests.add(build_manifest(listing, root).digest())
    assert len(digests) == 6


def test_a_failed_write_leaves_the_old_table(listing: Listing, root: Path, tmp_path: Path, monkeypatch) -> None:
    manifest = build_manifest(listing, root)
    manifest.write(tmp_path / "made")
    before = folder_bytes(tmp_path / "made")

    def full(table: pd.DataFrame):
        yield table.to_csv(index=False)[:20]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(base, "csv_parts", full)
    with pytest.raises(OSError, match="No space left"):
        build_manifest(with_cell(listing, "murmur", 1, "Present", "cases"), root).write(tmp_path / "made")
    assert folder_bytes(tmp_path / "made") == before


@pytest.mark.parametrize("rows", [0, 1, 999, 1000, 1001, 2000, 2345])
def test_a_table_in_parts_is_the_whole_table(rows: int) -> None:
    table = pd.DataFrame({"a": np.arange(rows), "b": [f"x,{n}\n" for n in range(rows)]})
    parts = list(base.csv_parts(table))
    assert "".join(parts) == table.to_csv(index=False)
    assert max(part.count(",") for part in parts) <= 2 * base.BLOCK + 1


@pytest.mark.parametrize("block", [1, 2, 3])
def test_recordings_are_read_block_by_block(listing: Listing, root: Path, monkeypatch, block: int) -> None:
    whole = build_manifest(listing, root)
    monkeypatch.setattr("auscult.datasets.build.BLOCK", block)
    parts = build_manifest(listing, root)
    assert parts.digest() == whole.digest() and len(whole.recordings) > block
    pd.testing.assert_frame_equal(parts.recordings, whole.recordings)
    pd.testing.assert_frame_equal(parts.quality, whole.quality)


# ---------------------------------------------------------------- tables and texts


@pytest.mark.parametrize("column", ["case", "subject"])
@pytest.mark.parametrize("seed", range(4))
def test_ids_that_differ_in_writing_only_stop_unless_the_study_says_they_differ(tmp_path: Path, column, seed) -> None:
    rng = np.random.default_rng(seed)
    names = [f"p{number}" for number in rng.permutation(9) + 1]
    first, second = (int(place) for place in rng.permutation(9)[:2])
    written = {"case": list(names), "subject": list(names)}
    written[column][second] = [names[first].upper(), f"p0{names[first][1:]}", f"p00{names[first][1:]}"][seed % 3]
    cases = pd.DataFrame(written)
    recordings = pd.DataFrame({"recording": [f"{name}_r" for name in cases["case"]], "case": cases["case"], "site": ""})
    recordings = recordings.assign(path=[f"{number}.wav" for number in range(9)], onset_s=None, offset_s=None)
    for number in range(9):
        soundfile.write(tmp_path / f"{number}.wav", rng.uniform(-0.5, 0.5, 8000), 4000)
    ids = Listing(cases, recordings, Columns())
    with pytest.raises(DatasetError, match=f"the {column} ids .* differ in writing only") as caught:
        build(ids, tmp_path, "mean", 1.0, 1)
    assert repr(names[first]) in str(caught.value) and repr(written[column][second]) in str(caught.value)
    assert len(build(ids, tmp_path, "mean", 1.0, 1, distinct_ids=True).cases) == 9
