"""Bootstrap over subjects, paired differences and the corrected t-test."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from auscult.metrics import formulas, intervals


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def subject_names(count: int) -> np.ndarray:
    return np.array([f"subject-{k}" for k in range(count)])


# Draws


def test_draws_are_bootstrap_samples_of_subjects():
    subjects = np.array(["b", "a", "b", "c", "a", "b"])
    draws = intervals.subject_draws(subjects, draws=500, seed=3)
    assert draws.shape == (500, 6)
    assert (draws[:, subjects == "b"] == draws[:, [0]]).all()
    assert (draws[:, 1] == draws[:, 4]).all()
    # As many subjects as there are, in every draw; all of them possible, once on average.
    assert (draws[:, 0] + draws[:, 1] + draws[:, 3] == 3).all()
    assert draws[:, [0, 1, 3]].mean(axis=0) == pytest.approx([1, 1, 1], abs=0.15)
    assert set(np.unique(draws)) == {0, 1, 2, 3}


def test_draws_follow_the_seed():
    first, same_seed, other_seed = (
        intervals.subject_draws(subject_names(20), draws=5, seed=seed) for seed in (1, 1, 2)
    )
    assert (first == same_seed).all()
    assert (first != other_seed).any()


@settings(max_examples=40, deadline=None)
@given(
    subjects=st.lists(st.sampled_from(["10", "9", "2530", "é", "a b"]), min_size=1, max_size=30),
    order=st.randoms(use_true_random=False),
)
def test_draws_do_not_depend_on_the_order_of_rows(subjects, order):
    rows = list(range(len(subjects)))
    order.shuffle(rows)
    in_order = intervals.subject_draws(subjects, draws=20, seed=0)
    shuffled = intervals.subject_draws([subjects[row] for row in rows], draws=20, seed=0)
    assert (shuffled == in_order[:, rows]).all()


@pytest.mark.parametrize("subjects", [["a", ""], ["a", 1], ["a", None], ["a", float("nan")], []])
def test_unknown_subjects_are_refused(subjects):
    with pytest.raises(ValueError, match=r"subjects must be|at least one row"):
        intervals.subject_draws(subjects)


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match="one draw"):
        intervals.subject_draws(["a"], draws=0)


# Bootstrap


def example(cases: int = 150):
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=cases)
    probabilities = rng.dirichlet(np.ones(3), cases) + 0.3 * np.eye(3)[labels]
    return (
        labels,
        probabilities / probabilities.sum(axis=1, keepdims=True),
        subject_names(60)[rng.integers(60, size=cases)],
    )


def test_weights_equal_repeated_rows():
    labels, probabilities, subjects = example()
    predictions = probabilities.argmax(axis=1)
    draws = intervals.subject_draws(subjects, draws=25, seed=0)
    uar = formulas.uar(formulas.confusion(labels, predictions, 3, draws))
    area = formulas.macro_auroc(labels, probabilities, draws)
    for k, draw in enumerate(draws):
        rows = np.repeat(np.arange(len(labels)), draw.astype(int))
        assert uar[k] == pytest.approx(formulas.uar(formulas.confusion(labels[rows], predictions[rows], 3)))
        assert area[k] == pytest.approx(formulas.macro_auroc(labels[rows], probabilities[rows]))


def test_bootstrap_of_one_number_and_of_one_per_class():
    labels, probabilities, subjects = example()
    predictions = probabilities.argmax(axis=1)
    draws = intervals.subject_draws(subjects, draws=300)
    uar = intervals.bootstrap(lambda w: formulas.uar(formulas.confusion(labels, predictions, 3, w)), draws)
    assert uar.value == pytest.approx(formulas.uar(formulas.confusion(labels, predictions, 3)))
    assert 0 < uar.low < uar.value < uar.high < 1
    aurocs = intervals.bootstrap(lambda w: formulas.auroc(labels, probabilities, w), draws)
    assert aurocs.value == pytest.approx(formulas.auroc(labels, probabilities))
    assert (aurocs.low < aurocs.value).all()
    assert (aurocs.value < aurocs.high).all()


def test_repeats_of_every_case_do_not_narrow_the_interval():
    labels, probabilities, subjects = example()

    def repeated(times: int) -> intervals.Estimate:
        y, p, s = np.tile(labels, times), np.tile(probabilities, (times, 1)), np.tile(subjects, times)
        draws = intervals.subject_draws(s, draws=200)
        return intervals.bootstrap(lambda w: formulas.macro_auroc(y, p, w), draws)

    assert repeated(3) == pytest.approx(repeated(1))


def test_standard_error_of_weighted_accuracy_on_942_patients():
    # Recalls .911, .361 and .868. With the class counts fixed the standard error is 0.0135; the bootstrap
    # draws the counts too, and gives that of a ratio: root of the sum of squares of w (correct - W), over the
    # sum of w.
    matrix = np.array([[163, 0, 16], [0, 25, 43], [0, 92, 603]])
    labels, predictions = np.repeat(np.indices((3, 3)).reshape(2, -1), matrix.ravel(), axis=1)
    weights, correct = np.take([5, 3, 1], labels), labels == predictions
    expected = np.linalg.norm(weights * (correct - np.average(correct, weights=weights))) / weights.sum()
    assert 0.0135 < expected < 0.0155
    draws = intervals.subject_draws(subject_names(942), draws=5000)
    values = formulas.weighted_accuracy(formulas.confusion(labels, predictions, 3, draws), [5, 3, 1])
    assert values.std() == pytest.approx(expected, rel=0.03)


def test_coverage_of_a_share():
    rng = np.random.default_rng(0)
    subjects, truth, hits, studies = subject_names(200), 0.7, 0, 300
    draws = intervals.subject_draws(subjects, draws=400)
    for _ in range(studies):
        correct = (rng.random(200) < truth).astype(int)
        low, high = intervals.interval(formulas.accuracy(formulas.confusion(np.ones(200, int), correct, 2, draws)))
        hits += low <= truth <= high
    assert 0.91 <= hits / studies <= 0.98


# Intervals


def test_interval_is_a_percentile_and_ignores_nan():
    values = np.append(np.arange(101.0), [np.nan, np.nan])
    assert intervals.interval(values) == pytest.approx((2.5, 97.5))
    assert intervals.interval(values, level=0.5) == pytest.approx((25, 75))
    columns = np.stack([values, np.full(103, np.nan)], axis=1)
    low, high = intervals.interval(columns)
    assert low == pytest.approx([2.5, np.nan], nan_ok=True)
    assert high == pytest.approx([97.5, np.nan], nan_ok=True)


def test_interval_of_no_values():
    assert np.isnan(intervals.interval([np.nan, np.nan])).all()
    assert np.isnan(intervals.interval([])).all()


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_outside_its_range_is_refused(level):
    with pytest.raises(ValueError, match="level"):
        intervals.interval([1, 2], level=level)


# Paired differences


def test_equal_systems_do_not_differ():
    values = np.random.default_rng(0).random(100)
    assert intervals.paired_difference(values, values + 1e-16) == (0, 0, 0, 1)


def test_a_constant_difference_has_the_smallest_p():
    values = np.random.default_rng(0).random(99)
    difference = intervals.paired_difference(values + 0.1, values)
    assert difference == pytest.approx((0.1, 0.1, 0.1, 2 / 100))
    assert intervals.paired_difference(values, values + 0.1).difference == pytest.approx(-0.1)


def test_p_agrees_with_the_interval():
    rng = np.random.default_rng(1)
    for shift in np.linspace(-4, 4, 41):
        difference = intervals.paired_difference(rng.normal(shift, 1, 1000), np.zeros(1000), observed=shift)
        assert difference.difference == shift
        outside = difference.low > 0 or difference.high < 0
        assert outside == (difference.p < 0.05) or 0.04 < difference.p < 0.06
        assert difference.p == pytest.approx(2 * stats.norm.sf(abs(shift)), abs=0.08)


def test_undefined_draws_are_left_out_of_the_pair():
    difference = intervals.paired_difference([1, np.nan, 3], [0, 0, np.nan])
    assert difference == pytest.approx((1, 1, 1, 1))
    no_draw = intervals.paired_difference([np.nan], [1.0], observed=0.2)
    assert no_draw.difference == 0.2
    assert np.isnan(no_draw[1:]).all()


def test_unpaired_draws_are_refused():
    with pytest.raises(ValueError, match="same draws"):
        intervals.paired_difference([1, 2], [1, 2, 3])


# Corrected t-test


def test_t_test_by_hand():
    # Mean 2, variance 1, three folds, two training cases per test case: t = 2 / sqrt(1/3 + 1/2).
    t_test = intervals.corrected_t_test([1, 2, 3], train_test_ratio=2)
    t = 2 / np.sqrt(5 / 6)
    assert t_test == pytest.approx((2, t, 2 * stats.t.sf(t, 2)))
    mirrored = intervals.corrected_t_test([-1, -2, -3], train_test_ratio=2)
    assert mirrored == pytest.approx((-2, -t, t_test.p))


def test_t_test_tends_to_the_uncorrected_one():
    differences = np.random.default_rng(0).normal(0.5, 1, 10)
    uncorrected = stats.ttest_1samp(differences, 0)
    t_test = intervals.corrected_t_test(differences, train_test_ratio=1e12)
    assert (t_test.t, t_test.p) == pytest.approx((uncorrected.statistic, uncorrected.pvalue))
    assert intervals.corrected_t_test(differences, train_test_ratio=9).p > t_test.p


def test_t_test_without_spread_is_undefined():
    for differences in ([0.1], [0.1, 0.1, 0.1], [0.3, 0.1 + 0.2]):
        mean, t, p = intervals.corrected_t_test(differences, 9)
        assert mean == pytest.approx(differences[0])
        assert np.isnan([t, p]).all()
    assert np.isnan(intervals.corrected_t_test([np.nan], 9)).all()
    with_gap = intervals.corrected_t_test([1, np.nan, 2, 3], 2)
    assert with_gap == intervals.corrected_t_test([1, 2, 3], 2)


@pytest.mark.parametrize("ratio", [0, -1, np.nan])
def test_a_ratio_that_is_not_positive_is_refused(ratio):
    with pytest.raises(ValueError, match="train_test_ratio"):
        intervals.corrected_t_test([1, 2], ratio)
