"""New recordings in any form: what a bad one costs, and forms that cannot be read."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.config.dataset import Dataset
from auscult.datasets import names
from auscult.datasets.errors import DatasetError
from auscult.prediction.inputs import ingest


def dataset(root: Path, adapter: str = "circor", **values) -> Dataset:
    return Dataset(name="d", adapter=adapter, root=str(root), rate_hz=4000, **values)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six recordings at 4 kHz, a case each."""
    rng = np.random.default_rng(0)
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * rng.standard_normal(20_000), 4000)
    lines = [f"r{number},c{number},{number}.wav" for number in range(6)]
    (tmp_path / "recordings.csv").write_text("\n".join(["recording,case,path", *lines]) + "\n")
    (tmp_path / "cases.csv").write_text("\n".join(["case", *(f"c{number}" for number in range(6))]) + "\n")
    return tmp_path


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("how", "row"),
    [("beyond ±1", ("sample_format", "dropped")), ("slow", ("rate", "kept")), ("text", ("corrupt", "dropped"))],
)
def test_a_bad_recording_costs_itself_alone_and_is_listed(folder: Path, how: str, row: tuple, seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = int(rng.integers(6))
    path, samples = folder / f"{number}.wav", rng.standard_normal(5000)
    if how == "beyond ±1":
        soundfile.write(path, 4 * samples, 4000, subtype="FLOAT")
    elif how == "slow":
        soundfile.write(path, 0.1 * samples, int(rng.integers(100, 4000)))
    else:
        path.write_text("hello")
    manifest = ingest(dataset(folder), "folder", [], 1, [], 1)
    table = manifest.quality[manifest.quality["problem"] != "short"]
    assert table[["recording", "problem", "action"]].to_numpy().tolist() == [[f"r{number}", *row]]
    assert len(manifest.recordings) == 6 - (row[1] == "dropped")


@pytest.mark.parametrize("form", ["nope", "Folder", "base", "errors", "../x", ""])
def test_a_form_that_is_none_is_named_with_those_that_there_are(folder: Path, form: str) -> None:
    with pytest.raises(DatasetError, match=r"there is no adapter .*circor"):
        ingest(dataset(folder), form, [], 1, [], 1)


@pytest.mark.parametrize("form", [name for name in names() if name not in ("folder", "simulate")])
def test_a_folder_in_another_form_is_refused_by_a_clear_error(folder: Path, form: str) -> None:
    reasons = r"no recordings found|the file is not there|need options; use the form folder"
    with pytest.raises(DatasetError, match=reasons):
        ingest(dataset(folder, "ptbxl"), form, [], 1, [], 1)


@pytest.mark.parametrize("column", ["location", "start", "device"])
def test_the_columns_that_the_study_names_are_its_own(folder: Path, column: str) -> None:
    table = folder / "recordings.csv"
    first, *rows = table.read_text().splitlines()
    table.write_text("\n".join([f"{first},{column}", *(f"{row},1" for row in rows)]) + "\n")
    cases = folder / "cases.csv"
    cases.write_text("\n".join(["case,patient", *(f"c{number},yes" for number in range(6))]) + "\n")
    options = {"labels": {"patient": ["yes", "no"]}, "recording_labels": [column]}
    assert len(ingest(dataset(folder, "folder", options=options), "folder", [], 1, [], 1).recordings) == 6


SITES = ["AV", "MV", "Phc", "Left lower"]


@pytest.mark.parametrize("seed", range(6))
def test_a_site_counts_in_any_writing_and_an_unknown_one_is_listed(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    writings = [str, str.lower, str.upper, str.title, lambda site: f" {site}  ", lambda site: site.replace(" ", "  ")]
    own = [SITES[rng.integers(len(SITES))] for _ in range(6)]
    written = [writings[rng.integers(len(writings))](site) for site in own]
    other = int(rng.integers(6))
    written[other] = ["Tc", "MV2", "left", "aortic", ""][rng.integers(5)]
    lines = [f'r{number},c{number},{number}.wav,"{site}"' for number, site in enumerate(written)]
    (folder / "recordings.csv").write_text("\n".join(["recording,case,path,site", *lines]) + "\n")
    manifest = ingest(dataset(folder), "folder", [], 1, SITES, 1)
    rows = manifest.quality.query("problem == 'site'")
    assert rows["recording"].tolist() == [f"r{other}"] and repr(written[other]) in rows["detail"].iloc[0]
    expected = [written[other] if number == other else site for number, site in enumerate(own)]
    assert manifest.recordings["site"].tolist() == expected
    without = ingest(dataset(folder), "folder", [], 1, [], 1)  # a study without sites finds no feature of a site
    assert without.quality.query("problem == 'site'").empty and set(without.recordings["site"]) == {""}
