"""The audit of pretrained weights: whether they were trained on test subjects of the study.

Beside a file of weights, `<file>.json` declares what they were trained on:

    {"source": "where the weights come from",
     "heard": [{"dataset": "circor", "subjects": ["2530", "50379"]}, {"dataset": "audioset"}]}

Where `<file>.landmarks.npz` stands beside it, which is `landmarks.npz` of the data set that they were trained on,
copies of its recordings count as well, whatever their subjects are called.

`heard` lists every data set that the weights were trained on, by its name in studies. `subjects` are the subjects of
this data set that were in the training data; the key may be left out for a data set that no study tests. Names and ids
count in any writing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from auscult.datasets.base import Manifest, ids_of
from auscult.datasets.ids import folded, plain
from auscult.folds.audit import COLUMNS
from auscult.folds.planned import FoldError
from auscult.plan.names import NetworkName

OF_FILES = re.compile(r"^.*[/\\]|\.(wav|flac|mp3|ogg|hea|dat|mat|edf)$", re.IGNORECASE)
"""What a path has before and after the id."""


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


def audit_weights(
    manifest: Manifest,
    folds: pd.DataFrame,
    dataset: str,
    weights: list[tuple[str, str]],
    copies: dict[str, set[str]] | None = None,
    adapter: str = "",
) -> pd.DataFrame:
    """Return rows for the audit about the weights and encoders of systems that others trained.

    dataset, adapter: names of the data set. weights: systems with their files. copies: by file, recordings that are
    copies of those that it was trained on.
    Findings:

    - `weights_heard` (a leak): test cases of a fold whose subject, or a copy of whose recording, the weights were
      trained on,
    - `weights_unknown`: a system whose weights have no declaration, or one that lists this data set without subjects,
      with none that it has, or with a word for several (`1-20`, `all`).

    A data set whose name has the words of this one's (`CirCor-DigiScope`, `PTB-XL 1.0.3`) counts as this one. Ids of
    cases and recordings count as well, unless those of a declaration can only be subjects: in some data sets, subjects
    and recordings have the same numbers.

    Raises FoldError if a declaration is not readable.
    """
    known_ids = set().union(*map(_folded_ids, _subjects(manifest)), *_ids_of_names(manifest).values())
    case_of = manifest.recordings.set_index("recording")["case"] if copies else pd.Series(dtype=str)
    rows, names = [], [name for name in (dataset, adapter) if name and name != "folder"]
    for system, file in sorted(weights):
        copied_cases = set(case_of[sorted((copies or {}).get(file, set()))])
        declaration = _read_declaration(Path(f"{file}.json"))
        heard = declaration.heard if declaration else []
        entries = [entry for entry in heard if folded(entry.dataset) == folded(dataset)]
        entries += [entry for entry in heard if entry not in entries and _may_be(entry.dataset, names)]
        if declaration is None or any(not _lists_subjects(entry, known_ids) for entry in entries):
            rows.append(("", "", "weights_unknown", system, len(manifest.cases), ""))
        trained_cases = copied_cases | _cases_of_entries(entries, manifest)
        for (repeat, fold), test_rows in folds[folds["role"] == "test"].groupby(["repeat", "fold"]):
            rows += _leak_row(repeat, fold, f"{system}+test", test_rows["case"], trained_cases)
    return pd.DataFrame(rows, columns=COLUMNS)


def audit_pretrainings(
    manifest: Manifest,
    tables: list[pd.DataFrame],
    dataset: str,
    declarations: list[tuple[str, NetworkName | None, Path]],
) -> pd.DataFrame:
    """Return rows for the audit about the pre-trainings of a study.

    The finding is `weights_heard`: validation and test cases of a fold or inner fold, and test cases of the fold around
    an inner fold, whose subject its encoder was trained on. tables: of folds, and of inner folds as `audit.as_folds`
    gives them. declarations: (pre-training, name of the fold, file); of a pre-training on other data sets, which is for
    all folds, the name is None.

    Raises FoldError if a declaration is not readable, or is of an unknown origin.
    """
    # the workflow itself has written these ids, as the manifest has them
    ids_of_case = {case: set(ids_of(subject)) for case, subject in _subjects(manifest).items()}
    rows = []
    folds = pd.concat([table.assign(fold=table["fold"].astype(str)) for table in tables])
    for pretraining, name, file in declarations:
        declaration = _read_declaration(file)
        entries = [entry for entry in declaration.heard if entry.dataset == dataset] if declaration else []
        if declaration is None or any(entry.subjects is None for entry in entries):
            raise FoldError(f"{file}: does not say which subjects the pre-training was trained on; delete its folder")
        trained_ids = {each for entry in entries for subject in entry.subjects for each in ids_of(subject)}
        trained_cases = {case for case, ids in ids_of_case.items() if ids & trained_ids}
        for repeat, fold, role, cases in _judging(folds, name):
            rows += _leak_row(repeat, fold, f"{pretraining}+{role}", cases, trained_cases)
    return pd.DataFrame(rows, columns=COLUMNS)


def _judging(folds: pd.DataFrame, name: NetworkName | None) -> Iterator[tuple[int, str, str, pd.Series]]:
    """Cases that judge networks which start from an encoder, by (repeat, fold, role). name: of its fold, None for all.

    These are the validation and test cases of the fold or inner fold, and the test cases of the fold around it.
    """
    judging_rows = folds[folds["role"].isin(["val", "test"])]
    if name:
        fold, around = f"{name.fold}i{name.inner}" if name.is_inner else str(name.fold), str(name.fold)
        is_own = (judging_rows["fold"] == fold) | ((judging_rows["fold"] == around) & (judging_rows["role"] == "test"))
        judging_rows = judging_rows[(judging_rows["repeat"] == name.repeat) & is_own]
    for (repeat, fold, role), rows in judging_rows.groupby(["repeat", "fold", "role"]):
        yield repeat, fold, role, rows["case"]


def _cases_of_entries(entries: list[TrainingData], manifest: Manifest) -> set[str]:
    """The cases that the entries of a declaration name.

    An entry is of subjects if it has an id that only subjects have, and none that only cases or recordings have. Ids
    of any other entry may be of subjects, cases or recordings.
    """
    subject_ids = {case: _folded_ids(subject) for case, subject in _subjects(manifest).items()}
    name_ids = _ids_of_names(manifest)
    of_subjects, of_names = (set().union(*ids.values()) for ids in (subject_ids, name_ids))
    cases = set()
    for entry in entries:
        trained_ids = _ids_of_entry(entry)
        is_of_subjects = trained_ids & (of_subjects - of_names) and not trained_ids & (of_names - of_subjects)
        for case, ids in subject_ids.items():
            if trained_ids & (ids if is_of_subjects else ids | name_ids[case]):
                cases.add(case)
    return cases


def _leak_row(repeat: int, fold: str, roles: str, cases: pd.Series, trained_cases: set[str]) -> list[tuple]:
    """The row of the audit for the cases that some weights were trained on; none without such cases."""
    leaks = sorted(set(cases) & trained_cases)
    return [(repeat, fold, "weights_heard", roles, len(leaks), " ".join(leaks))] if leaks else []


def _may_be(name: str, datasets: list[str]) -> bool:
    """Whether a name in a declaration may be that of a data set, by any of its names.

    One has all words of the other, or some words of it, one after the other, are the other: `PTB-XL 1.0.3` is `ptbxl`.
    """
    first = _words(name)
    for dataset in datasets:
        second = _words(dataset)
        if first and second and (set(first) <= set(second) or set(second) <= set(first)):
            return True
        for words, whole in ((first, "".join(second)), (second, "".join(first))):
            if whole and any("".join(words[i:j]) == whole for i in range(len(words)) for j in range(i, len(words) + 1)):
                return True
    return False


def _words(name: str) -> list[str]:
    """Words and numbers of a name, in one writing; a capital letter after a small one begins a word."""
    return re.findall("[^\\W\\d_]+|\\d+", plain(re.sub("(?<=[a-z])(?=[A-Z])", " ", name)))


def _lists_subjects(entry: TrainingData, known_ids: set[str]) -> bool:
    """Whether an entry has ids of the data set, and none of its words stands for several of them."""
    for name in entry.subjects or []:
        if not _folded_ids(name) & known_ids:
            ends = [folded(end) for end in re.split(r"\s*(?:-|\.\.|–|to)\s*", name)]
            is_range = len(ends) == 2 and set(ends) <= known_ids
            if is_range or re.search(r"[,;*]", name) or plain(name).startswith("all"):
                return False
    return bool(known_ids & _ids_of_entry(entry))


def _subjects(manifest: Manifest) -> pd.Series:
    """The subject of each case."""
    return manifest.cases.set_index("case")["subject"]


def _ids_of_names(manifest: Manifest) -> dict[str, set[str]]:
    """By case, the folded ids of itself and of its recordings."""
    ids = {case: {folded(case)} for case in manifest.cases["case"]}
    if "recording" in manifest.recordings:
        for recording, case in zip(manifest.recordings["recording"], manifest.recordings["case"], strict=True):
            ids[case].add(folded(recording))
    return ids


def _ids_of_entry(entry: TrainingData) -> set[str]:
    """The folded ids of an entry; of files that it lists, their names without folders and suffixes."""
    names = [OF_FILES.sub("", name) for name in entry.subjects or []]
    return {each for name in names for each in _folded_ids(name)}


def _folded_ids(subject: str) -> set[str]:
    return {folded(name) for name in ids_of(subject)}


def _read_declaration(path: Path) -> Declaration | None:
    if not path.is_file():
        return None
    try:
        return Declaration.model_validate(json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_keys_once))
    except (ValueError, RecursionError) as error:
        raise FoldError(f"{path}: not a declaration of what weights were trained on: {error}") from error


def _keys_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of a JSON file. Raises ValueError for a key that is there twice, of which Python keeps the last."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return values
