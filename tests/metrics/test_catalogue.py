"""The catalogue of metrics: one row is enough to show a metric in every table and in the report."""

import numpy as np
import pytest
from hypothesis import given

from auscult.evaluation import scoring, tables
from auscult.metrics import catalogue
from auscult.metrics.catalogue import Metric
from auscult.report import cells, page
from tests.evaluation.test_tables import random_predictions
from tests.names import NAMES, distinct


def recall_of_last(scored: catalogue.Scored):
    return scored.recalls[..., -1]


NEW_METRIC = Metric(
    "recall_of_last",
    "Last",
    "recall of the last class",
    "Share of the last class that is found.",
    "Decisions",
    recall_of_last,
    interval="percentile",
    places=frozenset({"floors", "subgroups"}),
)


def test_a_new_metric_is_in_every_table(monkeypatch, murmur_study):
    monkeypatch.setattr(catalogue, "METRICS", (*catalogue.METRICS, NEW_METRIC))
    study, table = murmur_study(), random_predictions()
    row = tables.leaderboard(study, table, "").iloc[0]
    assert row["recall_of_last"] == row["recall_Absent"]
    assert row["recall_of_last_low"] <= row["recall_of_last"] <= row["recall_of_last_high"]
    assert row["recall_of_last_low"] < row["recall_of_last_high"]
    folds = tables.cross_validation(study, table, "")
    assert folds["recall_of_last"].notna().any()
    floors = tables.floors(study, table).set_index("always")["recall_of_last"]
    assert floors.to_dict() == {"Present": 0.0, "Unknown": 0.0, "Absent": 1.0}


def test_keys_are_unique_and_none_begins_with_the_prefix_of_another():
    keys = [metric.key for metric in (*catalogue.METRICS, *catalogue.class_metrics())]
    assert len(set(keys)) == len(keys)
    prefixes = tuple(metric.key for metric in catalogue.class_metrics())
    assert not [key for key in keys if key.startswith(prefixes) and key not in prefixes]
    assert all(metric.label and metric.name and metric.meaning for metric in catalogue.METRICS)


def test_a_draw_with_every_case_once_gives_the_value_itself(murmur_study):
    target, table = murmur_study().targets["murmur"], scoring.labelled_rows(random_predictions())
    arrays = scoring._arrays(target, table)
    drawn_once = scoring._arrays(target, table, np.ones((2, len(table)), dtype=np.float32))
    for metric in catalogue.with_interval():
        value = metric.value(arrays)
        if value is not None:
            assert metric.value(drawn_once) == pytest.approx(np.full(2, value), abs=1e-6), metric.key


def test_higher_is_better_agrees_with_correct_and_wrong_predictions():
    truth = np.array([0, 1, 2, 0, 1, 2])
    correct = np.eye(3)[truth] * 0.98 + 0.01
    wrong = np.roll(correct, 1, axis=1)
    referred = np.isin(truth, (0, 1))

    def scored(p: np.ndarray) -> catalogue.Scored:
        decision = p.argmax(axis=1)
        return catalogue.Scored(truth, decision, p, [5, 3, 1], False, 2, np.isin(decision, (0, 1)), referred)

    for metric in catalogue.METRICS:
        good, bad = metric.value(scored(correct)), metric.value(scored(wrong))
        if good is not None and metric.key != "ece_calibrated":  # which no label enters
            assert (good > bad) == metric.higher_is_better and good != bad, metric.key


def test_metrics_with_first_are_before_others():
    assert [metric.key for metric in catalogue.metrics_of("text of normal")] == ["icbhi_score", "uar"]
    assert [metric.key for metric in catalogue.metrics_of("text")] == ["w_acc", "uar"]


def test_the_report_has_the_metrics_of_the_catalogue_and_no_others():
    keys = {metric.key for metric in catalogue.METRICS}
    assert set(cells.METRICS) == keys | {metric.key for metric in catalogue.class_metrics()}
    assert sorted(key for group in page.GROUPS.values() for key in group) == sorted(keys)
    assert cells.METRICS["nll"][1].endswith("Lower is better.") and "better" not in cells.METRICS["uar"][1]


@given(classes=distinct(2, 6))
def test_no_class_has_the_column_of_another_metric(classes):
    size = 4 * len(classes)
    truth = np.arange(size) % len(classes)
    p = np.random.default_rng(0).dirichlet(np.ones(len(classes)), size)
    row = catalogue.values(catalogue.Scored(truth, p.argmax(axis=1), p, [1.0] * len(classes)), classes)
    single = {metric.key for metric in catalogue.METRICS}
    of_classes = [catalogue.class_of(column) for column in row if column not in single]
    assert of_classes == [("recall_", name) for name in classes] + [("auroc_", name) for name in classes]
    assert not set(row) & {f"{metric.key}{end}" for metric in catalogue.with_interval() for end in ("_low", "_high")}


@given(name=NAMES)
def test_a_column_says_its_class_and_the_report_shows_it(name):
    for metric in catalogue.class_metrics():
        column = catalogue.class_column(metric.key, name)
        assert catalogue.class_of(column) == (metric.key, name) and page._key(column) == metric.key


def test_columns_of_ordinary_classes_and_of_intervals():
    assert catalogue.class_column("auroc_", "Present") == "auroc_Present"
    assert catalogue.class_column("recall_", "low") == "recall_low"
    assert catalogue.class_column("auroc_", "low") == "auroc_'low'"
    assert catalogue.class_of("auroc_low") is None and page._key("auroc_high") == ""
