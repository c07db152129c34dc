"""Inner folds through the whole workflow: their networks, their choices, and that no label of a test case enters."""

import base64
import copy
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import requests

from auscult.datasets import simulate
from auscult.decisions.winner import CHOSEN, VARIANT
from tests.workflow.harness import Project, copy_workflow
from tests.workflow.test_reruns import SCORED, STUDY


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    project = copy_workflow(tmp_path_factory.mktemp("inner"))
    root = project.path("resources/tiny")
    simulate.fetch(root, simulate.Options(subjects=24, seed=3, seconds=(3.0, 4.0), twins=0.0), lambda line: None)
    cases = sorted(path.stem for path in root.glob("training_data/*.txt"))
    roles = [
        (0, fold, case, "test" if number % 2 == fold else "val" if number % 4 == 3 - fold else "train")
        for fold in (0, 1)
        for number, case in enumerate(cases)
    ]
    table = pd.DataFrame(roles, columns=["repeat", "fold", "case", "role"])
    normal = [case for case in cases if "Outcome: Normal" in (root / f"training_data/{case}.txt").read_text()]
    spare = table[(table["fold"] == 1) & (table["role"] == "train") & table["case"].isin(normal)]
    table = table.drop(spare.index[0])  # a case that fold 1 does not use at all
    table.to_csv(project.path("resources/roles.csv"), index=False)
    study = copy.deepcopy(STUDY) | {"inner_folds": {"folds": 2, "bag": True, "val": 0.4}}
    study["systems"]["small"]["network"]["options"]["dropout"] = 0  # so that a prediction can be repeated to the digit
    study["targets"]["outcome"]["decisions"] = ["reference", "cost", "tuned_w_acc", "tuned_uar"]
    study["fusion"] |= {
        "fit_on": ["inner_folds", "validation"],
        "features": ["probabilities", "latents", "statistics"],
        "blend": True,
    }
    study["fusion"]["tuning"] = {"trials": 2, "folds": 2}
    study["systems"]["again"] = copy.deepcopy(study["systems"]["small"])
    study["systems"]["again"]["training"] |= {"select": "last"}
    study["ensembles"] = {"pair": {"systems": ["small", "again"]}}
    study["evaluation"]["subgroups"] = ["age_group", "site", "seconds"]
    project.study("tiny", **study)
    ran = project.run("results/tiny/tables/leaderboard.csv", "results/tiny/figures/figures.csv")
    # two folds, each with two inner ones, of two systems; aggregated are the two folds' test cases and those that their
    # inner folds test, of the systems and of their ensemble, which has no network of its own
    assert (ran.jobs["train"], ran.jobs["infer"], ran.jobs["aggregate"], ran.jobs["fuse"]) == (12, 12, 12, 2)
    return project


def predictions(project: Project) -> pd.DataFrame:
    return pd.read_csv(project.path("results/tiny/predictions.csv"), dtype=str, keep_default_na=False)


def outputs(project: Project, system: str, fold: str) -> pd.DataFrame:
    table = pd.read_csv(project.path(f"results/tiny/outputs/{system}/{fold}/cases.csv"), dtype={"case": str})
    return table.set_index("case")


def means(project: Project, network: str, group: str) -> pd.Series:
    """The probabilities of cases that a network of `small` has written into a group of its outputs.h5."""
    with h5py.File(project.path(f"results/tiny/networks/small/outcome/{network}/outputs.h5"), "r") as file:
        return pd.Series(file[f"{group}/cases/mean"][:, 0], file[f"{group}/cases/case"].asstr()[:])


def test_every_case_outside_the_test_set_is_tested_once_by_an_inner_fold(project):
    every = pd.read_csv(project.path("results/tiny/folds.csv"), dtype=str)
    for fold in "10":
        inner_rows = outputs(project, "small", f"r0f{fold}i")
        folds = every.query("fold == @fold and role in ['train', 'val']")
        assert set(inner_rows["role"]) == {"inner"} and sorted(inner_rows.index) == sorted(folds["case"])
    assert set(every["role"]) == {"train", "val", "test", "unused"}
    expected = pd.concat([means(project, f"r0f0i{number}", "test") for number in range(2)])
    np.testing.assert_allclose(inner_rows["p_abnormal"], expected[inner_rows.index], atol=1e-5)
    fused = pd.read_csv(project.path("results/tiny/fusion/small/r0f0/probabilities.csv"), dtype=str)
    inner = fused.query("fit_on == 'inner_folds' and stage == 'xgboost'")
    assert set(inner["role"]) == {"inner", "test"} and sorted(inner.query("role == 'inner'")["case"]) == sorted(
        folds["case"]
    )


def test_networks_of_inner_folds_score_the_test_cases_too(project):
    test_rows = outputs(project, "small", "r0f0").query("role == 'test'")
    folds = pd.read_csv(project.path("results/tiny/folds.csv"), dtype=str).query("fold == '0' and role == 'test'")
    inside = pd.read_csv(project.path("results/tiny/inner_folds.csv"), dtype=str).query("fold == '0'")
    assert sorted(test_rows.index) == sorted(folds["case"]) and not set(test_rows.index) & set(inside["case"])
    parts = [means(project, "r0f0", "test"), *(means(project, f"r0f0i{number}", "outer_test") for number in range(2))]
    np.testing.assert_allclose(test_rows["p_abnormal"], sum(part[test_rows.index] for part in parts) / 3, atol=1e-5)
    stopping = outputs(project, "small", "r0f0").query("role == 'val'")  # inner networks trained on these
    np.testing.assert_allclose(stopping["p_abnormal"], means(project, "r0f0", "val")[stopping.index], atol=1e-5)


def test_tables_say_what_chose(project):
    marks = predictions(project).groupby(["stage", "fit_on", "decision"])["chosen_on"].unique().map(list).to_dict()
    assert marks[("network", "none", "reference")] == ["none"]
    for rule in ("cost", "tuned_w_acc", "tuned_uar"):
        assert marks[("network", "none", rule)] == ["inner"]
        for stage in ("xgboost", "logistic", "blend"):
            assert marks[(stage, "inner_folds", rule)] == ["inner twice"]
    assert marks[("xgboost", "validation", "cost")] == ["stopping twice"]
    scores = pd.read_csv(project.path("results/tiny/scores.csv"), keep_default_na=False)
    is_tuned = (scores.loc[scores["chosen"].astype(str) == "True", "stage"] != "network").any()
    assert marks[("chosen", "none", "chosen")] == ["inner twice" if is_tuned else "inner"]


def test_an_ensemble_is_the_mean_of_its_systems(project):
    small, again, pair = (
        pd.read_csv(project.path(f"results/tiny/outputs/{name}/r0f0/cases.csv"), dtype={"case": str}).set_index("case")
        for name in ("small", "again", "pair")
    )
    np.testing.assert_allclose(pair["p_abnormal"], (small["p_abnormal"] + again["p_abnormal"]) / 2)
    board = pd.read_csv(project.path("results/tiny/tables/leaderboard.csv")).query("stage == 'network'")
    size = board.groupby("system")["parameters"].first()
    assert size["pair"] == size["small"] + size["again"]


def test_without_validation_the_own_cases_all_train_and_the_last_epoch_is_kept(project):
    folds = pd.read_csv(project.path("results/tiny/folds.csv"), dtype=str).query("fold == '0'")["role"].value_counts()
    made = json.loads(project.path("results/tiny/networks/again/outcome/r0f0/manifest.json").read_text())
    assert made["counts"]["train_cases"] == folds["train"] + folds["val"]
    assert (made["counts"]["val_cases"], made["best_epoch"], made["val_score"]) == (0, 1, None)


def test_what_the_second_stage_tried_and_reads_is_kept(project):
    folder = project.path("results/tiny/fusion/small/r0f0")
    trials = pd.read_csv(folder / "trials.csv")
    assert trials.groupby(["stage", "fit_on"]).size().to_dict() == dict.fromkeys(
        [(stage, fit_on) for stage in ("xgboost", "logistic") for fit_on in ("inner_folds", "validation")], 2
    )
    assert {path.stem for path in (folder / "models").glob("*.json")} == {
        f"outcome-{stage}-{fit_on}"
        for stage in ("xgboost", "logistic", "blend")
        for fit_on in ("inner_folds", "validation")
    } | {"components-validation"}  # of inner networks they would share no axes
    figures = pd.read_csv(project.path("results/tiny/figures/figures.csv"))["file"]
    assert "importance-outcome-small-logistic-inner_folds.svg" in set(figures)


def test_differences_and_groups_have_tables(project):
    pairs = pd.read_csv(project.path("results/tiny/tables/comparison.csv"))
    assert set(pairs["a_system"]) == {"chosen", "small", "again", "pair"}
    assert set(pairs["metric"]) == {"w_acc", "uar", "f", "auroc", "ece"}
    groups = pd.read_csv(project.path("results/tiny/tables/subgroups.csv"))
    assert set(groups["by"]) == {"age_group", "site", "seconds"}
    assert groups.query("by == 'seconds'")["n"].sum() == 24


WINNERS = {
    "network": ("pair", "network", "none", "cost"),
    "xgboost": ("small", "xgboost", "inner_folds", "tuned_w_acc"),
    "logistic": ("small", "logistic", "inner_folds", "cost"),
    "latents": ("small", "xgboost", "validation", "reference"),
    "blend": ("small", "blend", "inner_folds", "cost"),
    "chosen": CHOSEN,
}


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param(("network", "network"), marks=pytest.mark.slow),
        pytest.param(("xgboost", "logistic"), marks=pytest.mark.slow),
        ("latents", "blend"),  # the blend has the network and XGBoost in it
        ("chosen", "chosen"),
    ],
)
def test_a_winner_gives_its_own_cases_what_the_study_gave_them(project, stages):
    """Each fold has a variant of its own, and tests the other half of the cases: its part in the vote is recognised."""
    path, variants = (
        project.path("results/tiny/winner.json"),
        [dict(zip(VARIANT, WINNERS[s], strict=True)) for s in stages],
    )
    before = path.read_text()
    if stages[0] != "chosen":  # else what each fold has taken
        folds = {f"r0f{fold}": [variant] for fold, variant in enumerate(variants)}
        path.write_text(json.dumps({"outcome": {**variants[0], "folds": folds, "scored_on": "inner"}}))
    project.run("predict", config=("recordings=resources/tiny",))
    table = read_predicted(project, "tiny").set_index("case")
    assert table["problems"].str.contains("the study has these samples").all()
    rows = predictions(project)
    is_variant = [
        (rows[[*variant, "fold"]] == pd.Series({**variant, "fold": str(fold)})).all(axis=1)
        for fold, variant in enumerate(variants)
    ]
    test_rows = rows[is_variant[0] | is_variant[1]].set_index("case")
    assert sorted(test_rows.index) == sorted(table.index)
    p = test_rows["p_Abnormal"].astype(float).reindex(table.index)
    # the mean of a test probability and of one by the other fold, which had the case among its own
    other = 2 * table["p_Abnormal"].astype(float) - p
    assert ((other > -1e-6) & (other < 1 + 1e-6)).all()
    agreed = table[table["agreement"].astype(float) == 1]
    assert len(agreed) and (agreed["prediction"] == test_rows.loc[agreed.index, "prediction"]).all()
    path.write_text(before)


def test_new_recordings_get_predictions_and_a_bad_file_stops_nothing(project):
    new = project.path("new")
    simulate.fetch(new, simulate.Options(subjects=3, seed=9, seconds=(3.0, 4.0), twins=0.0), lambda line: None)
    (broken, *_) = sorted(new.glob("training_data/*.wav"))
    broken.write_bytes(b"RIFF rubbish")
    ran = project.run("predict", config=("recordings=new",))
    assert ran.jobs.pop("apply_winner") == 1 and set(ran.jobs) <= {"pack_winner", "predict"}
    assert "Exception" not in ran.output and "predictions: results/tiny/predicted/new-" in ran.output
    table = read_predicted(project, "new")
    assert len(table) == 3 and set(table["prediction"]) <= {"Abnormal", "Normal"}
    np.testing.assert_allclose(table[["p_Abnormal", "p_Normal"]].astype(float).sum(axis=1), 1, atol=1e-6)
    problems = table.set_index("case")["problems"]
    assert f"{broken.stem}: " in problems[broken.stem.split("_")[0]] and "(dropped)" in "".join(problems)
    (folder,) = project.path("results/tiny/predicted").glob("new-*")
    assert len(list((folder / "challenge").glob("*.csv"))) == 3
    page = (folder / "report.html").read_text()
    assert "3 cases" in page and "http" not in page and broken.stem in page
    assert project.run("predict", config=("recordings=new",)).jobs == {}
    assert "there is no folder nowhere" in project.run("predict", config=("recordings=nowhere",), fails=True).output
    assert "no folder of recordings" in project.run("predict", fails=True).output


def test_one_system_of_the_study_can_predict(project):
    project.run("predict", config=("recordings=resources/tiny", "system=again"))
    pack = json.loads(project.path("results/tiny/packed/again/winner.json").read_text())
    variants = [variant for of_fold in pack["outcome"]["folds"].values() for variant in of_fold]
    assert len(variants) == 2 and variants[0] == variants[1] | {"inner_score": variants[0]["inner_score"]}
    assert pack["outcome"]["system"] == variants[0]["system"] == "again"
    assert not list(project.path("results/tiny/packed/again/networks").glob("small"))
    words = project.run("predict", config=("recordings=resources/tiny", "system=nobody"), fails=True).output
    assert "config system: 'nobody' is not one of small, again, pair" in words


LOADED = """
import json, mlflow, pandas as pd, sys
model = mlflow.pyfunc.load_model(sys.argv[1])
table = model.predict(pd.DataFrame({"case": sys.argv[2], "site": "AV", "audio": [open(sys.argv[3], "rb").read()]}))
print(json.dumps(table.to_dict("records")))
"""


def test_the_bundle_says_what_predict_says_and_holds_nobody(project):
    """Loaded in a folder that knows nothing of the project; no case and no pickle in it."""
    ran = project.run("bundle")
    assert ran.jobs["bundle_winner"] == 1 and project.run("bundle").jobs == {}
    folder = project.path("results/tiny/bundle/winner")
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in written if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]
    cases = pd.read_csv(next(project.path("results/datasets").glob("*/cases.csv")), dtype=str)["case"]
    made = "".join(path.read_text() for path in written if path.suffix in (".json", ".csv", ".md", ".yaml"))
    assert not [case for case in cases if f'"{case}"' in made]
    card = (folder / "README.md").read_text()
    assert "not a medical device" in card and "w_acc" in card
    (wav, *_) = sorted(project.path("resources/tiny/training_data").glob("*_AV.wav"))
    row = loaded(project, str(folder), wav)
    alone = project.path("alone")
    alone.mkdir()
    (alone / "a.wav").write_bytes(wav.read_bytes())
    (alone / "cases.csv").write_text("case\nsomeone\n")
    (alone / "recordings.csv").write_text("recording,case,path,site\nsomeone_0,someone,a.wav,AV\n")
    project.run("predict", config=("recordings=alone", "form=folder"))
    (said,) = read_predicted(project, "alone").to_dict("records")
    assert row["prediction"] == said["prediction"] and "the study has these samples" in row["problems"]
    assert row["p_Abnormal"] == pytest.approx(float(said["p_Abnormal"]), abs=1e-6)


def loaded(project: Project, place: str, wav: Path) -> dict:
    """What the model at `place` says of a recording, in a process that knows nothing of the project."""
    store = f"sqlite:///{project.path('results/mlflow.db')}"
    words = [sys.executable, "-c", LOADED, place, "someone", str(wav)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"MLFLOW_TRACKING_URI": store}
    done = subprocess.run(words, cwd="/", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout.splitlines()[-1])
    return row


@pytest.mark.slow
def test_the_pages_of_a_study_with_inner_folds_and_ensembles_are_written(project):
    project.run()
    assert all(project.path(f"results/tiny/{page}.html").stat().st_size > 10_000 for page in ("report", "listen"))


@pytest.mark.slow
def test_the_bundle_is_served(project):
    """`mlflow models serve` answers a real request with the audio in base64."""
    project.run("bundle")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "mlflow", "models", "serve", "-m", "results/tiny/bundle/winner", "--env-manager", "local"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # MLflow looks for uvicorn there
    server = subprocess.Popen(
        [sys.executable, *words, "-h", "127.0.0.1", "-p", str(port)],
        cwd=project.home,
        env=os.environ | {"PATH": path},
        start_new_session=True,
    )
    try:
        (wav, *_) = sorted(project.path("resources/tiny/training_data").glob("*_AV.wav"))
        audio = base64.b64encode(wav.read_bytes()).decode()
        body = {"dataframe_records": [{"case": "someone", "site": "AV", "audio": audio}]}
        for _ in range(90):
            try:
                answer = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=120)
                break
            except requests.ConnectionError:
                time.sleep(1)
        assert answer.status_code == 200, answer.text
        (row,) = answer.json()["predictions"]
        assert row["case"] == "someone" and row["prediction"] in ("Abnormal", "Normal")
        empty = requests.post(f"http://127.0.0.1:{port}/invocations", json={"dataframe_records": [{"case": "x"}]})
        assert empty.status_code == 400 and "audio" in empty.text
        assert loaded(project, "models:/tiny-winner/1", wav)["p_Abnormal"] == pytest.approx(row["p_Abnormal"], abs=1e-6)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def read_predicted(project: Project, name: str) -> pd.DataFrame:
    (path,) = project.path("results/tiny/predicted").glob(f"{name}-*/predictions.csv")
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@pytest.mark.slow
def test_the_label_of_a_test_case_reaches_nothing_of_its_fold(project):
    def of_fold_0() -> pd.DataFrame:
        table = predictions(project)
        return table[table["fold"] == "0"].drop(columns=["label", "should_refer"]).reset_index(drop=True)

    before = of_fold_0()
    roles = pd.read_csv(project.path("resources/roles.csv"), dtype=str)
    both = set(roles.query("fold == '0' and role == 'test'")["case"]) & set(roles.query("fold == '1'")["case"])
    files = [project.path(f"resources/tiny/training_data/{case}.txt") for case in sorted(both)]
    text = next(file for file in files if "Outcome: Normal" in file.read_text())
    words = text.read_text()
    text.write_text(words.replace("Outcome: Normal", "Outcome: Abnormal"))
    assert text.read_text() != words
    project.run(SCORED)
    said = project.outcomes("train")
    for system in ("small", "again"):
        for name in ("r0f0", *(f"r0f0i{number}" for number in range(2))):
            assert said.get(f"{system}-outcome-{name}", "reused") == "reused"
        # there the case is the fold's own
        assert {said[f"{system}-outcome-r0f1i{number}"] for number in range(2)} == {"trained"}
    pd.testing.assert_frame_equal(before, of_fold_0())
    assert project.run(SCORED).jobs == {}
