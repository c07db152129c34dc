"""From a fingerprint to a study: every choice with its reason."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from auscult.first_study.fingerprint import FEWEST_CASES, Fingerprint

RATES = (250, 500, 1000, 2000, 4000, 8000, 16000, 22050, 44100)
LOWEST_SOUND_HZ = 1000
MINUTES = 60
"""Time that the trainings of a first study may take on this machine."""
MOST_FOLDS, SUBJECTS_FOR_INNER, FEWEST_GROUPS = 5, 20, 4
NONE = "none"
EPOCHS = (40, 30, 20, 15, 10, 6)
BATCH = 64
PASSES_SHARE = 1.15
"""Time of scoring beside that of training."""


@dataclass
class Study:
    """Values of a study file, the reason of each choice by its path (`dataset.rate_hz`), and the estimate.

    minutes: of all trainings on this machine's cores. trainings: their number.
    """

    values: dict[str, Any]
    why: dict[str, str] = field(default_factory=dict)
    trainings: int = 0
    minutes: float = 0.0


def choose(mark: Fingerprint, cores: int | None = None, windows_per_s: float | None = None) -> Study:
    """Return a study for a folder of recordings.

    cores: of this machine by default. windows_per_s: training speed of a core; measured in a second by default.
    """
    study = Study({"description": "", "dataset": {}, "targets": {}, "protocol": {}, "tasks": {}, "systems": {}})
    is_sound = _dataset(mark, study)
    label = _target(mark, study)
    folds, has_inner = _protocol(mark, study, label)
    window, hop = _system(mark, study, is_sound)
    _time(mark, study, folds, has_inner, window, hop, is_sound, cores or os.cpu_count() or 1, windows_per_s)
    study.values["description"] = f"{label} of the recordings in {mark.dataset.root}: a first study."
    return study


def _dataset(mark: Fingerprint, study: Study) -> bool:
    """Fill in `dataset`; return whether the recordings are sounds."""
    native = max(mark.rates, key=lambda rate: (mark.rates[rate], rate))
    wanted = 2 * mark.energy_hz / 0.9
    rate = min(native, next((rate for rate in RATES if rate >= wanted), native))
    is_sound = native >= LOWEST_SOUND_HZ
    rate = max(rate, min(native, LOWEST_SOUND_HZ)) if is_sound else rate
    channels = max(mark.channels, key=lambda count: mark.channels[count])
    keeps_all = channels > 1 and len(mark.channels) == 1 and not is_sound
    problems = mark.manifest.quality["problem"].value_counts().to_dict()
    dropped = int((mark.manifest.quality["action"] == "dropped").sum())
    shortest = float(np.quantile(mark.seconds, 0.02))
    study.values["dataset"] = {
        "name": mark.dataset.name,
        "adapter": mark.dataset.adapter,
        "root": mark.dataset.root,
        **({"options": mark.dataset.options} if mark.dataset.options else {}),
        "rate_hz": rate,
        "channels": "all" if keeps_all else "mean",
        "sample_format": "int16" if is_sound else "float32",
        "short_s": round(min(4.0, max(0.05, 0.9 * shortest)), 3),
    }
    rates = ", ".join(f"{count} at {hz} Hz" for hz, count in sorted(mark.rates.items()))
    study.why["dataset"] = (
        f"{len(mark.manifest.recordings)} recordings of {len(mark.manifest.cases)} cases; {dropped} dropped; problems: "
        f"{', '.join(f'{n} {name}' for name, n in problems.items()) or 'none'}"
    )
    study.why["dataset.rate_hz"] = (
        f"recorded: {rates}; nearly all energy of nine tenths of the recordings lies below {mark.energy_hz:.0f} Hz"
    )
    study.why["dataset.channels"] = f"recordings by number of channels: {mark.channels}"
    study.why["dataset.sample_format"] = "sounds are within ±1" if is_sound else "physical units may lie outside ±1"
    study.why["dataset.short_s"] = "2 % of the recordings are about as short; shorter ones are listed in quality.csv"
    return is_sound


def _target(mark: Fingerprint, study: Study) -> str:
    """Fill in `targets` and `tasks`; return the label column."""
    label, classes = next(iter(mark.labels.items()))
    counts = ", ".join(f"{word} {n} ({subjects} subjects)" for word, (n, subjects) in classes.items())
    kept = _kept(mark, label)
    largest = max(n for n, _ in kept.values())
    if label in mark.several:
        head = {"label": label, "kind": "multilabel", "classes": sorted(kept)}
        target = {**head, "heads": [label], "decisions": ["tuned_f_each", "reference"]}
    else:
        order = sorted(kept, key=lambda word: kept[word]) if len(kept) == 2 else sorted(kept)
        weights = [min(10, max(1, round(math.sqrt(largest / kept[word][0])))) for word in order]
        target = {"label": label, "classes": order, "weights": weights, "heads": [label]}
        target["decisions"] = ["reference", "cost", "tuned_uar"]
        head = {"label": label, "kind": "multiclass", "classes": order}
        head = {"label": label, "positive": [order[0]]} if len(order) == 2 else head
        study.why[f"targets.{label}.weights"] = "the root of how much rarer than the largest class each is"
    study.values["targets"] = {label: target}
    study.values["tasks"] = {label: {"heads": {label: head}}}
    others = [name for name in mark.labels if name != label]
    more = f"; other label columns: {', '.join(others)}" if others else ""
    study.why[f"targets.{label}"] = f"cases: {counts}{more}"
    if left_out := [word for word in classes if word not in kept]:
        study.why[f"targets.{label}.classes"] = f"left out, with fewer than 3 cases or no class: {', '.join(left_out)}"
    return label


def _kept(mark: Fingerprint, label: str) -> dict[str, tuple[int, int]]:
    """The classes of a label that a study has: of three cases or more; `none` of several is no class of its own."""
    no_class = {NONE} if label in mark.several else set()
    return {word: n for word, n in mark.labels[label].items() if n[0] >= FEWEST_CASES and word not in no_class}


def _protocol(mark: Fingerprint, study: Study, label: str) -> tuple[int, bool]:
    """Fill in `protocol` and `inner_folds`; return the number of folds and whether there are inner ones."""
    fewest = min(subjects for _, subjects in _kept(mark, label).values())
    protocol = {
        "name": "group_cv",
        "folds": max(2, min(MOST_FOLDS, fewest)),
        "val": 0.2,
        "seed": 0,
        "stratify": [label],
    }
    text = f"the rarest class has {fewest} subjects"
    if not mark.manifest.subjects_known:
        text += ". Who was recorded is not known: recordings of one person may be in training and test"
        if mark.candidates:
            text += f"; these columns may name subjects: {', '.join(mark.candidates)} (rename one to `subject`)"
        for group in mark.manifest.columns.groups:
            count = mark.manifest.cases[group].nunique()
            if count >= FEWEST_GROUPS:
                protocol |= {"group": group, "folds": min(protocol["folds"], count)}
                text += f"; all cases of one {group} ({count}) stay together"
                break
    study.values["protocol"] = protocol
    has_inner = fewest >= SUBJECTS_FOR_INNER
    if has_inner:
        study.values["inner_folds"] = {"folds": 3, "bag": True}
        study.why["inner_folds"] = "enough subjects to fit thresholds to cases that no network was trained on"
    else:
        text += ", too few for inner folds" if mark.manifest.subjects_known else "; too few subjects for inner folds"
    study.why["protocol"] = text
    return protocol["folds"], has_inner


def _system(mark: Fingerprint, study: Study, is_sound: bool) -> tuple[float, float]:
    """Fill in `systems`; return window and hop in seconds."""
    dataset, label = study.values["dataset"], next(iter(study.values["targets"]))
    rate, middle = dataset["rate_hz"], float(np.median(mark.seconds))
    long = float(np.quantile(mark.seconds, 0.75))
    window = max(0.25, round(2 * long) / 2) if middle < 5 else 4.0 if is_sound else 5.0
    hop = window if middle < 1.5 * window else 0.75 * window
    several_recordings = len(mark.manifest.recordings) > 1.2 * mark.manifest.recordings["case"].nunique()
    if is_sound:
        high = min(rate / 2, max(200.0, 100 * math.ceil(mark.energy_hz / 100)))
        fine = 0.064 if rate <= 4000 and window >= 2 else 0.032
        bands = 40 if high <= 1000 else 64
        front_end = {
            "name": "band1k",
            "settings": {
                "window_s": fine,
                "hop_s": fine / 4,
                "bands": bands,
                "low_hz": 20.0,
                "high_hz": high,
                "normalise": "both",
            },
        }
        network = {"name": "compact", "options": {"widths": [16, 32, 64], "dropout": 0.1}}
        augment = {"mixup": 0.4, "time_masks": 1, "time_mask_s": round(window / 10, 2), "band_masks": 1}
        study.why["systems.first.front_end"] = (
            f"log-mel bands up to {high:.0f} Hz, where the energy lies, normalised by recording and by band"
        )
    else:
        front_end = {"name": "samples", "settings": {"rate_hz": rate, "normalise": "channel"}}
        network = {
            "name": "resnet1d",
            "options": {"depths": [1, 1, 1], "widths": [32, 64, 128], "kernel": 7, "stem_kernel": 15},
        }
        augment = {"mixup": 0.4}
        study.why["systems.first.front_end"] = f"at {rate} Hz the samples themselves, each channel standardised"
    study.why["systems.first.segment"] = (
        f"recordings last {np.min(mark.seconds):.2f} to {np.max(mark.seconds):.2f} s, half of them up to {middle:.2f} s"
    )
    study.why["systems.first.network"] = "a small network that a processor trains; docs/networks.md has larger ones"
    system: dict[str, Any] = {
        "tasks": [label],
        "front_end": front_end,
        "segment": {"seconds": window, "hop_s": hop},
        "network": network,
        "training": {
            "epochs": 0,
            "batch": BATCH,
            "crops": 1,
            "learning_rate": 0.003,
            "select": "loss",
            "augment": augment,
        },
        "inference": {"passes": 10, "batch": 256},
    }
    if several_recordings:
        study.why["systems.first.inference"] = "cases have several recordings, whose probabilities are averaged"
    study.values["systems"] = {"first": system}
    return window, hop


def _time(
    mark: Fingerprint,
    study: Study,
    folds: int,
    has_inner: bool,
    window: float,
    hop: float,
    is_sound: bool,
    cores: int,
    windows_per_s: float | None,
) -> None:
    """Fill in crops and epochs so that all trainings take at most `MINUTES`, and the estimate."""
    training = study.values["systems"]["first"]["training"]
    windows_of = np.maximum(1, np.round((mark.seconds - window) / hop) + 1)
    training["crops"] = int(min(4, max(1, round(float(np.median(windows_of)) / 2))))
    speed = windows_per_s or _speed(study, is_sound, window, max(mark.channels))

    def minutes(epochs: int, inner: bool) -> float:
        whole = len(mark.seconds) * training["crops"] * epochs * 0.8
        inner_windows = whole * 0.8 * (1 - 1 / 3) * 3 if inner else 0
        return PASSES_SHARE * folds * (whole * 0.8 + inner_windows) / speed / cores / 60

    if has_inner and minutes(EPOCHS[-2], True) > MINUTES:
        has_inner = False
        del study.values["inner_folds"]
        study.why["protocol"] += f". No inner folds: their trainings would take longer than {MINUTES} minutes here"
        study.why.pop("inner_folds")
    epochs = next((epochs for epochs in EPOCHS if minutes(epochs, has_inner) <= MINUTES), EPOCHS[-1])
    training["epochs"] = epochs
    study.trainings = folds * (4 if has_inner else 1)
    study.minutes = minutes(epochs, has_inner)
    study.why["systems.first.training"] = (
        f"{study.trainings} trainings in about {math.ceil(study.minutes)} minutes on {cores} cores, at most {MINUTES}; "
        f"a core trains {speed:.0f} windows a second"
    )


def _speed(study: Study, is_sound: bool, window: float, channels: int) -> float:
    """Windows that a core trains in a second, measured with random windows of the study's network."""
    import torch  # takes seconds to load

    from auscult import networks

    system = study.values["systems"]["first"]
    settings = system["front_end"]["settings"]
    if is_sound:
        shape = (2, round(window / settings["hop_s"]), settings["bands"])  # normalise: both has two channels
    else:
        shape = (channels, round(window * settings["rate_hz"]), 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = networks.build(system["network"]["name"], system["network"]["options"], shape, 1)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
        x = torch.randn(BATCH, *shape)
        steps, started = 0, 0.0
        while steps < 2 or time.perf_counter() - started < 1.0:
            if steps == 1:
                started = time.perf_counter()  # the first step sets up buffers
            network(x)[0].sum().backward()
            optimiser.step()
            optimiser.zero_grad()
            steps += 1
        return BATCH * (steps - 1) / (time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)
