"""The catalogue of metrics: one row is enough for a metric to stand in every table and in the report."""

import numpy as np
import pytest

from auscult.evaluation import scoring, tables
from auscult.metrics import catalogue, formulas
from auscult.metrics.catalogue import Metric
from auscult.report import cells, page
from tests.evaluation.test_tables import made


def recall_of_the_last(scored: catalogue.Scored):
    """Recall of the last class."""
    return scored.recalls[..., -1]


MADE_UP = Metric(
    "recall_of_last",
    "Last",
    "recall of the last class",
    "Share of the last class that is found.",
    "Decisions",
    recall_of_the_last,
    interval="percentile",
    places=frozenset({"floors", "subgroups"}),
)


@pytest.fixture
def with_a_new_metric(monkeypatch):
    monkeypatch.setattr(catalogue, "METRICS", (*catalogue.METRICS, MADE_UP))


def test_a_new_metric_stands_in_every_table(with_a_new_metric, murmur_study):
    study, table = murmur_study(), made()
    row = tables.leaderboard(study, table, "").iloc[0]
    assert row["recall_of_last"] == row["recall_Absent"]
    assert row["recall_of_last_low"] <= row["recall_of_last"] <= row["recall_of_last_high"]
    assert row["recall_of_last_low"] < row["recall_of_last_high"]
    folds = tables.cross_validation(study, table, "")
    assert folds["recall_of_last"].notna().any()
    floors = tables.floors(study, table).set_index("always")["recall_of_last"]
    assert floors.to_dict() == {"Present": 0.0, "Unknown": 0.0, "Absent": 1.0}


def test_keys_are_told_apart():
    keys = [metric.key for metric in (*catalogue.METRICS, *catalogue.class_metrics())]
    assert len(set(keys)) == len(keys)
    beginnings = tuple(metric.key for metric in catalogue.class_metrics())
    assert not [key for key in keys if key.startswith(beginnings) and key not in beginnings]
    assert all(metric.label and metric.name and metric.meaning for metric in catalogue.METRICS)


def test_a_draw_of_every_case_once_is_the_value_itself(murmur_study):
    target, table = murmur_study().targets["murmur"], scoring.scored(made())
    arrays = scoring._arrays(target, table)
    once = scoring._arrays(target, table, np.ones((2, len(table)), dtype=np.float32))
    for metric in catalogue.with_interval():
        value = metric.value(arrays)
        if value is not None:
            assert metric.value(once) == pytest.approx(np.full(2, value), abs=1e-6), metric.key


def test_better_is_what_the_row_says():
    """Right and sure decisions are at least as good as wrong and sure ones by every metric that sees them."""
    truth = np.array([0, 1, 2, 0, 1, 2])
    right = np.eye(3)[truth] * 0.98 + 0.01
    wrong = np.roll(right, 1, axis=1)
    referred = np.isin(truth, (0, 1))

    def scored(p: np.ndarray) -> catalogue.Scored:
        decision = p.argmax(axis=1)
        return catalogue.Scored(truth, decision, p, [5, 3, 1], False, 2, np.isin(decision, (0, 1)), referred)

    for metric in catalogue.METRICS:
        good, bad = metric.value(scored(right)), metric.value(scored(wrong))
        if good is not None:
            assert (good > bad) == metric.higher_is_better and good != bad, metric.key


def test_shown_first_are_the_metrics_that_say_so():
    assert [metric.key for metric in catalogue.shown("text of normal")] == ["icbhi_score", "uar"]
    assert [metric.key for metric in catalogue.shown("text")] == ["w_acc", "uar"]
    assert formulas.__name__ == "auscult.metrics.formulas"


def test_the_report_explains_every_metric_and_lists_none_of_its_own():
    keys = {metric.key for metric in catalogue.METRICS}
    assert set(cells.METRICS) == keys | {metric.key for metric in catalogue.class_metrics()}
    assert sorted(key for group in page.GROUPS.values() for key in group) == sorted(keys)
    assert cells.METRICS["nll"][1].endswith("Lower is better.") and "better" not in cells.METRICS["uar"][1]
