"""Before a run: what a failed tracking leaves, folders of any name, and studies that cannot be read."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from auscult import run, studies
from auscult.config.command_line import Settings
from auscult.plan import paths
from tests.names import NAMES


@pytest.mark.parametrize("path", [paths.tracking("sqlite:///a.db"), paths.TRACKED, paths.REGISTERED])
def test_a_job_that_did_not_reach_mlflow_is_forgotten_and_one_that_did_is_not(
    tmp_path: Path, monkeypatch, path
) -> None:
    monkeypatch.chdir(tmp_path)
    for written in (True, False):
        file = Path(path.format(study="tiny", winner="winner"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"written": written}))
        run.forget_failed_tracking(["tiny"], "sqlite:///a.db")
        assert file.is_file() is written


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_no_folder_of_recordings_makes_a_wildcard_of_snakemake(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ("{1}" + name.replace("/", "_").replace("\0", "_")[:40])
    try:
        folder.mkdir(exist_ok=True)
    except (OSError, ValueError):
        return
    named = run.new_recordings(Settings(studies=["x"], recordings=str(folder))).name
    assert not set("{}/\\*") & set(named)
    assert paths.PREDICTED.format(study="x", recordings=named).format() == f"results/x/predicted/{named}"


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2", "- 1", "", "\t:"])
def test_a_study_that_cannot_be_read_is_named_where_a_new_one_is_planned(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(studies.ConfigError, match=r"broken\.yaml"):
        run.new_study(Settings(studies=["x"], recordings=str(tmp_path), name="mine"), tmp_path)
