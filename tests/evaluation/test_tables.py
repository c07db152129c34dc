"""Tables: values computed by hand, all columns, any order of rows, and files that other programs can read."""

import csv
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as options
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from auscult.config.study import Evaluation
from auscult.decisions.winner import KEYS, VARIANT, choose
from auscult.evaluation import challenge, scoring, tables, writing
from auscult.heads.outputs import class_columns
from auscult.metrics import catalogue
from auscult.result_tables import read_table
from tests.names import distinct

CLASSES = ["Present", "Unknown", "Absent"]
P = class_columns(CLASSES)
PROBABILITIES = {"Present": [0.8, 0.1, 0.1], "Unknown": [0.2, 0.6, 0.2], "Absent": [0.1, 0.2, 0.7]}


def predictions(labels, predicted, fold=None, subject=None, refer=None, system="small", **columns) -> pd.DataFrame:
    """Predictions of one variant, by default all in fold 0. columns: further columns, or other values of columns."""
    size = len(labels)
    table = pd.DataFrame(
        {
            "target": "murmur",
            "system": system,
            "stage": "network",
            "fit_on": "none",
            "decision": "reference",
            "repeat": 0,
            "fold": 0 if fold is None else fold,
            "case": [f"c{k:03d}" for k in range(size)],
            "subject": [f"s{k}" for k in range(size)] if subject is None else subject,
            "label": labels,
            "prediction": predicted,
            "uncertainty": 0.1,
            "chosen_on": "none",
            "should_refer": "" if refer is None else refer,
        }
    )
    table[P] = [PROBABILITIES[name] for name in predicted]
    return table.assign(**columns)


@pytest.fixture
def six() -> pd.DataFrame:
    """Six patients with known metrics."""
    labels = ["Present", "Present", "Unknown", "Absent", "Absent", "Absent"]
    predicted = ["Present", "Absent", "Unknown", "Absent", "Absent", "Present"]
    return predictions(labels, predicted, fold=[0, 0, 0, 1, 1, 1], refer=["1", "1", "1", "0", "0", "0"])


def random_predictions(seed: int = 0, size: int = 60) -> pd.DataFrame:
    """Predictions of two systems in two repeats of three folds: two cases per subject, a tenth without a label."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([*CLASSES, ""], size, p=[0.3, 0.2, 0.4, 0.1])
    refer = rng.choice(["0", "1", ""], size)
    parts = []
    for system in ("one", "two"):
        for repeat in (0, 1):
            predicted = np.where(
                rng.random(size) < 0.6, np.where(labels == "", "Absent", labels), rng.choice(CLASSES, size)
            )
            part = predictions(labels, predicted, np.arange(size) % 3, system=system, repeat=repeat)
            part[P] = rng.dirichlet([1, 1, 1], size) * 0.5 + 0.5 * part[P].to_numpy()
            parts.append(part.assign(subject=[f"s{k // 2}" for k in range(size)], should_refer=refer))
    return pd.concat(parts, ignore_index=True)


def test_leaderboard_equals_values_computed_by_hand(murmur_study, six):
    row = tables.leaderboard(murmur_study(), six, "").iloc[0]
    expected = {
        "n": 6,
        "w_acc": 0.625,
        "accuracy": 4 / 6,
        "uar": (0.5 + 1 + 2 / 3) / 3,
        "f": (0.5 + 1 + 2 / 3) / 3,
        "recall_Present": 0.5,
        "recall_Unknown": 1,
        "recall_Absent": 2 / 3,
        "cost": 12176.667,
        # Present: .8 .1 against .2 .1 .1 .8, Unknown: .6 above all, Absent: .7 .7 .1 against .1 .7 .2
        "auroc_Present": (3.5 + 1) / 8,
        "auroc_Unknown": 1,
        "auroc_Absent": (2 * 2.5 + 0.5) / 9,
        "brier": np.mean([0.06, 1.34, 0.24, 0.14, 0.14, 1.46]),
        "nll": -np.mean(np.log([0.8, 0.1, 0.6, 0.7, 0.7, 0.1])),
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-6), name
    assert row["auroc"] == pytest.approx(np.mean([row[f"auroc_{c}"] for c in CLASSES]))
    assert row[["target", *VARIANT]].tolist() == ["murmur", "small", "network", "none", "reference"]


def test_sizes_and_training_times_are_columns_beside_the_scores(murmur_study, six):
    names = [f"r0f{fold}s{seed}" for fold in range(2) for seed in range(2)]
    rows = [("small", "present", name, 100, 7, 3.0 + k, 2) for k, name in enumerate(names)]
    # a network of an inner fold scores no test case, but it was trained for the fold
    rows += [("small", "present", f"r0f{fold}i0", 100, 7, 10.0, 4) for fold in range(2)]
    columns = ["system", "task", "network", "parameters", "multiply_adds", "seconds", "epochs"]
    trainings = pd.DataFrame(rows, columns=columns)
    board = tables.with_sizes(tables.leaderboard(murmur_study(), six, ""), trainings, {})
    small = board[board["system"] == "small"].iloc[0]
    assert (small["parameters"], small["train_s"]) == (200, np.mean([3 + 4 + 10, 5 + 6 + 10]))
    assert small["multiply_adds"] == 14  # of both networks of a fold
    assert small["epoch_s"] == round(np.mean([1.5, 2, 2.5, 3, 2.5, 2.5]), 2)
    assert list(board)[list(board).index("n") :][:5] == ["n", "parameters", "multiply_adds", "train_s", "epoch_s"]
    assert board.loc[board["system"] != "small", "parameters"].isna().all()
    bagged = tables.with_sizes(tables.leaderboard(murmur_study(), six, ""), trainings, {}, bag=True)
    small = bagged[bagged["system"] == "small"].iloc[0]
    assert (small["parameters"], small["multiply_adds"], small["train_s"]) == (300, 21, board["train_s"].iloc[0])


def test_sizes_of_networks_that_differ_between_folds_are_means(murmur_study, six):
    """Networks that read cases have a weight for each site of their own training cases."""
    rows = [
        ("small", "present", f"r0f{fold}", parameters, 7, 3.0, 2) for fold, parameters in enumerate((100, 103, 104))
    ]
    columns = ["system", "task", "network", "parameters", "multiply_adds", "seconds", "epochs"]
    board = tables.with_sizes(
        tables.leaderboard(murmur_study(), six, ""), pd.DataFrame(rows, columns=columns), {"both": ["small"]}
    )
    assert board.loc[board["system"] == "small", "parameters"].iloc[0] == 102


def test_columns_of_the_leaderboard(murmur_study, six):
    columns = "target system stage fit_on decision n w_acc w_acc_low w_acc_high uar uar_low uar_high accuracy f auroc "
    columns += "auroc_low auroc_high auprc cost ece recall_Present recall_Unknown recall_Absent chosen_on leak"
    assert set(columns.split()) <= set(tables.leaderboard(murmur_study(), six, ""))


@pytest.mark.parametrize("seed", range(3))
def test_intervals_contain_their_value(murmur_study, seed):
    board = tables.leaderboard(murmur_study(), random_predictions(seed), "")
    for name in ("w_acc", "uar", "auroc"):
        assert (board[f"{name}_low"] < board[name]).all() and (board[name] < board[f"{name}_high"]).all()
        assert (board[f"{name}_high"] - board[f"{name}_low"] < 0.4).all()
    assert (board["ece_low"] <= board["ece"]).all() and (board["ece"] <= board["ece_high"]).all()
    assert (board["ece_low"] >= 0).all() and (board["ece_high"] - board["ece_low"] > 0.01).all()


def test_intervals_draw_subjects_with_all_their_rows(murmur_study):
    """Cases repeated four times give the same interval if the subjects are the same, a narrower one if they are new."""
    labels = ["Present", "Absent", "Unknown"] * 16
    predicted = ["Present", "Absent", "Unknown", "Absent", "Absent", "Unknown"] * 8
    once = predictions(labels, predicted)
    same_subjects = pd.concat([once.assign(repeat=k) for k in range(4)])
    new_subjects = pd.concat([once.assign(repeat=k, subject=once["subject"] + f"-{k}") for k in range(4)])
    rows = (tables.leaderboard(murmur_study(), table, "").iloc[0] for table in (once, same_subjects, new_subjects))
    width, width_of_same, width_of_new = (row["uar_high"] - row["uar_low"] for row in rows)
    assert width_of_same == pytest.approx(width) and width_of_new < 0.7 * width


OF_ALL_CLASSES = ("uar", "f", "auroc")


@given(seed=st.integers(0, 10_000), lost=st.sampled_from(CLASSES))
def test_a_group_without_a_class_has_no_mean_over_the_others(murmur_study, seed, lost):
    target = murmur_study().targets["murmur"]
    rng = np.random.default_rng(seed)
    labels = rng.choice([name for name in CLASSES if name != lost], 30)
    scores = scoring.score(target, predictions(labels, rng.choice(CLASSES, 30)))
    assert all(np.isnan(scores[metric]) for metric in OF_ALL_CLASSES) and scores["w_acc"] >= 0


@given(seed=st.integers(0, 10_000), rare=st.sampled_from(CLASSES), count=st.integers(1, 8), each=st.integers(1, 3))
def test_no_interval_below_five_subjects_of_a_class(murmur_study, seed, rare, count, each):
    """count: subjects with the rare class, each with several cases."""
    study = murmur_study().model_copy(update={"evaluation": Evaluation(draws=100)})
    target = study.targets["murmur"]
    others = [name for name in CLASSES if name != rare]
    labels = [rare] * count * each + [others[k % 2] for k in range(20)]
    rng = np.random.default_rng(seed)
    rows = predictions(labels, rng.choice(CLASSES, len(labels)))
    rows["subject"] = [f"s{k // each}" for k in range(count * each)] + [f"o{k}" for k in range(20)]
    row = scoring.with_intervals(study, target, scoring.labelled_rows(rows))
    for metric in OF_ALL_CLASSES:
        ends = np.array([row[f"{metric}_low"], row[f"{metric}_high"]])
        assert np.isfinite(row[metric]) and np.isnan(ends).all() == (count < 5), metric
    assert np.isfinite([row["w_acc_low"], row["w_acc_high"]]).all()


@pytest.mark.parametrize("positives", [3, 4, 5, 12, 15, 16, 17])
def test_multilabel_rankings_and_recalls_need_subjects_inside_and_outside_of_every_class(rhythm_study, positives):
    rng, names = np.random.default_rng(positives), ["af", "lbbb", "pvc"]
    has = np.stack([np.arange(20) < positives, *(rng.permutation(20) < 10 for _ in range(2))], axis=1)
    labels = ["|".join(name for name, mark in zip(names, row, strict=True) if mark) or "none" for row in has]
    rows = (
        predictions(["x"] * 20, ["Absent"] * 20).drop(columns=P).assign(target="rhythm", label=labels, prediction="af")
    )
    rows = rows.assign(**{f"p_{name}": rng.random(20) for name in names})
    row = scoring.with_intervals(rhythm_study, rhythm_study.targets["rhythm"], rows)
    assert np.isfinite(row["f_low"]) == (positives >= 5)
    assert np.isfinite(row["auroc_low"]) == np.isfinite(row["uar_low"]) == (5 <= positives <= 15)


def test_rankings_of_the_row_chosen_are_within_folds(murmur_study):
    """Two folds whose probabilities rank perfectly, on scales that have nothing in common."""
    target = murmur_study().targets["murmur"]
    rng = np.random.default_rng(0)
    parts = []
    for fold, scale in enumerate((0.05, 1.0)):
        labels = CLASSES * 10
        part = predictions(labels, labels, fold=fold)
        p = scale * (0.6 * np.eye(3)[[CLASSES.index(name) for name in labels]] + 0.1 * rng.random((30, 3)))
        parts.append(part.assign(**dict(zip(P, p.T, strict=True))))
    rows = pd.concat(parts)
    assert scoring.score(target, rows)["auroc"] < 0.95
    # of several studies, the name of the study stands before the system
    chosen = scoring.score(target, rows.assign(system="study/chosen", stage="chosen"))
    assert chosen["auroc"] == chosen["auprc"] == chosen["auroc_Present"] == 1


@given(seed=st.integers(0, 10_000), folds=st.integers(1, 4))
def test_rankings_within_folds_are_pairs_of_the_same_fold(murmur_study, seed, folds):
    target, rng = murmur_study().targets["murmur"], np.random.default_rng(seed)
    labels, fold = rng.choice(CLASSES, 40), rng.integers(0, folds, 40)
    rows = predictions(labels, labels, fold=fold)
    p = rng.integers(1, 5, (40, 3)) / 10  # with ties
    rows = rows.assign(**dict(zip(P, p.T, strict=True)))
    score = scoring.score(target, rows, within_folds=True)
    for number, name in enumerate(CLASSES):
        pairs = [
            np.sign(p[i, number] - p[j, number]) / 2 + 0.5
            for i in np.flatnonzero(labels == name)
            for j in np.flatnonzero(labels != name)
            if fold[i] == fold[j]
        ]
        assert score[f"auroc_{name}"] == pytest.approx(np.mean(pairs) if pairs else np.nan, nan_ok=True)


def test_unlabelled_cases_are_not_scored(murmur_study):
    table = random_predictions()
    board = tables.leaderboard(murmur_study(), table, "")
    assert board["n"].tolist() == [(table.query("system == 'one'")["label"] != "").sum()] * 2
    labelled = table[table["label"] != ""]
    pd.testing.assert_frame_equal(board, tables.leaderboard(murmur_study(), labelled, ""))


def test_the_order_of_rows_is_irrelevant(murmur_study):
    table, study = random_predictions(), murmur_study()
    shuffled = table.sample(frac=1, random_state=0)
    for make in (tables.leaderboard, tables.cross_validation):
        keys = ["system", "repeat", "fold"] if make is tables.cross_validation else ["system"]
        first, again = (
            make(study, part, "mark").sort_values(keys, key=lambda column: column.astype(str)).reset_index(drop=True)
            for part in (table, shuffled)
        )
        pd.testing.assert_frame_equal(first, again, check_exact=make is tables.leaderboard)
    pd.testing.assert_frame_equal(tables.floors(study, table), tables.floors(study, shuffled))


def test_a_variant_without_labelled_cases(murmur_study, six):
    row = tables.leaderboard(murmur_study(), six.assign(label=""), "").iloc[0]
    assert row["n"] == 0 and np.isnan(row["w_acc"]) and np.isnan(row["w_acc_low"]) and np.isnan(row["auroc"])


def test_cost_without_outcome_is_empty_and_with_some_counts_those(murmur_study, six):
    def cost(table) -> float:
        return tables.leaderboard(murmur_study(), table, "").iloc[0]["cost"]

    assert np.isnan(cost(six.assign(should_refer="")))
    some_outcomes = six.assign(should_refer=["1", "", "1", "", "0", ""])  # P U A: two referred, both correctly
    share = 2 / 3
    expert = 25 + 397 * share - 1718 * share**2 + 11296 * share**4
    assert cost(some_outcomes) == pytest.approx(10 + expert + 10_000 * 2 / 3)
    study = murmur_study()
    target = study.targets["murmur"].model_copy(update={"referral": None})
    study = study.model_copy(update={"targets": {"murmur": target}})
    assert np.isnan(tables.leaderboard(study, six, "").iloc[0]["cost"])


def test_cross_validation(murmur_study, six):
    table = tables.cross_validation(murmur_study(), six, "")
    assert table[["repeat", "fold"]].to_numpy().tolist() == [[0, 0], [0, 1], ["all", "mean"], ["all", "sd"]]
    # fold 0: Present, Unknown right, one Present lost; fold 1: two of three Absent
    scores = [(5 + 3) / (5 + 5 + 3), 2 / 3]
    assert table["w_acc"].tolist() == pytest.approx([*scores, np.mean(scores), np.std(scores, ddof=1)])
    assert table["n"].tolist() == [3, 3, 6, 6]
    assert np.isnan(table.loc[1, "recall_Present"]) and table.loc[2, "recall_Present"] == 0.5
    assert {*KEYS, "chosen_on", "leak"} <= set(table)


def test_cross_validation_of_several_variants(murmur_study):
    table = tables.cross_validation(murmur_study(), random_predictions(), "")
    assert table.groupby("system").size().tolist() == [10, 10]
    for name, part in table.groupby("system"):
        for repeat in (0, 1):
            rows = random_predictions()
            rows = rows[(rows["system"] == name) & (rows["repeat"] == repeat)]
            pooled = part[(part["repeat"] == repeat) & (part["fold"] == "pooled")]
            assert pooled["uar"].item() == tables.leaderboard(murmur_study(), rows, "")["uar"].item()
        folds = part[~part["fold"].isin(["pooled", "mean", "sd"])]
        assert len(folds) == 6
        assert part[part["fold"] == "mean"]["uar"].item() == pytest.approx(folds["uar"].astype(float).mean())


def test_marks(murmur_study, six):
    leaky = six.assign(fit_on="train", stage="xgboost")
    both = pd.concat([six, leaky])
    for make in (tables.leaderboard, tables.cross_validation):
        table = make(murmur_study(), both, "shared_subject train+test: 14")
        marks = table.set_index("fit_on")["leak"].groupby(level=0).unique()
        assert marks["none"].tolist() == ["shared_subject train+test: 14"]
        assert marks["train"].tolist() == ["shared_subject train+test: 14; fitted on the network's training cases"]
    assert scoring.variant_mark("", six) == scoring.variant_mark("", six.assign(fit_on="validation")) == ""


def circor() -> pd.DataFrame:
    """The 942 public patients of CirCor by murmur and outcome."""
    counts = {
        ("Present", "1"): 150,
        ("Present", "0"): 29,
        ("Unknown", "1"): 43,
        ("Unknown", "0"): 25,
        ("Absent", "1"): 263,
        ("Absent", "0"): 432,
    }
    rows = [key for key, count in counts.items() for _ in range(count)]
    labels = [label for label, _ in rows]
    return predictions(labels, labels, np.arange(942) % 5, refer=[refer for _, refer in rows])


def test_published_floors(murmur_study):
    table = circor()
    floors = tables.floors(murmur_study(), pd.concat([table, table.assign(system="other")])).set_index("always")
    assert floors["w_acc"].round(3).to_dict() == {"Present": 0.499, "Unknown": 0.114, "Absent": 0.387}
    assert floors["cost"].round().tolist() == [14851, 14851, 24239]
    assert floors["uar"].tolist() == pytest.approx([1 / 3] * 3) and floors["n"].tolist() == [942] * 3
    perfect = tables.leaderboard(murmur_study(), table, "").iloc[0]
    assert perfect["w_acc"] == 1 and round(perfect["cost"]) == 16083


def test_floors_leave_out_the_unlabelled(murmur_study, six):
    floors = tables.floors(murmur_study(), pd.concat([six, six.assign(case="x", label="")]))
    assert floors["n"].tolist() == [6] * 3


# The winner


def validation_scores(values: dict[tuple, list[float]]) -> pd.DataFrame:
    rows = [
        ("murmur", system, "network", fit_on, "reference", 0, fold, score)
        for (system, fit_on), scores in values.items()
        for fold, score in enumerate(scores)
    ]
    table = pd.DataFrame(rows, columns=[*KEYS, "score"]).assign(scored_on="stopping", standard_error=0.0)
    return table.assign(chosen=choose(table, "w_acc"))


def with_chosen(rows: pd.DataFrame) -> pd.DataFrame:
    """Predictions with a row `chosen`, which has taken the first system in every fold."""
    first = rows[(rows["system"] == rows["system"].iloc[0]) & (rows["fit_on"] == "none")]
    return pd.concat([rows, first.assign(system="chosen", stage="chosen", decision="chosen")])


def test_the_winner_is_what_each_fold_takes_with_the_scores_of_the_row_chosen(murmur_study):
    labels = CLASSES * 4
    good, poor = predictions(labels, labels, system="good"), predictions(labels, ["Absent"] * 12, system="poor")
    board = tables.leaderboard(murmur_study(), with_chosen(pd.concat([good, poor])), "")
    scores = validation_scores({("good", "none"): [0.5, 0.6], ("poor", "none"): [0.6, 0.5]})
    winner = tables.winner(board, scores)["murmur"]
    assert {fold: [variant["system"] for variant in variants] for fold, variants in winner["folds"].items()} == {
        "r0f0": ["poor"],
        "r0f1": ["good"],
    }
    assert winner["folds"]["r0f0"][0]["inner_score"] == 0.6 and winner["system"] == "chosen"
    assert winner["test_scores"]["w_acc"] == 1


def test_of_a_system_the_best_variant_over_all_folds_is_taken(murmur_study):
    labels = CLASSES * 4
    good, poor = predictions(labels, labels, system="good"), predictions(labels, ["Absent"] * 12, system="poor")
    board = tables.leaderboard(murmur_study(), with_chosen(pd.concat([good, poor])), "")
    scores = validation_scores({("good", "none"): [0.5, 0.6], ("poor", "none"): [0.6, 0.5]})
    winner = tables.winner(board, scores, "poor")["murmur"]
    assert {variants[0]["system"] for variants in winner["folds"].values()} == {"poor"}
    assert winner["system"] == "poor" and winner["test_scores"]["w_acc"] == pytest.approx(1 / 9, abs=1e-4)


def test_a_second_stage_fitted_to_training_cases_never_wins(murmur_study, six):
    both = pd.concat([six, six.assign(fit_on="train")])
    board = tables.leaderboard(murmur_study(), with_chosen(both), "")
    scores = validation_scores({("small", "none"): [0.1], ("small", "train"): [0.99]})
    for system in (None, "small"):
        winner = tables.winner(board, scores, system)["murmur"]
        assert [variant["fit_on"] for variant in winner["folds"]["r0f0"]] == ["none"]


def test_a_winner_without_scores(murmur_study, six):
    board = tables.leaderboard(murmur_study(), with_chosen(six), "")
    winner = tables.winner(board, validation_scores({("small", "none"): [float("nan")] * 2}))["murmur"]
    assert [variant["system"] for variants in winner["folds"].values() for variant in variants] == ["small"] * 2
    assert winner["folds"]["r0f0"][0]["inner_score"] is None


# Multilabel


@pytest.fixture
def rhythms() -> pd.DataFrame:
    classes = ["af", "lbbb", "pvc"]
    labels = ["af", "af|pvc", "none", "lbbb", ""]
    predicted = ["af", "pvc", "", "lbbb|af", "af"]
    table = predictions(["x"] * 5, ["Absent"] * 5, fold=[0, 0, 1, 1, 1]).drop(columns=P)
    table = table.assign(target="rhythm", label=labels, prediction=predicted)
    return table.assign(**{f"p_{c}": [0.9 if c in s.split("|") else 0.2 for s in predicted] for c in classes})


def test_multilabel_leaderboard(rhythm_study, rhythms):
    row = tables.leaderboard(rhythm_study, rhythms, "").iloc[0]
    assert row["n"] == 4 and row["accuracy"] == 0.5
    assert row[["recall_af", "recall_lbbb", "recall_pvc"]].tolist() == [0.5, 1, 1]
    assert row["uar"] == pytest.approx(5 / 6)
    assert row["f"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert row["auroc"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert np.isnan([row["uar_low"], row["auroc_high"], row["f_low"]]).all()  # fewer than five subjects of a class
    assert "cost" not in row and "w_acc" not in row


def test_multilabel_fold_without_labelled_cases(rhythm_study, rhythms):
    unlabelled = rhythms.assign(label=rhythms["label"].where(rhythms["fold"] == 0, ""))
    table = tables.cross_validation(rhythm_study, unlabelled, "")
    assert table["n"].tolist() == [2, 0, 2, 2] and np.isnan(table.loc[1, "uar"])
    assert tables.leaderboard(rhythm_study, rhythms.assign(label=""), "").iloc[0]["n"] == 0
    assert tables.floors(rhythm_study, rhythms).empty


# Files


class Cells(HTMLParser):
    """Texts of the cells and the caption of an HTML table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells, self.caption, self._tag = [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._tag = tag
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        self._tag = ""

    def handle_data(self, data):
        if self._tag in ("td", "th"):
            self.cells[-1] += data
        if self._tag == "caption":
            self.caption += data


TABLE = pd.DataFrame(
    {"name_": ["a_b|c", "<b> & 5 %"], "value": [1 / 3, float("nan")], "cost": [12176.667, 1.0], "n": [6, 7]}
)
CAPTION = "Study demo, commit abc, 95 % intervals."


@pytest.fixture
def files(tmp_path) -> dict[str, str]:
    """Texts of the four files of TABLE by suffix."""
    writing.write_table(TABLE, tmp_path / "table", CAPTION)
    return {path.suffix: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}


def test_a_table_has_four_files(files):
    assert set(files) == {".csv", ".md", ".html", ".tex"}


def test_csv_is_exact(files):
    rows = list(csv.reader(files[".csv"].splitlines()))
    assert rows[0] == list(TABLE)
    assert float(rows[1][1]) == 1 / 3 and rows[2][1] == ""
    assert float(rows[1][2]) == 12176.667


def test_markdown(files):
    caption, empty, *lines = files[".md"].splitlines()
    assert caption == CAPTION and empty == ""
    assert lines[0] == "| name_ | value | cost | n |"
    assert lines[2] == "| a_b/c | 0.333 | 12177 | 6 |"
    assert {line.count("|") for line in lines} == {5}


def test_html(files):
    parsed = Cells(files[".html"])
    assert parsed.caption == CAPTION
    assert parsed.cells == [
        "name_",
        "value",
        "cost",
        "n",
        "a_b/c",
        "0.333",
        "12177",
        "6",
        "<b> & 5 %",
        "",
        "1.000",
        "7",
    ]


def test_latex(files):
    lines = files[".tex"].splitlines()
    assert lines[:3] == [r"\begin{table}", r"\caption{Study demo, commit abc, 95 \% intervals.}", r"\label{tab:table}"]
    assert r"name  & value & Cost & n \\" in lines
    assert r"a\_b/c & 0.333 & 12177 & 6 \\" in lines
    assert r"$<$b$>$ \& 5 \% & -- & 1.000 & 7 \\" in lines


def test_latex_escapes_names_of_columns(tmp_path):
    writing.write_table(pd.DataFrame({"recall_A&B": [1.0]}), tmp_path / "table", "")
    assert r"recall A\&B \\" in (tmp_path / "table.tex").read_text()


def test_latex_has_intervals_in_brackets_and_no_empty_column(tmp_path):
    table = pd.DataFrame(
        {
            "system": ["a", "b"],
            "w_acc": [0.5, 0.6],
            "w_acc_low": [0.4, float("nan")],
            "w_acc_high": [0.6, float("nan")],
            "parameters": [10, 20],
            "cost": [None, None],
            "leak": ["", ""],
        }
    )
    writing.write_table(table, tmp_path / "leader_board", "")
    lines = (tmp_path / "leader_board.tex").read_text().splitlines()
    assert r"\label{tab:leader-board}" in lines and r"\begin{tabular}{lr}" in lines
    assert r"system & W.acc \\" in lines
    assert r"a & 0.500 (0.400 to 0.600) \\" in lines and r"b & 0.600 \\" in lines
    assert "None" not in (tmp_path / "leader_board.md").read_text()


# Challenge files


def two_targets(murmur_study):
    study = murmur_study()
    outcome = study.targets["murmur"].model_copy(
        update={"label": "outcome", "classes": ["Abnormal", "Normal"], "weights": [5, 1], "heads": ["present"]}
    )
    return study.model_copy(update={"targets": {**study.targets, "outcome": outcome}})


def chosen(case: str = "13918", predicted: str = "Absent", outcome: str = "Normal", **columns) -> pd.DataFrame:
    row = {"system": "chosen", "repeat": 0, "fold": 0, "case": case}
    murmur = {**row, "target": "murmur", "prediction": predicted, **dict(zip(P, [0.11, 0.07, 0.82], strict=True))}
    outcome = {**row, "target": "outcome", "prediction": outcome, "p_Abnormal": 0.35, "p_Normal": 0.65}
    return pd.DataFrame([murmur, outcome]).assign(**columns)


def test_challenge_file(murmur_study, tmp_path):
    rows = pd.concat([chosen(), chosen(repeat=1, predicted="Present"), chosen(system="small", predicted="Unknown")])
    challenge.write_challenge(two_targets(murmur_study), rows, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["13918.csv"]
    assert (tmp_path / "13918.csv").read_text() == (
        "#13918\nPresent,Unknown,Absent,Abnormal,Normal\n0,0,1,0,1\n0.11,0.07,0.82,0.35,0.65\n"
    )


def test_challenge_files_of_one_target(murmur_study, tmp_path):
    rows = pd.concat([chosen("2530"), chosen("9979", predicted="Present")])
    challenge.write_challenge(murmur_study(), rows[rows["target"] == "murmur"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2530.csv", "9979.csv"]
    assert (tmp_path / "9979.csv").read_text() == "#9979\nPresent,Unknown,Absent\n1,0,0\n0.11,0.07,0.82\n"


def test_no_challenge_files_of_a_multilabel_target(rhythm_study, rhythms, tmp_path):
    challenge.write_challenge(rhythm_study, rhythms.assign(system="chosen"), tmp_path / "challenge")
    assert (tmp_path / "challenge").is_dir() and not list((tmp_path / "challenge").iterdir())


@options(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=distinct(2, 5))
def test_any_name_is_read_as_it_was_written(tmp_path, names):
    """Names that pandas takes for missing, for numbers or for booleans stay text; an empty cell is missing."""
    for column in ("always", "group", "by", "feature", "system", "state", "roles", "leak"):
        for values in (names, names[:1]):
            table = pd.DataFrame({column: [*values, None], "n": [*(0.5 for _ in values), np.nan]})
            table.to_csv(tmp_path / "x.csv", index=False)
            again = read_table(tmp_path / "x.csv")
            assert again[column][:-1].tolist() == values and pd.isna(again[column].iloc[-1])
            assert again["n"].dtype == float


@options(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(classes=distinct(3, 3))
def test_intervals_contain_their_value_whatever_the_classes_are_called(murmur_study, tmp_path, classes):
    target = {"label": "murmur", "classes": classes, "heads": ["grade"]}
    head = {"label": "murmur", "kind": "multiclass", "classes": classes}
    system = {**murmur_study().systems["small"].model_dump(), "tasks": ["grade"]}
    tasks = {"grade": {"heads": {"grade": head}}}
    study = murmur_study(targets={"murmur": target}, tasks=tasks, systems={"small": system}, fusion=None)
    table = random_predictions()
    names = dict(zip(CLASSES, classes, strict=True))
    labels = {column: table[column].map({**names, "": ""}) for column in ("label", "prediction")}
    renamed = table.assign(**labels).rename(columns=dict(zip(P, class_columns(classes), strict=True)))
    single = [metric.key for metric in catalogue.METRICS]
    ends = [f"{key}{end}" for key in single for end in ("", "_low", "_high")]
    board, expected = tables.leaderboard(study, renamed, ""), tables.leaderboard(murmur_study(), table, "")
    columns = [column for column in ends if column in expected and not column.startswith(("cost", "w_acc"))]
    pd.testing.assert_frame_equal(board[columns], expected[columns])
    for key in ("recall_", "auroc_"):
        for old, new in names.items():
            column = catalogue.class_column(key, new)
            assert board[column].tolist() == expected[catalogue.class_column(key, old)].tolist()
    writing.write_table(board, tmp_path / "board", "All variants.")
    assert read_table(tmp_path / "board.csv").columns.tolist() == board.columns.tolist()


def test_a_class_with_a_comma_is_one_cell_of_a_challenge_file(murmur_study, tmp_path, six):
    study = murmur_study()
    target = study.targets["murmur"].model_copy(update={"classes": ["Present, loud", "Unknown", "Absent"]})
    study = study.model_copy(update={"targets": {"murmur": target}})
    rows = six.replace("Present", "Present, loud").rename(columns={"p_Present": "p_Present, loud"})
    challenge.write_challenge(study, rows.assign(system="chosen"), tmp_path)
    lines = list(csv.reader((tmp_path / "c000.csv").open()))
    assert lines[1] == target.classes and [len(line) for line in lines[1:]] == [3, 3, 3]


@pytest.mark.parametrize(("sharpness", "expected"), [(1.0, True), (3.0, False)])
def test_the_interval_of_the_calibration_error_has_0_for_calibrated_models_only(murmur_study, sharpness, expected):
    """Forty models each: most intervals of calibrated ones begin at 0, and none of those that are too sure."""
    begins_at_0 = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.dirichlet([1, 1, 1], size=300)
        labels = [CLASSES[rng.choice(3, p=row)] for row in p]
        shown = p**sharpness / (p**sharpness).sum(axis=1, keepdims=True)
        rows = predictions(labels, [CLASSES[number] for number in shown.argmax(axis=1)])
        rows[[f"p_{name}" for name in CLASSES]] = shown
        study = murmur_study()
        target = study.targets["murmur"]
        study = study.model_copy(update={"evaluation": study.evaluation.model_copy(update={"draws": 50})})
        row = scoring.with_intervals(study, target, rows)
        assert row["ece_low"] <= row["ece"] <= row["ece_high"] and 0 < row["ece_calibrated"] < 0.15
        begins_at_0.append(row["ece_low"] == 0)
    assert (np.mean(begins_at_0) >= 0.85) == expected and (np.mean(begins_at_0) == 0) == (not expected)


def test_latex_of_negative_intervals_and_of_no_rows(tmp_path):
    table = pd.DataFrame({"a": ["x"], "difference": [-0.3], "difference_low": [-0.5], "difference_high": [-0.1]})
    writing.write_table(table, tmp_path / "table", "")
    assert "-0.300 (-0.500 to -0.100)" in (tmp_path / "table.tex").read_text()
    writing.write_table(table.head(0), tmp_path / "table", "")
    assert r"\begin{tabular}{rr}" in (tmp_path / "table.tex").read_text()


@pytest.mark.parametrize("subjects", [1, 2, 4, 5, 9])
def test_few_subjects_have_no_interval_whatever_the_metric(murmur_study, subjects):
    size = 30
    labels = np.array(CLASSES)[np.arange(size) % 3]
    predicted = np.where(np.arange(size) % 4 == 0, "Absent", labels)
    rows = predictions(labels, predicted, subject=[f"s{number % subjects}" for number in range(size)])
    (row,) = tables.leaderboard(murmur_study(), rows, "").to_dict("records")
    assert np.isfinite(row["w_acc"]) and np.isfinite(row["auroc"])
    assert np.isfinite([row["w_acc_low"], row["w_acc_high"]]).all() == (subjects >= 5)
    if subjects < 5:
        assert not any(np.isfinite(row[key]) for key in row if key.endswith(("_low", "_high")))


@pytest.mark.parametrize("seed", range(4))
def test_the_recall_of_several_labels_counts_false_alarms_too(rhythm_study, seed):
    """By scikit-learn; who predicts every class for every case has .5, not 1."""
    study, rng = rhythm_study, np.random.default_rng(seed)
    classes = study.targets["rhythm"].classes
    truth, decided = rng.random((2, 60, len(classes))) < 0.4
    truth[0], truth[1] = True, False

    def scored(decided):
        key = {"target": "rhythm", "system": "s", "stage": "network", "fit_on": "none", "decision": "reference"}
        cells = [["|".join(np.array(classes)[row]) or "none" for row in values] for values in (truth, decided)]
        table = pd.DataFrame({**key, "repeat": 0, "fold": 0, "case": [f"c{k}" for k in range(60)], "label": cells[0]})
        table = table.assign(
            subject=table["case"], prediction=cells[1], uncertainty=0.1, chosen_on="none", should_refer=""
        )
        table[class_columns(classes)] = rng.random((60, len(classes)))
        return scoring.score(study.targets["rhythm"], table)["uar"]

    expected = np.mean([balanced_accuracy_score(truth[:, k], decided[:, k]) for k in range(len(classes))])
    assert scored(decided) == pytest.approx(expected)
    assert scored(np.ones_like(decided)) == pytest.approx(0.5)


@pytest.mark.parametrize("repeats", [2, 4])
def test_the_calibration_error_by_chance_is_of_cases_and_not_of_their_repeats(murmur_study, repeats):
    rng = np.random.default_rng(repeats)
    labels = rng.choice(CLASSES, 90)
    once = predictions(labels, rng.choice(CLASSES, 90))
    once[P] = rng.dirichlet([2, 1, 1], 90)
    several = pd.concat([once.assign(repeat=repeat) for repeat in range(repeats)])
    one, more = (tables.leaderboard(murmur_study(), rows, "").iloc[0] for rows in (once, several))
    assert more["ece_calibrated"] == pytest.approx(one["ece_calibrated"], rel=0.03)


def test_latex_takes_no_class_for_an_interval_and_no_small_p_for_zero(tmp_path):
    table = pd.DataFrame({"recall_risk": [0.5], "recall_risk_low": [0.7], "recall_risk_high": [0.9]})
    table = table.assign(p_bootstrap=[0.0004], p_t_test=[0.0123], difference=[0.1], difference_low=[0.05])
    writing.write_table(table.assign(difference_high=[0.15]), tmp_path / "table", "")
    text = (tmp_path / "table.tex").read_text()
    assert "recall risk & recall risk low & recall risk high" in text and "0.500 & 0.700 & 0.900" in text
    assert "$<$0.001" in text and "0.012" in text and "0.100 (0.050 to 0.150)" in text


@pytest.mark.parametrize("seed", range(4))
def test_a_multilabel_uar_needs_cases_inside_and_outside_of_every_class(rhythm_study, seed):
    """With a class that all cases have, its specificity is not known."""
    rng, names = np.random.default_rng(seed), ["af", "lbbb", "pvc"]
    target = rhythm_study().targets["rhythm"] if callable(rhythm_study) else rhythm_study.targets["rhythm"]
    has = rng.random((30, 3)) < 0.5
    p = {f"p_{name}": rng.random(30) for name in names}
    decided = ["|".join(rng.choice(names, rng.integers(0, 3), replace=False)) or "none" for _ in range(30)]

    def uar(has) -> float:
        labels = ["|".join(np.array(names)[row]) or "none" for row in has]
        rows = predictions(["x"] * 30, ["Absent"] * 30).drop(columns=P)
        return scoring.score(target, rows.assign(target="rhythm", label=labels, prediction=decided, **p))["uar"]

    assert np.isfinite(uar(has))
    column, value = rng.integers(3), bool(seed % 2)
    has[:, column] = value
    assert np.isnan(uar(has))
