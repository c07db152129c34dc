"""Metrics against scikit-learn, published check values, and cases computed by hand."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from auscult.metrics import formulas

PRESENT, UNKNOWN, ABSENT = 0, 1, 2
CHALLENGE_WEIGHTS = [5, 3, 1]

# Murmur × outcome of the 942 public patients of CirCor: abnormal, normal.
MURMUR_BY_OUTCOME = np.array([[150, 29], [43, 25], [263, 432]])


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def random_case(seed: int, cases: int = 120, classes: int = 3, decimals: int = 1):
    """Labels (all classes occur) and probabilities with many ties."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=cases - classes)])
    probabilities = np.round(rng.dirichlet(np.ones(classes), cases) + 0.2 * np.eye(classes)[labels], decimals)
    return labels, probabilities


def multilabel_case(seed: int, cases: int = 80, classes: int = 5):
    rng = np.random.default_rng(seed)
    labels = (rng.random((cases, classes)) < 0.3).astype(int)
    probabilities = np.round(np.clip(0.3 * labels + 0.7 * rng.random((cases, classes)), 0, 1), 2)
    return labels, probabilities


def circor_patients() -> tuple[np.ndarray, np.ndarray]:
    """Murmur labels and outcome (true if abnormal) of the 942 patients."""
    murmur, normal = np.repeat(np.indices((3, 2)).reshape(2, -1), MURMUR_BY_OUTCOME.ravel(), axis=1)
    return murmur, normal == 0


# Check values


def test_six_patients_with_known_metrics():
    labels = [PRESENT, PRESENT, UNKNOWN, ABSENT, ABSENT, ABSENT]
    predictions = [PRESENT, ABSENT, UNKNOWN, ABSENT, ABSENT, PRESENT]
    matrix = formulas.confusion(labels, predictions, 3)
    assert matrix.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 2]]
    assert matrix.dtype.kind == "i"
    assert formulas.weighted_accuracy(matrix, CHALLENGE_WEIGHTS) == pytest.approx(0.625)
    assert formulas.accuracy(matrix) == pytest.approx(2 / 3)
    assert formulas.recalls(matrix) == pytest.approx([0.5, 1, 2 / 3])
    assert formulas.uar(matrix) == pytest.approx((0.5 + 1 + 2 / 3) / 3)
    assert formulas.f_scores(matrix) == pytest.approx([0.5, 1, 2 / 3])
    assert formulas.f_measure(matrix) == pytest.approx(0.7222, abs=5e-5)
    cost = formulas.challenge_cost(np.not_equal(predictions, ABSENT), np.not_equal(labels, ABSENT))
    assert cost == pytest.approx(12176.667, abs=5e-4)


@pytest.mark.parametrize(
    ("prediction", "counts", "expected"),
    [
        (PRESENT, (179, 68, 695), 0.499),
        (ABSENT, (179, 68, 695), 0.387),
        (UNKNOWN, (179, 68, 695), 0.11),
        (PRESENT, (45, 17, 174), 0.500),
        (ABSENT, (45, 17, 174), 0.387),
        (PRESENT, (99, 35, 343), 0.525),
        (ABSENT, (99, 35, 343), 0.364),
        (PRESENT, (27, 16, 106), 0.467),
    ],
)
def test_floors_of_the_challenge_sets(prediction, counts, expected):
    labels = np.repeat([PRESENT, UNKNOWN, ABSENT], counts)
    matrix = formulas.confusion(labels, np.full(len(labels), prediction), 3)
    digits = 0.005 if prediction == UNKNOWN else 0.0005
    assert formulas.weighted_accuracy(matrix, CHALLENGE_WEIGHTS) == pytest.approx(expected, abs=digits)
    assert formulas.uar(matrix) == pytest.approx(1 / 3)


def test_published_recalls_give_the_published_weighted_accuracy():
    matrix = np.array([45, 17, 174])[:, None] * np.array([[0.911, 0, 0.089], [0, 0.361, 0.639], [0, 0.132, 0.868]])
    assert formulas.weighted_accuracy(matrix, CHALLENGE_WEIGHTS) == pytest.approx(0.832, abs=5e-4)
    assert formulas.uar(matrix) == pytest.approx(0.713, abs=5e-4)


def test_costs_on_the_942_patients():
    murmur, abnormal = circor_patients()
    assert np.bincount(murmur).tolist() == [179, 68, 695]
    all_cases, no_cases = np.ones(942, bool), np.zeros(942, bool)
    assert formulas.challenge_cost(all_cases, abnormal) == pytest.approx(14851, abs=0.5)
    assert formulas.challenge_cost(no_cases, abnormal) == pytest.approx(24239, abs=0.5)
    assert formulas.challenge_cost(abnormal, abnormal) == pytest.approx(5286, abs=0.5)
    assert formulas.challenge_cost(murmur != ABSENT, abnormal) == pytest.approx(16083, abs=0.5)
    perfect = formulas.confusion(murmur, murmur, 3)
    assert formulas.weighted_accuracy(perfect, CHALLENGE_WEIGHTS) == 1
    without_unknown = formulas.confusion(murmur, np.where(murmur == UNKNOWN, ABSENT, murmur), 3)
    assert formulas.weighted_accuracy(without_unknown, CHALLENGE_WEIGHTS) == pytest.approx(0.886, abs=5e-4)


def test_outcome_has_two_classes_with_weights_five_and_one():
    _, abnormal = circor_patients()
    matrix = formulas.confusion(np.where(abnormal, 0, 1), np.zeros(942, int), 2)
    assert formulas.weighted_accuracy(matrix, [5, 1]) == pytest.approx(5 * 456 / (5 * 456 + 486))


# scikit-learn


@pytest.mark.parametrize("seed", range(5))
def test_matrix_metrics_equal_scikit_learn(seed):
    labels, probabilities = random_case(seed)
    predictions = probabilities.argmax(axis=1)
    matrix = formulas.confusion(labels, predictions, 3)
    assert (matrix == oracle.confusion_matrix(labels, predictions)).all()
    assert formulas.accuracy(matrix) == pytest.approx(oracle.accuracy_score(labels, predictions))
    assert formulas.uar(matrix) == pytest.approx(oracle.balanced_accuracy_score(labels, predictions))
    assert formulas.recalls(matrix) == pytest.approx(oracle.recall_score(labels, predictions, average=None))
    assert formulas.f_measure(matrix) == pytest.approx(oracle.f1_score(labels, predictions, average="macro"))
    weights = np.take(CHALLENGE_WEIGHTS, labels)
    assert formulas.weighted_accuracy(matrix, CHALLENGE_WEIGHTS) == pytest.approx(
        oracle.accuracy_score(labels, predictions, sample_weight=weights)
    )


@pytest.mark.parametrize("decimals", [1, 2, 12])
@pytest.mark.parametrize("weighted", [False, True])
def test_ranking_equals_scikit_learn(decimals, weighted):
    labels, probabilities = random_case(7, decimals=decimals)
    weights = np.random.default_rng(1).integers(0, 4, len(labels)) * 0.75 if weighted else None
    roc, precision = (
        formulas.auroc(labels, probabilities, weights),
        formulas.auprc(labels, probabilities, weights),
    )
    for k in range(3):
        truth, scores = labels == k, probabilities[:, k]
        assert roc[k] == pytest.approx(oracle.roc_auc_score(truth, scores, sample_weight=weights))
        assert precision[k] == pytest.approx(oracle.average_precision_score(truth, scores, sample_weight=weights))


def test_macro_auroc_equals_scikit_learn():
    labels, _ = random_case(3)
    probabilities = np.random.default_rng(3).dirichlet(np.ones(3), len(labels))
    expected = oracle.roc_auc_score(labels, probabilities, multi_class="ovr")
    assert formulas.macro_auroc(labels, probabilities) == pytest.approx(expected)


def test_proper_scores_equal_scikit_learn():
    labels, _ = random_case(4)
    rng = np.random.default_rng(4)
    probabilities, weights = rng.dirichlet(np.ones(3), len(labels)), rng.integers(0, 3, len(labels))
    assert formulas.nll(labels, probabilities) == pytest.approx(oracle.log_loss(labels, probabilities))
    assert formulas.nll(labels, probabilities, weights) == pytest.approx(
        oracle.log_loss(labels, probabilities, sample_weight=weights)
    )
    assert formulas.brier(labels, probabilities) == pytest.approx(
        oracle.brier_score_loss(labels, probabilities, scale_by_half=False)
    )
    assert formulas.brier(labels, probabilities, weights) == pytest.approx(
        oracle.brier_score_loss(labels, probabilities, sample_weight=weights, scale_by_half=False)
    )


@pytest.mark.parametrize("seed", range(3))
def test_multilabel_metrics_equal_scikit_learn(seed):
    labels, probabilities = multilabel_case(seed)
    predictions = (probabilities > 0.5).astype(int)
    counts = formulas.multilabel_counts(labels, predictions)
    assert (counts == oracle.multilabel_confusion_matrix(labels, predictions)).all()
    assert formulas.macro_f1(counts) == pytest.approx(oracle.f1_score(labels, predictions, average="macro"))
    assert formulas.multilabel_f1(counts) == pytest.approx(oracle.f1_score(labels, predictions, average=None))
    assert formulas.multilabel_recalls(counts) == pytest.approx(oracle.recall_score(labels, predictions, average=None))
    assert formulas.exact_match(labels, predictions) == pytest.approx(oracle.accuracy_score(labels, predictions))
    assert formulas.macro_auroc(labels, probabilities) == pytest.approx(
        oracle.roc_auc_score(labels, probabilities, average="macro")
    )
    assert formulas.macro(formulas.auprc(labels, probabilities)) == pytest.approx(
        oracle.average_precision_score(labels, probabilities, average="macro")
    )
    safe = np.clip(probabilities, 0.01, 0.99)
    binary = [oracle.log_loss(labels[:, k], safe[:, k]) for k in range(labels.shape[1])]
    assert formulas.nll(labels, safe) == pytest.approx(np.mean(binary))
    balanced = [oracle.balanced_accuracy_score(labels[:, k], predictions[:, k]) for k in range(labels.shape[1])]
    assert formulas.uar(counts) == pytest.approx(balanced)


# By hand


def test_ties_count_half():
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.5, 0.5], [0.1, 0.9]])
    labels = [0, 0, 1, 1]
    assert formulas.auroc(labels, probabilities) == pytest.approx([3.5 / 4, 3.5 / 4])
    assert formulas.auprc(labels, probabilities) == pytest.approx([0.5 + 0.5 * 2 / 3] * 2)
    ties = np.full((4, 2), 0.5)
    assert formulas.auroc(labels, ties) == pytest.approx([0.5, 0.5])
    assert formulas.auprc(labels, ties) == pytest.approx([0.5, 0.5])


def test_calibration_by_hand():
    # Two cases in the bin of 0.9 (one correct: gap 0.4), two in the bin of 0.6 (both correct: gap 0.4).
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    assert formulas.ece([0, 1, 1, 1], probabilities) == pytest.approx(0.4)
    # In one bin, the gaps of opposite sign cancel: accuracy 3 / 4 against confidence 3 / 4.
    assert formulas.ece([0, 1, 1, 1], probabilities, bins=1) == pytest.approx(0)
    assert formulas.ece([0, 1], np.eye(2)) == 0
    assert formulas.ece([1, 0], np.eye(2)) == 1


def test_a_confidence_on_an_edge_is_in_the_lower_bin():
    probabilities = np.array([[0.5, 0.5], [0.4, 0.6]])
    # In two bins: |1 - 0.5| and |0 - 0.6|; in one bin it would be |0.5 - 0.55|.
    assert formulas.ece([0, 0], probabilities, bins=2) == pytest.approx((0.5 + 0.6) / 2)


def test_brier_and_log_loss_by_hand():
    probabilities = [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]
    assert formulas.brier([0, 1], probabilities) == pytest.approx(0.25)
    assert formulas.brier([1, 0], probabilities) == pytest.approx((2 + 1.5) / 2)
    assert formulas.nll([0, 1], probabilities) == pytest.approx(np.log(2) / 2)
    assert formulas.nll([2, 1], probabilities) == pytest.approx((np.log(1e15) + np.log(2)) / 2)


# Undefined values


def test_a_class_without_cases_is_undefined_and_left_out():
    matrix = formulas.confusion([0, 0, 1], [0, 1, 1], 3)
    assert np.isnan(formulas.recalls(matrix)[2])
    assert formulas.uar(matrix) == pytest.approx(0.75)
    assert np.isnan(formulas.f_scores(matrix)[2])
    assert formulas.f_measure(matrix) == pytest.approx(2 / 3)
    # Predicted but never true: the recall is undefined, F is 0.
    matrix = formulas.confusion([0, 0], [0, 2], 3)
    assert np.isnan(formulas.recalls(matrix)[2])
    assert formulas.f_scores(matrix)[2] == 0


def test_one_class_only():
    probabilities = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert np.isnan(formulas.auroc([0, 0], probabilities)).all()
    assert np.isnan(formulas.macro_auroc([0, 0], probabilities))
    precision = formulas.auprc([0, 0], probabilities)
    assert precision[0] == 1
    assert np.isnan(precision[1])


def test_no_cases():
    labels, scores = np.zeros(0, int), np.zeros((0, 3))
    matrix = formulas.confusion(labels, labels, 3)
    values = [
        formulas.accuracy(matrix),
        formulas.uar(matrix),
        formulas.f_measure(matrix),
        formulas.weighted_accuracy(matrix, CHALLENGE_WEIGHTS),
        formulas.macro_auroc(labels, scores),
        formulas.macro(formulas.auprc(labels, scores)),
        formulas.challenge_cost(labels.astype(bool), labels.astype(bool)),
        formulas.ece(labels, scores),
        formulas.brier(labels, scores),
        formulas.nll(labels, scores),
        formulas.exact_match(scores.astype(int), scores.astype(int)),
    ]
    assert np.isnan(values).all()


def test_multilabel_classes_without_positives_or_negatives():
    labels = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1]])
    predictions = np.array([[1, 0, 1], [0, 0, 0], [0, 0, 1]])
    roc = formulas.auroc(labels, [[0.9, 0.1, 0.5], [0.2, 0.3, 0.5], [0.8, 0.2, 0.4]])
    assert roc[0] == 1
    assert np.isnan(roc[1:]).all()
    counts = formulas.multilabel_counts(labels, predictions)
    assert formulas.multilabel_recalls(counts) == pytest.approx([0.5, np.nan, 2 / 3], nan_ok=True)
    assert formulas.multilabel_f1(counts) == pytest.approx([2 / 3, np.nan, 0.8], nan_ok=True)
    assert formulas.macro_f1(counts) == pytest.approx((2 / 3 + 0.8) / 2)


# Weights and batches

WEIGHTED = {
    "confusion": lambda y, p, w: formulas.confusion(y, p.argmax(axis=1), 3, w),
    "auroc": lambda y, p, w: formulas.auroc(y, p, w),
    "auprc": lambda y, p, w: formulas.auprc(y, p, w),
    "cost": lambda y, p, w: formulas.challenge_cost(p[:, 0] > 0.3, y == 0, w),
    "ece": lambda y, p, w: formulas.ece(y, p, weights=w),
    "brier": lambda y, p, w: formulas.brier(y, p, w),
    "nll": lambda y, p, w: formulas.nll(y, p, w),
    "multilabel": lambda y, p, w: formulas.multilabel_counts(np.eye(3, dtype=int)[y], p > 0.3, w),
    "exact": lambda y, p, w: formulas.exact_match(np.eye(3, dtype=int)[y], p > 0.3, w),
}


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_a_weight_repeats_a_case(name, dtype):
    metric = WEIGHTED[name]
    labels, probabilities = random_case(11, cases=40)
    weights = np.random.default_rng(5).integers(0, 4, size=(2, 3, 40)).astype(dtype)
    batch = metric(labels, probabilities, weights)
    assert batch.shape[:2] == (2, 3)
    for index in np.ndindex(2, 3):
        rows = np.repeat(np.arange(40), weights[index].astype(int))
        assert batch[index] == pytest.approx(metric(labels[rows], probabilities[rows], None), nan_ok=True)
        assert batch[index] == pytest.approx(metric(labels, probabilities, weights[index]), nan_ok=True)


def test_blocks_do_not_change_results(monkeypatch):
    labels, probabilities = random_case(2)
    weights = np.random.default_rng(2).integers(0, 3, size=(7, len(labels)))
    one_block = formulas.auroc(labels, probabilities, weights)
    monkeypatch.setattr(formulas, "BLOCK_SIZE", 2 * len(labels))
    assert (formulas.auroc(labels, probabilities, weights) == one_block).all()


def test_matrix_metrics_take_batches():
    rng = np.random.default_rng(6)
    batch = rng.integers(0, 5, size=(4, 2, 3, 3))
    batch[0, 0, 1] = 0
    batch[1, 1] = 0
    for metric in (
        formulas.recalls,
        formulas.uar,
        formulas.accuracy,
        formulas.f_scores,
        formulas.f_measure,
        lambda matrix: formulas.weighted_accuracy(matrix, CHALLENGE_WEIGHTS),
    ):
        values = metric(batch)
        for index in np.ndindex(4, 2):
            assert values[index] == pytest.approx(metric(batch[index]), nan_ok=True)
    assert np.isnan(formulas.uar(batch)[1, 1])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), cases=st.integers(4, 60), order=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(seed, cases, order):
    labels, probabilities = random_case(seed, cases=cases)
    weights = np.random.default_rng(seed).integers(0, 3, size=(2, cases))
    rows = list(range(cases))
    order.shuffle(rows)
    for name, metric in WEIGHTED.items():
        in_order = metric(labels, probabilities, weights)
        shuffled = metric(labels[rows], probabilities[rows], weights[:, rows])
        assert shuffled == pytest.approx(in_order, nan_ok=True, rel=1e-12), name


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_ranking_does_not_depend_on_the_scale(seed):
    labels, probabilities = random_case(seed, cases=30)
    assert (formulas.auroc(labels, probabilities) == formulas.auroc(labels, 7 * probabilities**3 - 2)).all()
    flipped = formulas.auroc(labels, -probabilities)
    assert flipped == pytest.approx(1 - formulas.auroc(labels, probabilities))


# Malformed input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: formulas.confusion([0, 3], [0, 1], 3), "class indices"),
        (lambda: formulas.confusion([0, -1], [0, 1], 3), "class indices"),
        (lambda: formulas.confusion([0.0, np.nan], [0, 1], 3), "integers"),
        (lambda: formulas.confusion([0, 1], [0], 3), "shape"),
        (lambda: formulas.auroc([0, 1], [[0.5, np.nan], [0, 1]]), "NaN"),
        (lambda: formulas.auroc([0, 1], [0.5, 0.5]), "shape"),
        (lambda: formulas.auroc([0], [[0.5, 0.5], [0.1, 0.9]]), "1 labels but 2 rows"),
        (lambda: formulas.auroc([0, 1], [[0.5, 0.5], [0.1, 0.9]], [1]), "do not fit"),
        (lambda: formulas.auroc([0, 1], [[0.5, 0.5], [0.1, 0.9]], [1, -1]), "negative"),
        (lambda: formulas.auroc([0, 1], [[0.5, 0.5], [0.1, 0.9]], [1, np.nan]), "finite"),
        (lambda: formulas.weighted_accuracy(np.eye(3), [5, 1]), "per class"),
        (lambda: formulas.weighted_accuracy(np.eye(2), [5, -1]), "non-negative"),
        (lambda: formulas.uar([1, 2]), "confusion matrix"),
        (lambda: formulas.challenge_cost([True], [True, False]), "shape"),
        (lambda: formulas.ece([[0, 1]], [[0.5, 0.5]]), "single-label"),
        (lambda: formulas.ece([0], [[0.5, 0.5]], bins=0), "bins"),
        (lambda: formulas.multilabel_counts([[0, 2]], [[0, 1]]), "0 and 1"),
        (lambda: formulas.multilabel_counts([0, 1], [0, 1]), "shape"),
        (lambda: formulas.exact_match([0, 1], [0, 1]), "shape"),
    ],
)
def test_malformed_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_against_normal_by_hand():
    """ICBHI: 6 of 8 normal cases correct; of 7 abnormal cases, 3 as their own class and 2 as another abnormal class."""
    matrix = [[6, 1, 1, 0], [1, 2, 1, 0], [1, 0, 1, 0], [0, 0, 1, 0]]
    metrics = formulas.against_normal(matrix, 0)
    assert metrics["specificity"] == 6 / 8
    assert metrics["sensitivity"] == pytest.approx(3 / 7) and metrics["sensitivity_any"] == pytest.approx(5 / 7)
    assert metrics["icbhi_score"] == pytest.approx((6 / 8 + 3 / 7) / 2) and metrics["icbhi_score_any"] == pytest.approx(
        (3 / 4 + 5 / 7) / 2
    )


def test_always_predicting_normal_scores_a_half():
    metrics = formulas.against_normal(np.diag([5, 0, 0]) + np.array([[0, 0, 0], [3, 0, 0], [2, 0, 0]]), 0)
    assert metrics["icbhi_score"] == metrics["icbhi_score_any"] == 0.5


def test_the_icbhi_score_is_a_weighted_accuracy():
    matrix = np.random.default_rng(0).integers(0, 9, (4, 4))
    normal, abnormal = matrix[2].sum(), matrix.sum() - matrix[2].sum()
    weights = [1 / abnormal, 1 / abnormal, 1 / normal, 1 / abnormal]
    assert formulas.against_normal(matrix, 2)["icbhi_score"] == pytest.approx(
        formulas.weighted_accuracy(matrix, weights)
    )


def test_the_calibration_error_by_chance_is_that_of_drawn_labels():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([2, 1, 1], size=200)
    by_chance = formulas.ece_if_calibrated(p, draws=400)
    # labels drawn from all probabilities, of which only being the most probable class matters
    labels = [[rng.choice(3, p=row) for row in p] for _ in range(200)]
    drawn = np.array([formulas.ece(y, p) for y in labels])
    assert by_chance.mean() == pytest.approx(drawn.mean(), abs=0.004)
    assert by_chance.std() == pytest.approx(drawn.std(), rel=0.25)
    assert (by_chance == formulas.ece_if_calibrated(p, draws=400)).all()
    assert np.isnan(formulas.ece_if_calibrated(np.zeros((0, 3)), draws=2)).all()


def test_a_certain_and_correct_model_has_no_error_by_chance():
    assert (formulas.ece_if_calibrated(np.eye(3), draws=5) == 0).all()


@pytest.mark.parametrize("repeats", [2, 5])
def test_a_case_in_several_repeats_is_right_or_wrong_in_all_of_them(repeats):
    """Equal rows of one case say no more than one row: the error by chance stays that of the cases."""
    p = np.random.default_rng(repeats).dirichlet([2, 1, 1], size=120)
    once, cases = formulas.ece_if_calibrated(p), np.tile(np.arange(120), repeats)
    several = formulas.ece_if_calibrated(np.tile(p, (repeats, 1)), cases)
    assert several.mean() == pytest.approx(once.mean(), rel=0.02)
    assert formulas.ece_if_calibrated(np.tile(p, (repeats, 1))).mean() < 0.85 * once.mean()  # as if they were others


def test_draws_in_blocks_are_bounded_and_the_same_in_mean():
    p = np.random.default_rng(0).dirichlet([2, 1, 1], size=30_000)  # 34 draws at a time
    assert formulas.ece_if_calibrated(p, draws=70).shape == (70,)
    assert formulas.ece_if_calibrated(p, draws=70).mean() == pytest.approx(0.0056, abs=0.0012)
