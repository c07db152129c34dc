"""From a listing to a manifest: its structure is checked, every recording is opened, unusable ones are dropped."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from auscult.datasets import audio, ids
from auscult.datasets.base import BLOCK, FACTS, QUALITY_COLUMNS, RECORDING_COLUMNS, Listing, Manifest
from auscult.datasets.errors import DatasetError, Unusable
from auscult.datasets.paths_nearby import nearby
from auscult.datasets.walk import printable

LARGEST_COVARIATE = 1e30  # below the largest float32
RARE_OF = 100  # a rate of at most one recording in so many is reported


def build(
    listing: Listing,
    root: Path,
    channels: str,
    short_s: float,
    workers: int,
    sample_format: str = "int16",
    distinct_ids: bool = False,
    channel_count: int | None = None,
    stops: bool = True,
) -> Manifest:
    """Open every listed recording and return the manifest.

    Parameters
    ----------
    listing : what the adapter returned.
    root : folder to which the paths of the listing are relative.
    channels : `mean` or `all` (see `config.dataset.Dataset`).
    short_s : recordings shorter than this get a row `short`.
    workers : number of threads that read.
    sample_format, distinct_ids : see `config.dataset.Dataset`.
    channel_count : with `all`, the number of channels that a recording needs; None: any.
    stops : whether samples that `sample_format` cannot hold stop the ingest; otherwise the recording is dropped.

    An unusable recording is dropped with a row in `quality`. Raises DatasetError, which names the row, for a
    structural error.
    """
    _check_structure(listing, root, distinct_ids)
    _check_covariates(listing, root)

    def open_recording(row: dict) -> audio.Facts | Unusable:
        return _open(row, root, channels, short_s, sample_format, channel_count, stops)

    table = listing.recordings.sort_values("recording")
    quality = [tuple(row) for row in listing.quality]
    without_recordings = sorted(set(listing.cases["case"]) - set(table["case"]))
    quality += [(case, "no_recordings", "kept", "no recording of this case is listed") for case in without_recordings]
    readable, facts_of_files, first_recording, case_of_dropped = [], [], {}, {}
    for position, (row, result) in enumerate(_in_blocks(open_recording, table, workers)):
        name = row["recording"]
        if isinstance(result, Unusable):
            quality.append((name, result.problem, "dropped", str(result)))
            case_of_dropped[name] = row["case"]
            continue
        quality += [(name, problem, "kept", detail) for problem, detail in result.problems]
        quality += [(name, problem, "kept", detail) for problem, detail in _header_problems(row, result)]
        if result.sha256 in first_recording:
            quality.append((name, "duplicate", "kept", f"the same samples as {first_recording[result.sha256]}"))
        first_recording.setdefault(result.sha256, name)
        readable.append(position)
        facts_of_files.append(tuple(getattr(result, key) for key in FACTS))
    if not readable:
        raise DatasetError(f"{root}: none of the {len(table)} recordings listed can be read{_first_reasons(quality)}")
    columns = listing.columns
    case_columns = [*columns.groups, *columns.attributes, *columns.labels, *columns.covariates]
    cases = listing.cases[["case", "subject", *case_columns]]
    recordings = table.iloc[readable].reset_index(drop=True)
    recordings[FACTS] = pd.DataFrame(facts_of_files, columns=FACTS)
    quality += _rare_rates(recordings)
    recordings["path"] = [_real_path(root, path) for path in recordings["path"]]
    recordings["subject"] = recordings["case"].map(listing.cases.set_index("case")["subject"])
    recordings = recordings.reindex(columns=[*RECORDING_COLUMNS, *columns.recording_labels])
    states = listing.states
    if states is not None:
        states = states[states["recording"].isin(recordings["recording"])].sort_values(
            ["recording", "onset_s", "offset_s"]
        )
    return Manifest(
        cases.sort_values("case").reset_index(drop=True),
        recordings,
        pd.DataFrame([map(printable, row) for row in sorted(quality)], columns=QUALITY_COLUMNS),
        columns,
        states,
        listing.subjects_known,
        case_of_dropped,
    )


def _open(
    row: dict, root: Path, channels: str, short_s: float, sample_format: str, channel_count: int | None, stops: bool
) -> audio.Facts | Unusable:
    """Return the facts of a listed recording, or why it is unusable. The parameters are those of `build`."""
    interval = [None if pd.isna(row[key]) else float(row[key]) for key in ("onset_s", "offset_s")]
    try:
        facts = audio.inspect(root / row["path"], *interval, short_s, channels == "mean", sample_format)
    except Unusable as problem:
        return Unusable("missing", _missing(root, row["path"])) if problem.problem == "missing" else problem
    except audio.SampleFormatError as error:
        if stops:
            raise DatasetError(f"recording {row['recording']!r}: {error}") from None
        return Unusable("sample_format", f"samples beyond ±1 do not fit the study's format {sample_format}")
    if channels == "all" and channel_count not in (None, facts.channels):
        return Unusable("channels", f"{facts.channels} instead of the study's {channel_count} channels")
    return facts


def _check_covariates(listing: Listing, root: Path) -> None:
    """Raise DatasetError for a covariate that the second stage could not compute with."""
    for column in listing.columns.covariates:
        values = listing.cases[column].astype(float)
        is_huge = values.abs() > LARGEST_COVARIATE
        if is_huge.any():
            position = int(is_huge.to_numpy().argmax())
            raise DatasetError(
                f"{root}: case {listing.cases['case'].iloc[position]!r}: {column} is {values.iloc[position]}; leave it "
                "empty if it is unknown"
            )


def _rare_rates(recordings: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Rows of quality.csv for rates that hardly any recording has: the header may be damaged."""
    counts = recordings["rate_hz"].value_counts()
    if len(recordings) < RARE_OF or counts.iloc[0] < 0.9 * len(recordings):
        return []
    is_rare = recordings["rate_hz"].map(counts) <= len(recordings) / RARE_OF
    return [
        (row.recording, "rate", "kept", f"{row.rate_hz} Hz; nearly all others have {counts.index[0]} Hz")
        for row in recordings[is_rare].itertuples()
    ]


def _real_path(root: Path, path: str) -> str:
    """Return the path below the root of the sound file itself, so that links and detours to one file are recognised.

    A link to another suffix, as stores of large files have, and a WFDB header, with its samples beside it, stay.
    """
    target = os.path.relpath(os.path.realpath(root / path), os.path.realpath(root))
    return target if Path(target).suffix == Path(path).suffix != ".hea" else path


def _in_blocks(function: Callable, table: pd.DataFrame, workers: int) -> Iterator[tuple[dict, object]]:
    """Yield each row and what the function returns for it, computed by threads for `BLOCK` rows at a time."""
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(table), BLOCK):
            rows = table.iloc[start : start + BLOCK].to_dict("records")
            yield from zip(rows, pool.map(function, rows), strict=True)


def _missing(root: Path, path: str) -> str:
    """Return the detail of a missing file: the path, and a file whose name differs in writing only."""
    similar_path = nearby(root, path)
    if similar_path and unicodedata.normalize("NFC", similar_path) == unicodedata.normalize("NFC", path):
        return f"there is no file {path!r}; there is one whose name looks the same in another Unicode form"
    return f"there is no file {path!r}" + (f"; there is {similar_path!r}" if similar_path else "")


def _first_reasons(quality: list[tuple]) -> str:
    reasons = [f"{name}: {detail}" for name, _, action, detail in quality if action == "dropped"]
    return f" ({'; '.join(reasons[:3])}{', …' if len(reasons) > 3 else ''})" if reasons else ""


def _header_problems(row: dict, facts: audio.Facts) -> list[tuple[str, str]]:
    problems = []
    if pd.notna(row.get("header_rate_hz")) and int(row["header_rate_hz"]) != facts.rate_hz:
        problems.append(
            (
                "rate",
                f"the header states {int(row['header_rate_hz'])} Hz, the file {facts.rate_hz}: the file's is used",
            )
        )
    if pd.notna(row.get("header_frames")) and int(row["header_frames"]) != facts.frames:
        problems.append(
            ("header", f"the header states {int(row['header_frames'])} samples, the file has {facts.frames}")
        )
    return problems


def _check_structure(listing: Listing, root: Path, distinct_ids: bool) -> None:
    cases, recordings = listing.cases, listing.recordings
    if cases.empty:
        raise DatasetError(f"{root}: no cases found")
    for table, key in ((cases, "case"), (cases, "subject"), (recordings, "recording")):
        if (table[key].astype(str).str.strip() == "").any():
            raise DatasetError(f"{root}: a row without {key} id")
        for name in table[key].astype(str):
            if problem := ids.problem_of(name):
                raise DatasetError(f"{root}: {key} {name!r} cannot be an id: {problem}; rename it")
    for key in ("subject", "case", *listing.columns.groups):
        if not distinct_ids and (pair := ids.same_but_for_writing(cases[key].astype(str))):
            raise DatasetError(
                f"{root}: the {key} ids {pair[0]!r} and {pair[1]!r} differ in writing only; write them alike, or, if "
                "they are two, set dataset.distinct_ids: true"
            )
    sites = recordings["site"].astype(str) if "site" in recordings else []
    if not distinct_ids and (pair := ids.same_but_for_writing(sites, ids.plain)):
        raise DatasetError(f"{root}: the sites {pair[0]!r} and {pair[1]!r} differ in writing only; write them alike")
    for table, key in ((cases, "case"), (recordings, "recording")):
        duplicates = table[key][table[key].duplicated()]
        if len(duplicates):
            raise DatasetError(f"{root}: {key} {duplicates.iloc[0]!r} is listed twice")
    unknown_cases = set(recordings["case"]) - set(cases["case"])
    if unknown_cases:
        case = min(unknown_cases)
        recording = recordings.loc[recordings["case"] == case, "recording"].iloc[0]
        raise DatasetError(f"{root}: recording {recording!r} belongs to case {case!r}, which is not among the cases")
    real_root = os.path.realpath(root)
    for name, path in zip(recordings["recording"], recordings["path"], strict=True):
        if not path:
            raise DatasetError(f"{root}: recording {name!r} has no path")
        if not os.path.realpath(Path(real_root, path)).startswith(real_root + os.sep):
            raise DatasetError(
                f"{root}: recording {name!r}: the path {path!r} is outside this folder; recordings must be inside it"
            )
