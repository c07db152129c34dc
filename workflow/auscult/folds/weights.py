"""The audit of weights learnt elsewhere: whether they heard the subjects that a study judges.

Beside a file of weights, `<file>.json` declares it:

    {"source": "where the weights come from",
     "heard": [{"dataset": "circor", "subjects": ["2530", "50379"]}, {"dataset": "audioset"}]}

`heard` lists every data set that the weights were learnt from, under the name that studies give it; `subjects` those of
it that were heard, and may be left out for a data set that no study judges.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from auscult.datasets.base import Manifest
from auscult.folds.audit import COLUMNS
from auscult.folds.planned import FoldError


class Heard(BaseModel):
    """One data set that weights were learnt from."""

    model_config = ConfigDict(extra="forbid")
    dataset: str
    subjects: list[str] | None = None


class Declaration(BaseModel):
    """What a file of weights has heard."""

    model_config = ConfigDict(extra="forbid")
    source: str
    heard: list[Heard]


def audit_weights(manifest: Manifest, folds: pd.DataFrame, dataset: str, weights: dict[str, str]) -> pd.DataFrame:
    """Rows for the audit: test cases whose subject the weights of a system heard, or that nobody knows.

    `weights` maps systems to files. Findings: `weights_heard` (a leak) counts test cases of a fold; `weights_unknown`
    stands for a system without a declaration, or with one that lists no subjects of this data set. Raises FoldError
    for a declaration that is not readable.
    """
    subjects = manifest.cases.set_index("case")["subject"]
    rows = []
    for system, file in sorted(weights.items()):
        declared = _declaration(Path(f"{file}.json"))
        here = [part for part in declared.heard if part.dataset == dataset] if declared else []
        if declared is None or any(part.subjects is None for part in here):
            rows.append(("", "", "weights_unknown", system, len(subjects), ""))
            continue
        known = {name for part in here for subject in part.subjects or [] for name in subject.split("+")}
        for (repeat, fold), part in folds[folds["role"] == "test"].groupby(["repeat", "fold"]):
            # a subject recorded under several ids is known by any of them
            heard = [case for case in sorted(part["case"]) if known & set(subjects[case].split("+"))]
            if heard:
                rows.append((repeat, fold, "weights_heard", f"{system}+test", len(heard), " ".join(heard)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _declaration(path: Path) -> Declaration | None:
    if not path.is_file():
        return None
    try:
        return Declaration.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise FoldError(f"{path}: not a declaration of what weights heard: {error}") from error
