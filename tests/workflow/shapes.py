"""Further shapes of data in `folder` form: 12 channels with several labels; labelled intervals at mixed rates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

FINDINGS = ["fast", "noisy", "flat"]
LEADS = {
    "dataset": {
        "name": "leads",
        "adapter": "folder",
        "root": "resources/leads",
        "rate_hz": 100,
        "channels": "all",
        "shards": 2,
        "options": {"labels": {"findings": [*FINDINGS, "none"]}, "covariates": ["age"]},
    },
    "targets": {
        "findings": {
            "label": "findings",
            "kind": "multilabel",
            "classes": FINDINGS,
            "heads": ["findings"],
            "decisions": ["reference"],
        }
    },
    "protocol": {"name": "group_cv", "folds": 2, "val": 0.3},
    "tasks": {"findings": {"heads": {"findings": {"label": "findings", "kind": "multilabel", "classes": FINDINGS}}}},
    "evaluation": {"draws": 100},
}
"""Keys of a study of `leads`, without its systems."""


SOUNDS = ["normal", "crackle", "wheeze", "both"]
CYCLES = {
    "dataset": {
        "name": "cycles",
        "adapter": "folder",
        "root": "resources/cycles",
        "short_s": 1.0,
        "shards": 2,
        "options": {"labels": {"sound": SOUNDS}, "groups": ["stay"]},
    },
    "protocol": {"name": "group_cv", "folds": 2, "val": 0.3, "group": "stay"},
    "tasks": {"sound": {"heads": {"sound": {"label": "sound", "kind": "multiclass", "classes": SOUNDS}}}},
    "evaluation": {"draws": 100},
}
"""Keys of a study of `cycles`, without its targets and systems."""


def _beats(rate_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Spikes (600,) at 100 Hz whose distances vary, as those of no two persons are the same."""
    times = rng.uniform(0, 1 / rate_hz) + np.cumsum(rng.normal(1, 0.08, 20) / rate_hz)
    return np.exp(-(((np.arange(600)[:, None] / 100 - times) / 0.04) ** 2)).sum(axis=1)


def leads(root: Path, cases: int = 40, seed: int = 0) -> None:
    """12-channel recordings of 6 s at 100 Hz; each case has none, one or two of the labels `fast`, `noisy`, `flat`."""
    rng = np.random.default_rng(seed)
    rows, recordings = [], []
    for number in range(cases):
        has = {"fast": rng.random() < 0.5, "noisy": rng.random() < 0.4, "flat": rng.random() < 0.3}
        beat = _beats(2.0 if has["fast"] else 1.0, rng)
        scale = 0.05 if has["flat"] else 0.5
        samples = scale * beat[:, None] * rng.uniform(0.5, 1.5, 12) + 0.01 * rng.standard_normal((600, 12))
        samples += (0.2 * rng.standard_normal((600, 12))) if has["noisy"] else 0
        name = f"ecg{number:03d}"
        (root / "signals").mkdir(parents=True, exist_ok=True)
        soundfile.write(root / f"signals/{name}.wav", np.clip(samples, -0.99, 0.99), 100, subtype="PCM_16")
        labels = "|".join(label for label, yes in has.items() if yes) or "none"
        rows.append((name, f"p{number // 2}", labels, 40 + number))
        recordings.append((name, name, f"signals/{name}.wav"))
    pd.DataFrame(rows, columns=["case", "subject", "findings", "age"]).to_csv(root / "cases.csv", index=False)
    pd.DataFrame(recordings, columns=["recording", "case", "path"]).to_csv(root / "recordings.csv", index=False)


def cycles(root: Path, files: int = 16, seed: int = 0) -> None:
    """Recordings of 6 s at 4, 8 and 44.1 kHz with three labelled intervals each, four classes: a case per interval.

    The subjects are unknown; cases of one `stay` depend on each other.
    """
    rng = np.random.default_rng(seed)
    rows, recordings = [], []
    (root / "audio").mkdir(parents=True, exist_ok=True)
    for number in range(files):
        rate = (4000, 8000, 44100)[number % 3]
        time = np.arange(6 * rate) / rate
        samples = 0.05 * rng.standard_normal(len(time))
        for part in range(3):
            onset, offset = 2 * part + 0.1, 2 * part + rng.uniform(1.2, 1.8)
            kind = ("normal", "crackle", "wheeze", "both")[(number + part) % 4]
            inside = (time >= onset) & (time < offset)
            if kind in ("wheeze", "both"):
                samples[inside] += 0.3 * np.sin(2 * np.pi * 400 * time[inside])
            if kind in ("crackle", "both"):
                samples[inside] += 0.5 * (np.modf(time[inside] * 8)[0] < 0.02)
            name = f"c{number:02d}_{part}"
            rows.append((name, f"s{number // 2}", kind))
            recordings.append((name, name, f"audio/{number}.wav", round(onset, 3), round(offset, 3)))
        soundfile.write(root / f"audio/{number}.wav", np.clip(samples, -0.99, 0.99), rate, subtype="PCM_16")
    pd.DataFrame(rows, columns=["case", "stay", "sound"]).to_csv(root / "cases.csv", index=False)
    table = pd.DataFrame(recordings, columns=["recording", "case", "path", "onset_s", "offset_s"])
    table.to_csv(root / "recordings.csv", index=False)
