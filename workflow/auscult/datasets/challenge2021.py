"""ECGs in the format of the PhysioNet Challenges 2020 and 2021: `.hea` with SNOMED codes, samples in `.mat` beside it.

CPSC-2018, Chapman–Shaoxing and others are distributed in it. The format does not name patients, so every record is its
own subject, and the column `leak` of every table contains `subjects unknown`.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from auscult.datasets.base import Columns, Listing
from auscult.datasets.errors import DatasetError
from auscult.datasets.tables import read_text
from auscult.datasets.walk import files_below
from auscult.datasets.wfdb_record import LEADS

UNKNOWN = ("", "nan", "unknown")
SEX = {"female": 1.0, "f": 1.0, "male": 0.0, "m": 0.0} | dict.fromkeys(UNKNOWN, float("nan"))
KEYS = {"dx": "Dx", "age": "Age", "sex": "Sex"}


class Options(BaseModel):
    """Options of the adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    codes: dict[str, str] = Field(
        min_length=1,
        description="SNOMED codes that are labels, with their names, as {426783006: sinus}; codes that mean the same "
        "share a name, others are ignored.",
    )
    folder: str = Field(default="", description="Folder below the root to read; default: all folders.")


def files(root: Path, options: Options) -> list[Path]:
    """Return the files that `ingest` reads."""
    return [path for path in files_below(root / options.folder) if path.suffix in {".hea", ".mat"}]


def ingest(root: Path, options: Options) -> Listing:
    """Read the headers: the label `diagnosis`, age and sex.

    `diagnosis` is the names of a record's codes, joined by `|`, `none` if it has none of `options.codes`, and empty if
    it has no code at all.
    """
    cases, recordings, quality, path_of = [], [], [], {}
    name_of_code = {_code(code): name for code, name in options.codes.items()}
    for path in sorted(path for path in files_below(root / options.folder) if path.suffix == ".hea"):
        case = path.stem
        if case in path_of:
            raise DatasetError(f"{path}: {path_of[case]} has the same name, and both are one case; rename one")
        path_of[case] = path.relative_to(root)
        comments = _comments(path)
        if "Dx" not in comments:
            raise DatasetError(f"{path}: no line `# Dx: <codes>`")
        parts = [part.strip() for part in comments["Dx"].split(",")]
        codes = [_code(part) for part in parts if part.casefold() not in UNKNOWN]
        if other_words := [code for code in codes if not (code.isascii() and code.isdecimal())]:
            raise DatasetError(
                f"{path}: the line `# Dx` should be SNOMED codes joined by commas; {other_words[0]!r} is none"
            )
        names = {name_of_code[code] for code in codes if code in name_of_code}
        diagnosis = "|".join(sorted(names)) or ("none" if codes else "")
        age = comments.get("Age", "")
        try:
            years = float("nan" if age.casefold() in UNKNOWN else age)
        except ValueError:
            raise DatasetError(f"{path}: the line `# Age: {age}` is not a number") from None
        sex = comments.get("Sex", "")
        if sex.casefold() not in SEX:
            quality.append((case, "sex", "kept", f"{path.name}: `# Sex: {sex}` is taken as unknown"))
        cases.append((case, case, diagnosis, years, SEX.get(sex.casefold(), float("nan"))))
        recordings.append((case, case, "", str(path.relative_to(root))))
    columns = ["recording", "case", "site", "path"]
    return Listing(
        pd.DataFrame(cases, columns=["case", "subject", "diagnosis", "age_years", "female"]),
        pd.DataFrame(recordings, columns=columns).assign(onset_s=None, offset_s=None),
        Columns(labels=["diagnosis"], covariates=["age_years", "female"], channels=LEADS),
        quality,
        subjects_known=False,
    )


def _code(text: str) -> str:
    """A SNOMED code without zeros before it."""
    return text.strip().lstrip("0") or text.strip()


def _comments(path: Path) -> dict[str, str]:
    """Return the values of the header's lines `#Key: value` by key."""
    values = {}
    for line in read_text(path).splitlines():
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            key, value = KEYS.get(key.strip().casefold(), key.strip()), value.strip()
            if key in KEYS.values() and values.get(key, value) != value:
                raise DatasetError(f"{path}: the line `#{key}` is there twice, with different values; remove one")
            values[key] = value
    return values
