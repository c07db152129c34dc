"""Judge a packed winner on labelled recordings of another data set."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from auscult.config.dataset import OtherLabel
from auscult.datasets.base import Manifest
from auscult.evaluation.external import ExternalError, check_referral, external_table, judged_rows, words_of
from auscult.prediction.inputs import labelled_cases
from auscult.prediction.pack import Packed
from auscult.prediction.predict import apply_winner
from auscult.progress import note
from auscult.training.job import Resources


def validate(
    packed: Packed, root: Path, form: str | None, labels: dict[str, OtherLabel], work: Path, resources: Resources
) -> tuple[pd.DataFrame, pd.DataFrame, Manifest]:
    """The table of scores, the predictions beside the labels, and the manifest of the recordings.

    labels: by target, what the other data set calls it, see `evaluation.external`; the rest as `predict.apply_winner`.
    Raises ExternalError, before anything is computed, for labels that cannot be compared, and where the study knows
    every case.
    """
    study, form = packed.study, form or packed.study.dataset.adapter
    dataset = study.dataset.model_copy(update={"root": str(root)})
    columns = [labels[name].column if name in labels else target.label for name, target in study.targets.items()]
    columns += [target.referral.label for target in study.targets.values() if target.referral]
    listing = labelled_cases(dataset, form, columns)
    cases = listing.cases.reset_index(drop=True)
    place = f"the study's key external.{form}"
    comparable = [name for name in packed.winners if name in labels or study.targets[name].label in cases]
    if not comparable:
        raise ExternalError(f"the cases have no label of {', '.join(packed.winners)}; name their columns in {place}")
    note(f"scored: {', '.join(comparable)}")
    words = {name: words_of(study.targets[name], cases, labels.get(name), f"{place}.{name}") for name in comparable}
    for name in comparable:
        check_referral(study.targets[name], cases)
    predictions, manifest, known_ids = apply_winner(packed, root, form, work, resources)
    # where one case of a subject is known, so is the subject
    known_cases = set(cases.loc[cases["subject"].isin(cases.loc[cases["case"].isin(known_ids), "subject"]), "case"])
    if not set(cases["case"]) - known_cases:
        raise ExternalError(
            "every case is one of the study's, by its samples or by the id of its case or subject; if they are other "
            "persons, give them ids that the study does not have"
        )
    rows = [judged_rows(study, name, predictions[predictions["target"] == name], cases, words[name]) for name in words]
    rows = pd.concat(rows, ignore_index=True)
    marks = [packed.leak, "" if listing.subjects_known else "subjects unknown"]
    mark = "; ".join(dict.fromkeys(mark for mark in marks if mark))
    return external_table(study, rows, cases, listing.columns, known_cases, root.name, mark), rows, manifest
