"""Doubtful labels on simulated recordings with wrong labels: python -m benchmarks.label_issues [SUBJECTS].

The study `demo` runs on simulated patients of whom 5 % have another murmur label than they were simulated with. Prints
how many of these are in label_issues.csv (recall), and how much of the list is of them (precision).
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
from pathlib import Path

import pandas as pd

from auscult.datasets import simulate
from tests.workflow.harness import copy_workflow

SHARE = 0.05
CLASSES = ("Present", "Unknown", "Absent")


def main(subjects: int, seed: int = 0) -> None:
    """Simulate, change labels, run the study, count."""
    with tempfile.TemporaryDirectory() as folder:
        project = copy_workflow(Path(folder) / "project")
        root = project.path("resources/wrong")
        simulate.fetch(root, simulate.Options(subjects=subjects, seed=seed, twins=0.0), lambda line: None)
        changed = change_labels(root, random.Random(seed))
        dataset = {"name": "wrong", "adapter": "circor", "root": "resources/wrong"}
        project.change("demo", "dataset", dataset)
        project.run(studies="demo")
        found = pd.read_csv(project.path("results/demo/tables/label_issues.csv"), dtype=str, keep_default_na=False)
        listed = set(found.loc[(found["target"] == "murmur") & (found["level"] == "case"), "case"])
    hits = len(listed & changed)
    print(
        f"{subjects} patients, {len(changed)} labels changed, {len(listed)} listed, {hits} of them changed: "
        f"precision {hits / max(1, len(listed)):.2f}, recall {hits / len(changed):.2f}"
    )


def change_labels(root: Path, rng: random.Random) -> set[str]:
    """Give a share of the patients another murmur label; returns their ids."""
    files = sorted((root / "training_data").glob("*.txt"))
    chosen = rng.sample(files, round(SHARE * len(files)))
    for file in chosen:
        text = file.read_text(encoding="utf-8")
        label = re.search(r"#Murmur: (\w+)", text).group(1)
        other = rng.choice([name for name in CLASSES if name != label])
        file.write_text(text.replace(f"#Murmur: {label}", f"#Murmur: {other}"), encoding="utf-8")
    return {file.stem for file in chosen}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
