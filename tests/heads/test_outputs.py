"""Logits to probabilities, head by head."""

import math

import pytest
import torch

from auscult.config.systems import Head
from auscult.heads.outputs import activate

HEADS = {
    "present": Head(label="murmur", positive=["Present"]),
    "grade": Head(label="grade", kind="multiclass", classes=["I", "II", "III"]),
    "rhythm": Head(label="rhythm", kind="multilabel", classes=["af", "pvc"]),
}


def test_activate():
    logits = torch.tensor([[0.0, 0.0, 0.0, math.log(2), 3.0, -3.0]])
    expected = [0.5, 0.25, 0.25, 0.5, 1 / (1 + math.exp(-3)), 1 / (1 + math.exp(3))]
    assert activate(logits, HEADS)[0].tolist() == pytest.approx(expected)
    stacked = activate(logits.expand(2, 3, 6), HEADS)
    assert stacked.shape == (2, 3, 6) and stacked[1, 2].tolist() == pytest.approx(expected)
