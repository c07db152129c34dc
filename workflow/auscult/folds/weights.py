"""The audit of pretrained weights: whether they were trained on test subjects of the study.

Beside a file of weights, `<file>.json` declares what they were trained on:

    {"source": "where the weights come from",
     "heard": [{"dataset": "circor", "subjects": ["2530", "50379"]}, {"dataset": "audioset"}]}

`heard` lists every data set that the weights were trained on, by its name in studies. `subjects` are the subjects of
this data set that were in the training data; the key may be left out for a data set that no study tests.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from auscult.datasets.base import Manifest, ids_of
from auscult.folds.audit import COLUMNS
from auscult.folds.planned import FoldError


class TrainingData(BaseModel):
    """One data set that weights were trained on."""

    model_config = ConfigDict(extra="forbid")
    dataset: str
    subjects: list[str] | None = None


class Declaration(BaseModel):
    """The declaration `<file>.json` of a file of weights."""

    model_config = ConfigDict(extra="forbid")
    source: str
    heard: list[TrainingData]


def audit_weights(manifest: Manifest, folds: pd.DataFrame, dataset: str, weights: dict[str, str]) -> pd.DataFrame:
    """Return rows for the audit about the pretrained weights of systems.

    `weights` maps systems to files. Findings:

    - `weights_heard` (a leak): test cases of a fold whose subject the weights were trained on,
    - `weights_unknown`: a system whose weights have no declaration, or one that lists this data set without subjects.

    Raises FoldError if a declaration is not readable.
    """
    subjects = manifest.cases.set_index("case")["subject"]
    rows = []
    for system, file in sorted(weights.items()):
        declaration = _read_declaration(Path(f"{file}.json"))
        entries = [entry for entry in declaration.heard if entry.dataset == dataset] if declaration else []
        if declaration is None or any(entry.subjects is None for entry in entries):
            rows.append(("", "", "weights_unknown", system, len(subjects), ""))
            continue
        trained_ids = {name for entry in entries for subject in entry.subjects or [] for name in ids_of(subject)}
        for (repeat, fold), test_rows in folds[folds["role"] == "test"].groupby(["repeat", "fold"]):
            leaks = [case for case in sorted(test_rows["case"]) if trained_ids & ids_of(subjects[case])]
            if leaks:
                ids = " ".join(leaks)
                rows.append((repeat, fold, "weights_heard", f"{system}+test", len(leaks), ids))
    return pd.DataFrame(rows, columns=COLUMNS)


def _read_declaration(path: Path) -> Declaration | None:
    if not path.is_file():
        return None
    try:
        return Declaration.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise FoldError(f"{path}: not a declaration of what weights were trained on: {error}") from error
