"""Output files in the form of the PhysioNet Challenge 2022, which its own evaluation reads."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from auscult.config.study import Study
from auscult.provenance import write_text


def write_challenge(study: Study, predictions: pd.DataFrame, folder: Path) -> None:
    """Official Challenge output files: one CSV per case of the first repeat, from the rows `chosen`."""
    rows = predictions[(predictions["system"] == "chosen") & (predictions["repeat"] == predictions["repeat"].min())]
    targets = {name: t for name, t in study.targets.items() if t.kind == "multiclass"}
    folder.mkdir(parents=True, exist_ok=True)
    for case, part in rows.groupby("case"):
        by_target = part.set_index("target")
        names, said, p = [], [], []
        for name, target in targets.items():
            if name in by_target.index:
                row = by_target.loc[name]
                names += target.classes
                said += [str(int(c == row["prediction"])) for c in target.classes]
                p += [f"{row[f'p_{c}']:.6g}" for c in target.classes]
        if names:
            lines = [f"#{case}", ",".join(names), ",".join(said), ",".join(p)]
            write_text(folder / f"{case}.csv", "\n".join(lines) + "\n")
