"""Predict a table of recordings, as a served model receives them: the bytes of a sound file per row."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from auscult.fusion.covariates import OWN
from auscult.prediction.pack import Packed
from auscult.prediction.predict import apply_winner
from auscult.training.job import Resources

INPUTS = ("case", "audio", "site")
SUFFIX = {b"RIFF": ".wav", b"fLaC": ".flac"}


def predict_rows(packed: Packed, rows: pd.DataFrame) -> pd.DataFrame:
    """Predictions, a row per target and case: see `vote.vote_table` and `vote.with_problems`.

    rows: a row per recording: `case`, `audio` (bytes of a WAV or FLAC file) and, where known, `site` and the study's
    covariates (see `covariate_column`), which are taken from the first row of a case. Raises ValueError for missing
    columns, for a case without a name, and for audio that is not bytes. A file that cannot be read is named in
    `problems`.
    """
    if missing := {"case", "audio"} - set(rows):
        raise ValueError(f"the columns {', '.join(sorted(missing))} are missing; there are {', '.join(map(str, rows))}")
    if rows.empty or rows["case"].isna().any() or (rows["case"].astype(str) == "").any():
        raise ValueError("every row needs a case, and there must be a row")
    if any(not isinstance(audio, (bytes, bytearray, memoryview)) for audio in rows["audio"]):
        raise ValueError("the column audio needs the bytes of a sound file in every row")
    table = rows.reset_index(drop=True).assign(case=rows["case"].astype(str).to_numpy())
    with tempfile.TemporaryDirectory() as folder:
        root, work = Path(folder, "new"), Path(folder, "work")
        root.mkdir()
        work.mkdir()
        names = [f"{number}{SUFFIX.get(bytes(audio[:4]), '.wav')}" for number, audio in enumerate(table["audio"])]
        for name, audio in zip(names, table["audio"], strict=True):
            (root / name).write_bytes(bytes(audio))
        recordings = pd.DataFrame({"recording": table["case"] + "_" + table.index.astype(str), "case": table["case"]})
        recordings["path"], recordings["site"] = names, table["site"].fillna("") if "site" in table else ""
        recordings.to_csv(root / "recordings.csv", index=False)
        columns = {covariate_column(name): name for name in packed.covariates if covariate_column(name) in table}
        cases = table.drop_duplicates("case")[["case", *columns]].rename(columns=columns)
        cases.to_csv(root / "cases.csv", index=False)
        table, *_ = apply_winner(packed, root, "folder", work, Resources(work / "locks", os.cpu_count() or 1))
    return table.assign(refer=table["refer"].astype(str))


def covariate_column(name: str) -> str:
    """Return the column of a covariate: its name, or `cases:<name>` where another column of the rows has that."""
    return f"{OWN}{name}" if name in INPUTS or name.startswith(OWN) else name


def example(packed: Packed) -> pd.DataFrame:
    """Example rows for `predict_rows`: one case with a second of noise, which only shows the columns."""
    import io

    import soundfile

    dataset = packed.study.dataset
    count = (int(max(1.0, dataset.short_s) * dataset.rate_hz), packed.channels)
    noise = 0.05 * np.random.default_rng(0).standard_normal(count)
    file = io.BytesIO()
    soundfile.write(file, noise, dataset.rate_hz, format="WAV", subtype="PCM_16")
    return pd.DataFrame({"case": ["new"], "site": [""], "audio": [file.getvalue()]})
