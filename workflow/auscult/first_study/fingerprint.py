"""What the recordings of a folder are like: form, lengths, rates, where the energy lies, labels, subjects."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.signal

from auscult import datasets
from auscult.cache.audio import as_float
from auscult.config.dataset import Dataset
from auscult.datasets import audio
from auscult.datasets.base import HEADER_COLUMNS, RECORDING_COLUMNS, Listing, Manifest
from auscult.datasets.build import build
from auscult.datasets.errors import DatasetError
from auscult.datasets.folder import SUBJECT_WORDS, is_other_name, subject_columns
from auscult.datasets.ids import plain, same_but_for_writing
from auscult.datasets.tables import read_table, row_number
from auscult.datasets.walk import SOUNDS, files_below, files_in, is_utf8, printable
from auscult.first_study.class_folders import class_folders, write_tables
from auscult.progress import note

SAMPLE = 200
"""Recordings whose spectra are measured, drawn with a fixed seed."""
SHARE = 0.999
"""Of the energy of a recording's differences between samples, that lies below `energy_hz`."""
MOST_CLASSES, FEWEST_SUBJECTS = 20, 3
NONE = "none"
"""In cells with several classes: none of them."""
MISSING = {"na", "n/a", "nan", "null", "#n/a"}
"""Cells, in lower case, by which programs write that a value is missing."""
PART = re.compile(
    r"(train|training|test|val|valid|validation|dev|eval)[-_ ]?(set|data|\d+)?|(fold|split|part|cv)[-_ ]?\d+"
)
PERSON = re.compile(rf"({'|'.join(sorted(SUBJECT_WORDS))}|pt|sub)[-_ ]?\d+")
ROW_NAMES = re.compile(r"(unnamed: \d+|index|row|row[ _]?(no|nr|number)|no|nr|number|#)\.?")
PART_COLUMNS = {"fold", "split", "set", "part", "partition", "subset", "role", "usage"}
"""Columns that say where a case belongs, not what it is."""


class FirstStudyError(Exception):
    """No study can be written for a folder; the message says what to do."""


@dataclass(frozen=True)
class Fingerprint:
    """A folder of recordings as a study sees it.

    dataset: as it was read, with the options of its adapter. labels: by name of a column, the number of cases of each
    class, the largest first, and of subjects of each class. several: label columns whose cells have several classes.
    candidates: columns that may name subjects and were not used. unused: columns of cases.csv without a use. unlisted:
    sound files that recordings.csv does not list. rates: recordings by rate in Hz. energy_hz: the frequency below which
    nearly all energy of nine tenths of the recordings lies (see `SHARE`). spread: median standard deviation of a
    channel, in mV for ECGs and in shares of full scale for sound files.
    """

    dataset: Dataset
    manifest: Manifest
    labels: dict[str, dict[str, tuple[int, int]]]
    several: set[str]
    candidates: list[str]
    unused: list[str]
    unlisted: list[str]
    rates: dict[int, int]
    channels: dict[int, int]
    seconds: np.ndarray
    energy_hz: float
    spread: float
    new_tables: list[Path]


def fingerprint(root: Path, name: str, form: str | None, threads: int) -> Fingerprint:
    """Look at a folder of recordings. form: an adapter; None: the one that finds recordings.

    A folder of class folders gets the two tables of `folder`. Raises FirstStudyError.
    """
    new_tables: list[Path] = []
    files = {} if form not in (None, "folder") or (root / "cases.csv").is_file() else class_folders(root)
    adapter, options, listing = ("", {}, None) if files and form == "folder" else _listing(root, form)
    if listing is None and files:
        if parts := [name for name in files if PART.fullmatch(name.casefold())]:
            raise FirstStudyError(f"{root}: {parts[0]!r} looks like a part of a split, not like a class; rename it")
        if all(PERSON.fullmatch(name.casefold()) for name in files):
            raise FirstStudyError(
                f"{root}: the folders, as {next(iter(files))!r}, look like persons, not like classes; write cases.csv "
                "and recordings.csv as in docs/extend.md"
            )
        if loose_files := files_in(root, *SOUNDS):
            raise FirstStudyError(
                f"{root}: {len(loose_files)} sound files lie beside the folders of classes, as {loose_files[0].name}; "
                "move them into one, or away"
            )
        if names := [name for name in files if "|" in name]:
            raise FirstStudyError(f"{root}: {names[0]!r}: `|` separates several labels of a cell; rename the folder")
        if names := [name for name in files if name != name.strip()]:
            raise FirstStudyError(f"{root}: {names[0]!r} begins or ends with a blank; rename the folder")
        if names := [str(path) for of_class in files.values() for path in of_class if not is_utf8(str(path))]:
            raise FirstStudyError(f"{names[0]!r}: the name is not in UTF-8; rename the file or its folder")
        if pair := same_but_for_writing(files, plain):
            raise FirstStudyError(f"{root}: the folders {pair[0]!r} and {pair[1]!r} differ in writing only; join them")
        try:
            new_tables = write_tables(root, files)
        except FileExistsError as error:
            raise FirstStudyError(f"{error} is there without the other table; write it, or move this one") from error
        adapter, options, listing = _listing(root, "folder")
    if listing is None:
        raise FirstStudyError(
            f"{root}: no recordings in a form that is known ({', '.join(datasets.names())}); put sound files into a "
            "folder for each class, or write cases.csv and recordings.csv as in docs/extend.md"
        )
    dataset = Dataset(name=name, adapter=adapter, root=str(root), options=options, sample_format="float32")
    # without known subjects, two ids that differ in writing only are two files
    is_distinct = not listing.subjects_known and same_but_for_writing(listing.cases["case"].astype(str)) is not None
    dataset = dataset.model_copy(update={"distinct_ids": is_distinct})
    manifest = build(listing, root, "all", 0.0001, threads, "float32", distinct_ids=is_distinct)
    recordings = manifest.recordings
    subjects = manifest.cases.set_index("case")["subject"]
    with_recordings = manifest.cases[manifest.cases["case"].isin(recordings["case"])]
    labels, several = {}, set()
    for column in listing.columns.labels:
        cells = with_recordings.loc[with_recordings[column] != "", ["case", column]]
        if cells[column].str.contains("|", regex=False).any():
            several.add(column)
        each = cells.assign(word=cells[column].str.split("|")).explode("word")
        if column in several:
            each = each[each["word"] != NONE]
        counts = each["word"].value_counts()
        of_subjects = each.groupby("word")["case"].agg(lambda cases: subjects[cases].nunique())
        if 2 <= len(counts) <= MOST_CLASSES and (of_subjects >= FEWEST_SUBJECTS).sum() >= 2:
            if pair := same_but_for_writing(sorted(counts.index), plain):
                raise FirstStudyError(
                    f"{root}: {column}: {pair[0]!r} and {pair[1]!r} differ in writing only; write them alike"
                )
            labels[column] = {word: (int(n), int(of_subjects[word])) for word, n in counts.items()}
    if not labels:
        raise FirstStudyError(
            f"{root}: no column of labels has two to {MOST_CLASSES} classes, two of them of at least {FEWEST_SUBJECTS} "
            f"subjects; the cases have {', '.join(with_recordings.columns)}"
        )
    return Fingerprint(
        dataset,
        manifest,
        labels,
        several,
        [] if listing.subjects_known else _candidates(root, adapter),
        _unused(root, options) if adapter == "folder" else [],
        _unlisted(root, recordings) if adapter == "folder" else [],
        recordings["rate_hz"].astype(int).value_counts().to_dict(),
        recordings["channels"].astype(int).value_counts().to_dict(),
        (recordings["frames"] / recordings["rate_hz"]).to_numpy(dtype=float),
        *_energy_and_spread(root, recordings),
        new_tables,
    )


def _listing(root: Path, form: str | None) -> tuple[str, dict[str, Any], Listing | None]:
    """Return the adapter that finds recordings, its options, and what it lists; None if none finds any.

    Raises FirstStudyError where the files of a form are there and cannot be read.
    """
    if form and form not in datasets.names():
        raise FirstStudyError(f"--config form: {form!r} is not one of {', '.join(datasets.names())}")
    if form:
        names = [form]
    elif (root / "cases.csv").is_file() and (root / "recordings.csv").is_file():
        names = ["folder"]
    else:
        names = [name for name in datasets.names() if name not in ("folder", "simulate") and _has_files(name, root)]
    for name in names:
        module = datasets.adapter(name)
        try:
            options = _folder_options(root) if name == "folder" else {}
            listing = module.ingest(root, module.Options.model_validate(options))
        except FirstStudyError:
            raise
        except (DatasetError, ValueError) as error:
            advice = "" if form else "; if the folder has another form, name it: form=…"
            raise FirstStudyError(f"in the form {name}: {error}{advice}") from error
        except Exception as error:  # an adapter that somebody added, and that does not expect another form
            if form:
                raise
            note(f"the form {name} is left out: {type(error).__name__}: {error}")
            continue
        if len(listing.recordings):
            return name, options, listing
    return "", {}, None


def _has_files(name: str, root: Path) -> bool:
    """Whether a folder has files of an adapter that needs no options."""
    module = datasets.adapter(name)
    try:
        return len(module.files(root, module.Options())) > 0
    except ValueError:  # it needs options
        return False
    except Exception as error:  # see above
        note(f"the form {name} is left out: {type(error).__name__}: {error}")
        return False


def _folder_options(root: Path) -> dict[str, Any]:
    """Options of `folder` for the columns of its tables, but those that name persons or parts of a split.

    Columns with numbers in every cell and many values are covariates, others with few values are labels, the rest
    groups if their values repeat. Numbers of rows are none of these: they follow the order of a table, which may be
    that of its classes. Raises FirstStudyError for a cell such as NA.
    """
    cases = read_table(root / "cases.csv", [])
    recordings = read_table(root / "recordings.csv", [])
    labels: dict[str, list[str]] = {}
    covariates, groups = [], []
    own = {"case", "subject", *subject_columns(cases)}
    for column in [name for name in cases if name not in own and name.casefold() not in PART_COLUMNS]:
        if not column or _are_row_numbers(cases[column]):
            continue
        is_missing = cases[column].str.casefold().isin(MISSING)
        cells = cases.loc[(cases[column] != "") & ~is_missing, column]
        words = sorted({word for cell in set(cells) for word in cell.split("|")})
        is_number = len(cells) > 0 and pd.to_numeric(cells, errors="coerce").notna().all()
        if is_number and len(words) > 5:
            covariates.append(column)
        elif 2 <= len(words) <= MOST_CLASSES:
            labels[column] = []
        elif len(words) < len(cells) / 2:
            groups.append(column)
        else:
            continue
        _refuse_missing_words(root / "cases.csv", cases, column)
    known = {*RECORDING_COLUMNS, *HEADER_COLUMNS}
    other_columns = [name for name in recordings if name not in known and not is_other_name(name)]
    of_recordings = [name for name in other_columns if 2 <= recordings[name].nunique() <= MOST_CLASSES]
    for column in of_recordings:
        _refuse_missing_words(root / "recordings.csv", recordings, column)
    return {"labels": labels, "groups": groups, "covariates": covariates, "recording_labels": of_recordings}


def _refuse_missing_words(path: Path, table: pd.DataFrame, column: str) -> None:
    """Raise FirstStudyError for a cell that says that a value is missing: it would be a class or no number."""
    is_missing = table[column].str.casefold().isin(MISSING)
    if is_missing.any():
        position = int(is_missing.to_numpy().argmax())
        raise FirstStudyError(
            f"{path}: row {row_number(table, position)}, column {column!r}: {table[column].iloc[position]!r} is no "
            "value; leave the cell empty where one is missing"
        )


def _are_row_numbers(cells: pd.Series) -> bool:
    """Whether cells count the rows of their table, from 0 or 1 on; with gaps too where the name says so."""
    values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
    if len(values) < 2 or not (np.diff(values) > 0).all() or (values % 1).any():
        return False
    is_named_so = ROW_NAMES.fullmatch(str(cells.name).casefold()) is not None
    return is_named_so or (values[0] in (0, 1) and bool((np.diff(values) == 1).all()))


def _unused(root: Path, options: dict[str, Any]) -> list[str]:
    """Columns of cases.csv that no option names."""
    names = {"case", "subject", *options["labels"], *options["groups"], *options["covariates"]}
    return [name or "one without a name" for name in read_table(root / "cases.csv", []) if name not in names]


def _unlisted(root: Path, recordings: pd.DataFrame) -> list[str]:
    """Sound files below the root that recordings.csv does not list, as those of a folder that was added later."""
    listed = {
        os.path.realpath(root / path)
        for path in {*recordings["path"], *read_table(root / "recordings.csv", [])["path"]}
    }
    files = [path for path in files_below(root) if path.suffix.lower() in SOUNDS]
    return [printable(str(path.relative_to(root))) for path in sorted(files) if os.path.realpath(path) not in listed]


def _candidates(root: Path, adapter: str) -> list[str]:
    """Columns of cases.csv that may name subjects: by their name, or since their values repeat."""
    if adapter != "folder":
        return []
    cases = read_table(root / "cases.csv", [])
    by_name = [name for name in cases if SUBJECT_WORDS & set(re.findall("[a-z]+", name.casefold()))]
    with_repeats = [name for name in cases if name != "case" and MOST_CLASSES < cases[name].nunique() < len(cases)]
    return list(dict.fromkeys([*by_name, *with_repeats]))


def _energy_and_spread(root: Path, recordings: pd.DataFrame) -> tuple[float, float]:
    """Return `energy_hz` and `spread` of `Fingerprint`."""
    edges, spreads = [], []
    for row in recordings.sample(min(SAMPLE, len(recordings)), random_state=0).itertuples():
        interval = (None if pd.isna(x) else x for x in (row.onset_s, row.offset_s))
        samples, rate, _ = audio.read(root / row.path, *interval)
        samples = as_float(samples)
        edges.append(_edge(samples, rate))
        spreads += list(samples.std(axis=0))
    return float(np.quantile(edges, 0.9)), float(np.median(spreads))


def _edge(samples: np.ndarray, rate: int) -> float:
    """The frequency in Hz below which `SHARE` of the energy of the differences of samples (n, channels) lies.

    Differences between samples weigh high frequencies more, as loudness does.
    """
    differences = np.diff(samples.mean(axis=1))
    hz, power = scipy.signal.welch(differences, rate, nperseg=min(1024, len(differences)))
    total = np.cumsum(power)
    return float(hz[np.searchsorted(total, SHARE * total[-1])]) if total[-1] > 0 else 0.0
