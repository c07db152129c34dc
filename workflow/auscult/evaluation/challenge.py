"""Write predictions in the format that the evaluation code of the PhysioNet Challenge 2022 reads."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd

from auscult.config.study import Study
from auscult.heads.outputs import class_columns
from auscult.provenance import write_text


def write_challenge(study: Study, predictions: pd.DataFrame, folder: Path) -> None:
    """Write one Challenge file `<case>.csv` per case of the first repeat into `folder`, from the rows `chosen`."""
    rows = predictions[(predictions["system"] == "chosen") & (predictions["repeat"] == predictions["repeat"].min())]
    targets = {name: t for name, t in study.targets.items() if t.kind == "multiclass"}
    folder.mkdir(parents=True, exist_ok=True)
    for case, part in rows.groupby("case"):
        by_target = part.set_index("target")
        names, decisions, p = [], [], []
        for name, target in targets.items():
            if name in by_target.index:
                row = by_target.loc[name]
                names += target.classes
                decisions += [str(int(c == row["prediction"])) for c in target.classes]
                p += [f"{row[column]:.6g}" for column in class_columns(target.classes)]
        if names:
            header = io.StringIO()
            csv.writer(header, lineterminator="").writerow(names)  # a class with a comma gets quotation marks
            lines = [f"#{case}", header.getvalue(), ",".join(decisions), ",".join(p)]
            write_text(folder / f"{case}.csv", "\n".join(lines) + "\n")
