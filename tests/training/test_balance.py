"""Class balance: weights worked by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from auscult.config.systems import Head
from auscult.training.balance import class_weights, draw_weights

NAN = np.nan
BINARY = {"present": Head(label="murmur", positive=["Present"])}
GRADES = {"grade": Head(label="grade", kind="multiclass", classes=["I", "II", "III"])}
RHYTHMS = {"rhythm": Head(label="rhythm", kind="multilabel", classes=["af", "pvc"])}


def floats(rows) -> np.ndarray:
    return np.array(rows, np.float32)


def test_binary_head():
    targets = floats([[1], [0], [0], [0], [NAN]])
    assert class_weights(BINARY, targets, balanced=True) == pytest.approx(floats([[4 / 6], [4 / 2]]))
    assert draw_weights(BINARY, targets) == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3, 0])


def test_multiclass_head():
    targets = floats([[1, 0, 0]] * 3 + [[0, 1, 0]] * 2 + [[0, 0, 1]] + [[NAN] * 3])
    assert class_weights(GRADES, targets, balanced=True)[1] == pytest.approx([6 / 9, 6 / 6, 6 / 3])
    assert draw_weights(GRADES, targets) == pytest.approx([2 / 3] * 3 + [1] * 2 + [2, 0])


def test_multilabel_head_balances_every_class_by_itself():
    targets = floats([[1, 0], [1, 1], [1, 0], [0, 0]])
    assert class_weights(RHYTHMS, targets, balanced=True) == pytest.approx(floats([[2, 4 / 6], [4 / 6, 2]]))


@pytest.mark.parametrize("seed", range(3))
def test_as_scikit_learn(seed):
    labels = np.random.default_rng(seed).choice(3, 50, p=[0.6, 0.3, 0.1])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert class_weights(GRADES, np.eye(3)[labels], balanced=True)[1] == pytest.approx(expected, rel=1e-6)
    rare = (labels == 2).astype(int)
    expected = compute_class_weight("balanced", classes=np.arange(2), y=rare)
    assert class_weights(BINARY, floats(rare[:, None]), balanced=True)[:, 0] == pytest.approx(expected, rel=1e-6)


def test_every_class_is_drawn_as_often():
    labels = np.repeat([0, 1, 2], [30, 12, 3])
    weights = draw_weights(GRADES, np.eye(3)[labels])
    assert np.bincount(labels, weights) == pytest.approx([15, 15, 15])


def test_several_heads_draw_by_the_mean_of_their_weights():
    heads, binary = {**BINARY, **GRADES}, floats([[1], [0], [NAN]])
    grades = floats([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    both = draw_weights(heads, np.concatenate([binary, grades], axis=1))
    assert both == pytest.approx((draw_weights(BINARY, binary) + draw_weights(GRADES, grades)) / 2)


def test_without_balance_all_weigh_one():
    assert (class_weights(RHYTHMS, floats([[1, 0], [0, 0]]), balanced=False) == 1).all()


def test_an_absent_class_has_a_finite_weight():
    assert np.isfinite(class_weights(GRADES, floats([[1, 0, 0], [0, 1, 0]]), balanced=True)).all()
