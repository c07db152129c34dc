"""From a fingerprint to a study: every choice with its reason."""

from __future__ import annotations

import math
import os
import re
import time
import unicodedata
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from auscult.config.protocols import GroupCV
from auscult.config.systems import Task
from auscult.config.targets import Target
from auscult.first_study.fingerprint import FEWEST_SUBJECTS, Fingerprint, FirstStudyError
from auscult.folds.planned import FoldError
from auscult.folds.protocols import assign
from auscult.plan.networks import LOWEST_SOUND_HZ

RATES = (250, 500, 1000, 2000, 4000, 8000, 16000, 22050, 44100)
MINUTES = 60
"""Time that the trainings of a first study may take on this machine."""
MOST_FOLDS, SUBJECTS_FOR_INNER, FEWEST_GROUPS, SEEDS = 5, 20, 4, 10
EPOCHS = (40, 30, 20, 15, 10, 6)
BATCH = 64
UNIT_SPREAD = (0.05, 5.0)  # standard deviations of signals that a network can read in their own units
LONGEST_NAME = 60  # letters of a name that a label column gives; it becomes part of file names
PASSES_SHARE = 1.15
"""Time of scoring beside that of training."""


@dataclass
class Draft:
    """Values of a study file, the reason of each choice by its path (`dataset.rate_hz`), and the estimate.

    minutes: of all trainings on this machine's cores. trainings: their number.
    """

    values: dict[str, Any]
    why: dict[str, str] = field(default_factory=dict)
    trainings: int = 0
    minutes: float = 0.0


def choose(facts: Fingerprint, cores: int | None = None, windows_per_s: float | None = None) -> Draft:
    """Return a study for a folder of recordings. Raises FirstStudyError.

    cores: of this machine by default. windows_per_s: training speed of a core; measured in a second by default.
    """
    study = Draft({"description": "", "dataset": {}, "targets": {}, "protocol": {}, "tasks": {}, "systems": {}})
    is_sound = _dataset(facts, study)
    label = _target(facts, study)
    folds, has_inner = _protocol(facts, study, label)
    window, hop = _system(facts, study, is_sound)
    _time(facts, study, folds, has_inner, window, hop, is_sound, cores or os.cpu_count() or 1, windows_per_s)
    study.values["description"] = f"{label} of the recordings in {facts.dataset.root}: a first study."
    return study


def _dataset(facts: Fingerprint, study: Draft) -> bool:
    """Fill in `dataset`; return whether the recordings are sounds."""
    native = max(facts.rates, key=lambda rate: (facts.rates[rate], rate))
    least_rate = 2 * facts.energy_hz / 0.9
    rate = min(native, next((rate for rate in RATES if rate >= least_rate), native))
    is_sound = native >= LOWEST_SOUND_HZ
    rate = max(rate, min(native, LOWEST_SOUND_HZ)) if is_sound else rate
    channels = max(facts.channels, key=lambda count: facts.channels[count])
    keeps_all = channels > 1 and len(facts.channels) == 1 and not is_sound
    problems = facts.manifest.quality["problem"].value_counts().to_dict()
    dropped_files = int((facts.manifest.quality["action"] == "dropped").sum())
    shortest = float(np.quantile(facts.seconds, 0.02))
    study.values["dataset"] = {
        "name": facts.dataset.name,
        "adapter": facts.dataset.adapter,
        "root": facts.dataset.root,
        **({"options": facts.dataset.options} if facts.dataset.options else {}),
        "rate_hz": rate,
        "channels": "all" if keeps_all else "mean",
        "sample_format": "int16" if is_sound else "float32",
        "short_s": round(min(4.0, max(0.05, 0.9 * shortest)), 3),
        **({"distinct_ids": True} if facts.dataset.distinct_ids else {}),
    }
    rates = ", ".join(f"{count} at {hz} Hz" for hz, count in sorted(facts.rates.items()))
    study.why["dataset"] = (
        f"{len(facts.manifest.recordings)} recordings of {len(facts.manifest.cases)} cases; {dropped_files} dropped; "
        f"problems: {', '.join(f'{n} {name}' for name, n in problems.items()) or 'none'}"
        + (f"; columns of cases.csv that are not used: {', '.join(facts.unused)}" if facts.unused else "")
        + (
            f"; {len(facts.unlisted)} sound files that recordings.csv does not list, as {facts.unlisted[0]}"
            if facts.unlisted
            else ""
        )
    )
    if facts.dataset.distinct_ids:
        study.why["dataset.distinct_ids"] = "ids that differ in writing only name different recordings"
    study.why["dataset.rate_hz"] = (
        f"recorded: {rates}; in nine tenths of the recordings, nearly all energy of the differences from sample to "
        f"sample, which weigh high frequencies more, lies below {facts.energy_hz:.0f} Hz"
    )
    study.why["dataset.channels"] = f"recordings by number of channels: {facts.channels}"
    study.why["dataset.sample_format"] = "sounds are within ±1" if is_sound else "physical units may lie outside ±1"
    study.why["dataset.short_s"] = (
        f"2 % last up to {shortest:.2f} s; recordings shorter than this are listed in quality.csv"
    )
    return is_sound


def _target(facts: Fingerprint, study: Draft) -> str:
    """Fill in `targets` and `tasks`; return the label column."""
    label, classes = next(iter(facts.labels.items()))
    name = _name(label)
    counts = ", ".join(
        f"{word} {n} ({subjects} subjects)" if facts.manifest.subjects_known else f"{word} {n}"
        for word, (n, subjects) in classes.items()
    )
    largest = max(n for n, _ in classes.values())
    if label in facts.several:
        head = {"label": label, "kind": "multilabel", "classes": sorted(classes)}
        target = {**head, "heads": [name], "decisions": ["tuned_f_each", "reference"]}
    else:
        # the rarest first: pages explain the first class
        order = sorted(classes, key=lambda word: (classes[word], word))
        weights = [min(10, max(1, round(math.sqrt(largest / classes[word][0])))) for word in order]
        target = {"label": label, "classes": order, "weights": weights, "heads": [name]}
        target["decisions"] = ["reference", "cost", "tuned_uar"]
        head = {"label": label, "kind": "multiclass", "classes": order}
        head = {"label": label, "positive": [order[0]]} if len(order) == 2 else head
        study.why[f"targets.{name}.weights"] = "the root of how much rarer than the largest class each is"
    study.values["targets"] = {name: target}
    study.values["tasks"] = {name: {"heads": {name: head}}}
    others = [other for other in facts.labels if other != label]
    more = f"; other label columns: {', '.join(others)}" if others else ""
    study.why[f"targets.{name}"] = f"cases: {counts}{more}"
    return label


def _name(label: str) -> str:
    """A label column as a name of targets, tasks and heads: small letters, digits and underscores."""
    plain = unicodedata.normalize("NFKD", label.casefold()).encode("ascii", "ignore").decode()
    words = "_".join(re.findall("[a-z0-9]+", plain))[:LONGEST_NAME].rstrip("_")
    return words if words[:1].isalpha() else f"label_{words}".rstrip("_")


def _protocol(facts: Fingerprint, study: Draft, label: str) -> tuple[int, bool]:
    """Fill in `protocol` and `inner_folds`; return the number of folds and whether there are inner ones."""
    # a class of one or two subjects cannot be in training, validation and test of every fold
    fewest = min(n for _, n in facts.labels[label].values() if n >= FEWEST_SUBJECTS)
    protocol = {
        "name": "group_cv",
        "folds": max(2, min(MOST_FOLDS, fewest)),
        "val": 0.2,
        "seed": 0,
        "stratify": [label],
    }
    units = "subjects" if facts.manifest.subjects_known else "cases"
    text = f"the rarest class (of {FEWEST_SUBJECTS} {units} or more) has {fewest} {units}"
    if not facts.manifest.subjects_known:
        text += ". Who was recorded is not known: recordings of one person may be in training and test"
        if facts.candidates:
            text += f"; these columns may name subjects: {', '.join(facts.candidates)} (rename one to `subject`)"
        for group in facts.manifest.columns.groups:
            count = facts.manifest.cases[group].nunique()
            if count >= FEWEST_GROUPS:
                protocol |= {"group": group, "folds": min(protocol["folds"], count)}
                text += f"; all cases of one {group} ({count}) stay together"
                break
    protocol = _drawn(facts, study, label, protocol)
    study.values["protocol"] = protocol
    has_inner = min(n for _, n in facts.labels[label].values()) >= SUBJECTS_FOR_INNER
    if has_inner:
        study.values["inner_folds"] = {"folds": 3, "bag": True}
        study.why["inner_folds"] = f"enough {units} to fit thresholds to cases that no network was trained on"
    else:
        text += f"; too few {units} for inner folds"
    study.why["protocol"] = text
    return protocol["folds"], has_inner


def _drawn(facts: Fingerprint, study: Draft, label: str, protocol: dict[str, Any]) -> dict[str, Any]:
    """Return the protocol with a seed, and if need be fewer folds, by which every fold trains on every class.

    Raises FirstStudyError where there is none.
    """
    targets = {name: Target.model_validate(target) for name, target in study.values["targets"].items()}
    tasks = {name: Task.model_validate(task) for name, task in study.values["tasks"].items()}
    cases = facts.manifest.cases[facts.manifest.cases["case"].isin(facts.manifest.recordings["case"])]
    words, reason = cases.set_index("case")[label].str.split("|"), ""
    for folds, seed in product(range(protocol["folds"], 1, -1), range(SEEDS)):
        candidate = {**protocol, "folds": folds, "seed": seed}
        try:
            roles = assign(GroupCV.model_validate(candidate), targets, tasks, cases, Path())
        except FoldError as error:
            reason = f" ({error})"
            continue
        training = roles[roles["role"] == "train"]
        if all(set(facts.labels[label]) <= set(words[part["case"]].explode()) for _, part in training.groupby("fold")):
            return candidate
    rarest = min(facts.labels[label], key=lambda word: facts.labels[label][word])
    raise FirstStudyError(
        f"{label}: no folds train on every class; the rarest is {rarest!r}: merge it with another one, or empty the "
        f"label of its cases{reason}"
    )


def _system(facts: Fingerprint, study: Draft, is_sound: bool) -> tuple[float, float]:
    """Fill in `systems`; return window and hop in seconds."""
    dataset, name = study.values["dataset"], next(iter(study.values["targets"]))
    rate, middle = dataset["rate_hz"], float(np.median(facts.seconds))
    long = float(np.quantile(facts.seconds, 0.75))
    window = max(0.25, round(2 * long) / 2) if middle < 5 else 4.0 if is_sound else 5.0
    hop = window if middle < 1.5 * window else 0.75 * window
    several_recordings = len(facts.manifest.recordings) > 1.2 * facts.manifest.recordings["case"].nunique()
    if is_sound:
        high = min(rate / 2, max(200.0, 100 * math.ceil(facts.energy_hz / 100)))
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
            f"log-mel bands up to {high:.0f} Hz (see rate_hz), normalised by recording and by band"
        )
    else:
        keeps_units = UNIT_SPREAD[0] <= facts.spread <= UNIT_SPREAD[1]
        normalise = "none" if keeps_units else "channel"
        front_end = {"name": "samples", "settings": {"rate_hz": rate, "normalise": normalise}}
        network = {
            "name": "resnet1d",
            "options": {"depths": [1, 1, 1], "widths": [32, 64, 128], "kernel": 7, "stem_kernel": 15},
        }
        augment = {"mixup": 0.4}
        study.why["systems.first.front_end"] = f"at {rate} Hz the samples themselves, " + (
            f"in their own units, since amplitudes may matter (median standard deviation {facts.spread:.2g})"
            if keeps_units
            else f"each channel standardised (their median standard deviation is {facts.spread:.2g})"
        )
    study.why["systems.first.segment"] = (
        f"recordings last {np.min(facts.seconds):.2f} to {np.max(facts.seconds):.2f} s, "
        f"half of them up to {middle:.2f} s"
    )
    study.why["systems.first.network"] = "a small network that a processor trains; docs/networks.md has larger ones"
    system: dict[str, Any] = {
        "tasks": [name],
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
    facts: Fingerprint,
    study: Draft,
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
    windows_of = np.maximum(1, np.round((facts.seconds - window) / hop) + 1)
    training["crops"] = int(min(4, max(1, round(float(np.median(windows_of)) / 2))))
    speed = windows_per_s or _speed(study, is_sound, window, max(facts.channels))

    def minutes(epochs: int, inner: bool) -> float:
        # of the cases that are not tested, validation takes a fifth; three inner folds train on two thirds of them each
        not_tested = len(facts.seconds) * (1 - 1 / folds)
        cases = 0.8 * not_tested * (1 + (2 if inner else 0))
        return PASSES_SHARE * folds * cases * training["crops"] * epochs / speed / cores / 60

    if has_inner and minutes(EPOCHS[-2], True) > MINUTES:
        has_inner = False
        del study.values["inner_folds"]
        study.why["protocol"] += f". No inner folds: their trainings would take longer than {MINUTES} minutes here"
        study.why.pop("inner_folds")
    epochs = next((epochs for epochs in EPOCHS if minutes(epochs, has_inner) <= MINUTES), EPOCHS[-1])
    training["epochs"] = epochs
    study.trainings = folds * (4 if has_inner else 1)
    study.minutes = minutes(epochs, has_inner)
    limit = f"at most {MINUTES}" if study.minutes <= MINUTES else f"more than the {MINUTES} aimed at"
    study.why["systems.first.training"] = (
        f"{study.trainings} trainings in about {math.ceil(study.minutes)} minutes on {cores} cores, {limit}; a core "
        f"trains {speed:.0f} windows a second"
    )


def _speed(study: Draft, is_sound: bool, window: float, channels: int) -> float:
    """Windows that a core trains in a second, measured with random windows of the study's network."""
    import torch  # takes seconds to load

    from auscult import networks

    system = study.values["systems"]["first"]
    settings = system["front_end"]["settings"]
    if is_sound:
        shape = (2, round(window / settings["hop_s"]), settings["bands"])  # normalise: both has two channels
    else:
        shape = (
            channels if study.values["dataset"]["channels"] == "all" else 1,
            round(window * settings["rate_hz"]),
            1,
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = networks.build(system["network"]["name"], system["network"]["options"], shape, 1)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
        x = torch.randn(BATCH, *shape)
        steps, start_s = 0, 0.0
        while steps < 2 or time.perf_counter() - start_s < 1.0:
            if steps == 1:
                start_s = time.perf_counter()  # the first step sets up buffers
            network(x)[0].sum().backward()
            optimiser.step()
            optimiser.zero_grad()
            steps += 1
        return BATCH * (steps - 1) / (time.perf_counter() - start_s)
    finally:
        torch.set_num_threads(threads)
