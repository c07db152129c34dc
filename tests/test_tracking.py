"""MLflow: many writers on a new store, complete runs, replacement by a repeated run, errors that fail no job."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from auscult import tracking
from tests.names import distinct

WRITE = """
import sys
from pathlib import Path
from auscult import tracking
uri, artifacts, number = sys.argv[1:]
tracking.LIVE_AFTER_S = -1
log = tracking.live(uri, Path(artifacts), "study", "small", f"task r0f{number}")
for epoch in range(3):
    log({"epoch": epoch, "train_loss": 1.0 / (epoch + 1), "val_score": 0.5, "learning_rate": 0.1, "seconds": 1.0})
"""


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path}/mlflow.db"


def model(folder, digest="a"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"slice_digest": digest, "seed": 1, "counts": {"train_cases": 3}}))
    (folder / "config.json").write_text("{}")
    (folder / "history.csv").write_text("epoch,train_loss,val_score,learning_rate,seconds\n0,0.7,0.5,0.1,1\n")
    return folder


BOARD = pd.DataFrame(
    [("murmur", "small", "network", "none", "cost", 0.7), ("murmur", "chosen", "chosen", "none", "chosen", 0.6)],
    columns=["target", "system", "stage", "fit_on", "decision", "w_acc"],
)


def complete(store, tmp_path, digest="a", epochs=3):
    tables = tmp_path / "tables"
    tables.mkdir(exist_ok=True)
    (tables / "leaderboard.csv").write_text("target\n")
    report = tmp_path / "report.html"
    report.write_text("page")
    models = {("small", "task r0f0"): model(tmp_path / "model", digest)}
    parameters = {"small": {"training": {"epochs": epochs}}}
    return tracking.complete(store, "study", tmp_path / "artifacts", parameters, models, BOARD, [tables], [report])


def runs(store):
    from mlflow import MlflowClient

    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("study")
    return {run.data.tags[tracking.KEY]: run for run in client.search_runs([experiment.experiment_id], max_results=500)}


@pytest.mark.slow
def test_sixteen_writers_on_a_fresh_store(store, tmp_path):
    assert tracking.initialise(store, "study", tmp_path / "artifacts")
    command = [sys.executable, "-c", WRITE, store, str(tmp_path / "artifacts")]
    environment = {"PYTHONPATH": str(Path(tracking.__file__).parents[1])}
    with ThreadPoolExecutor(16) as pool:
        processes = list(
            pool.map(
                lambda n: subprocess.run([*command, str(n)], env=environment, capture_output=True, text=True), range(16)
            )
        )
    assert all(process.returncode == 0 and "tracking:" not in process.stderr for process in processes), processes[
        0
    ].stderr
    run_of_key = runs(store)
    assert len(run_of_key) == 17
    assert all(
        run_of_key[f"train/small/task r0f{n}"].data.metrics["train_loss"] == pytest.approx(1 / 3) for n in range(16)
    )


def test_complete_writes_all_and_a_rerun_replaces(store, tmp_path):
    assert tracking.initialise(store, "study", tmp_path / "artifacts")
    assert complete(store, tmp_path)
    first = runs(store)
    assert set(first) == {
        "system/small",
        "train/small/task r0f0",
        "row/small/murmur network none cost",
        "row/chosen/murmur chosen none chosen",
        "study",
    }
    parent = first["system/small"].info.run_id
    assert first["train/small/task r0f0"].data.tags["mlflow.parentRunId"] == parent
    assert first["row/small/murmur network none cost"].data.metrics["w_acc"] == 0.7
    assert first["system/small"].data.metrics == {"murmur/w_acc": 0.7}
    assert [first[key].info.run_name for key in ("train/small/task r0f0", "row/small/murmur network none cost")] == [
        "small task r0f0",
        "small murmur network none cost",
    ]
    assert complete(store, tmp_path)
    second = runs(store)
    assert set(second) == set(first)  # no duplicate row
    key = "train/small/task r0f0"
    assert second[key].info.run_id == first[key].info.run_id  # the run of the same training stays
    assert complete(store, tmp_path, digest="b")
    assert runs(store)[key].info.run_id != first[key].info.run_id


def test_the_leaderboard_is_a_table_of_mlflow(store, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    board = BOARD.assign(cost=[np.nan, 12.5], chosen_on=["", None])
    monkeypatch.setattr(sys.modules[__name__], "BOARD", board)
    assert complete(store, tmp_path)
    run = runs(store)["study"].info
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)  # load_table searches there
    found = MlflowClient(store).load_table(run.experiment_id, "leaderboard.json", run_ids=[run.run_id])
    assert list(found.columns) == list(board.columns)
    assert found["w_acc"].tolist() == pytest.approx([0.7, 0.6]) and found["cost"].isna().tolist() == [True, False]


def test_a_system_has_the_scores_of_its_network_with_the_first_decision(store, tmp_path, monkeypatch):
    rows = [
        ("murmur", "small", "xgboost", "inner_folds", "cost", 0.1),
        ("outcome", "small", "network", "none", "a", 0.2),
    ]
    rows += [("murmur", "pair", "network", "none", "cost", 0.3), ("murmur", "small", "network", "none", "later", 0.4)]
    board = pd.concat(
        [pd.DataFrame(rows[:1], columns=BOARD.columns), BOARD, pd.DataFrame(rows[1:], columns=BOARD.columns)]
    )
    monkeypatch.setattr(sys.modules[__name__], "BOARD", board)
    assert complete(store, tmp_path)
    assert runs(store)["system/small"].data.metrics == {"murmur/w_acc": 0.7, "outcome/w_acc": 0.2}


def test_a_registered_model_names_its_study(store, tmp_path):
    from mlflow import MlflowClient

    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "MLmodel").write_text("flavors: {}\n")
    for _ in range(2):
        assert tracking.register(store, "study", tmp_path / "artifacts", "winner", bundle, "what it is")
    client = MlflowClient(store)
    assert client.get_registered_model("winner").tags == {"study": "study"}
    versions = client.search_model_versions("name = 'winner'")
    assert [(version.tags, version.description) for version in versions] == [({"study": "study"}, "what it is")] * 2


def test_another_configuration_gets_another_run(store, tmp_path):
    assert complete(store, tmp_path)
    assert complete(store, tmp_path, epochs=4)
    run_of_key = runs(store)
    parent = run_of_key["system/small"]
    assert parent.data.params["training.epochs"] == "4"
    assert run_of_key["train/small/task r0f0"].data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_complete_creates_a_missing_store(store, tmp_path):
    assert complete(store, tmp_path)


@pytest.mark.parametrize("uri", ["sqlite:////dev/null/mlflow.db", "no-such-scheme://x"])
def test_an_error_is_a_line_in_the_log(uri, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(tracking, "LIVE_AFTER_S", -1)
    assert not tracking.initialise(uri, "study", tmp_path / "artifacts")
    assert not complete(uri, tmp_path)
    tracking.live(uri, tmp_path, "study", "small", "task r0f0")({"epoch": 0, "train_loss": 1.0})
    assert "tracking: initialise" in capfd.readouterr().err


@given(names=distinct(1, 12))
def test_any_names_are_distinct_names_that_mlflow_takes(names):
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    metrics = tracking._metrics(dict.fromkeys(names, 0.5), 0)
    parameters = tracking._params({"options": dict.fromkeys(names, 0)})
    for entities in (metrics, parameters):
        assert len({entity.key for entity in entities}) == len(names)
    for metric, parameter in zip(metrics, parameters, strict=True):
        _validate_metric_name(metric.key)
        _validate_param_name(parameter.key)


def test_ordinary_names_of_metrics_stay():
    names = ["w_acc", "recall_mild AS", "recall_a/b", "auroc_low", "v1.5-x"]
    assert tracking._allowed_names(names) == names


def test_classes_whose_names_differ_in_one_sign_have_a_metric_each(store, tmp_path, monkeypatch):
    scores = {"recall_EF<50": 0.25, "recall_EF>50": 0.75, "recall_w/": 0.5}
    monkeypatch.setattr(sys.modules[__name__], "BOARD", BOARD.assign(**scores))
    assert complete(store, tmp_path)
    metrics = runs(store)["row/small/murmur network none cost"].data.metrics
    assert {key: value for key, value in metrics.items() if key.startswith("recall")} == {
        "recall_EF_50": 0.25,
        "recall_EF_50 2": 0.75,
        "recall_w_": 0.5,
    }


def test_a_deleted_experiment_gets_a_new_one(store, tmp_path):
    from mlflow import MlflowClient

    client = MlflowClient(store)
    for _ in range(2):
        assert complete(store, tmp_path)
        client.delete_experiment(client.get_experiment_by_name("study").experiment_id)
    assert tracking.initialise(store, "study", tmp_path / "artifacts")
    assert complete(store, tmp_path)
    assert client.get_experiment_by_name("study").lifecycle_stage == "active"
    assert len(runs(store)) == 5


def test_files_of_a_moved_project_lie_where_it_is_now(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        if folder is first:
            folder.mkdir()
        else:
            first.rename(second)
        store = f"sqlite:///{folder}/mlflow.db"
        assert complete(store, folder) and complete(store, folder)
        client = MlflowClient(store)
        experiment = client.get_experiment_by_name("study")
        assert experiment.artifact_location == (folder / "artifacts/study").as_uri()
        assert list((folder / "artifacts/study").rglob("report.html"))
    assert not first.exists()
    assert sorted(e.name for e in client.search_experiments()) == ["Default", "study", "study (before a move, 1)"]


@pytest.mark.parametrize("count", [1, 100, 101, 340])
def test_every_parameter_of_a_system_is_kept(count):
    parameters = tracking._params({"options": {f"p{number}": number for number in range(count)}})
    assert [(each.key, each.value) for each in parameters] == [(f"options.p{n}", str(n)) for n in range(count)]
