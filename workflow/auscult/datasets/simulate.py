"""Simulated phonocardiograms in the file format of CirCor: a data set for demonstrations and tests.

First a plan is drawn: each person's murmur, the sites at which it is audible, and the noise. Then each recording is
rendered from the plan: S1 and S2, murmur, breathing, ambient and handling noise. The labels come from the plan, so
they are correct by construction. Levels are in dB of full scale, times in seconds.
"""

import contextlib
import csv
import os
import shutil
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from auscult.datasets import circor
from auscult.datasets.base import Listing
from auscult.datasets.errors import DatasetError
from auscult.datasets.simulated_sound import FACTS, RATE, Murmur, Person, Rng, Take, render

BLOCK = 64  # a recording's length is a multiple of this many samples, as in the release
SHARES = {"Present": 0.19, "Unknown": 0.072}  # the rest is Absent
ABNORMAL = {"Present": 0.84, "Unknown": 0.63, "Absent": 0.38}  # P(outcome is Abnormal | murmur)
HEART = -23.0  # dB, usual peak of S1
NOISE = -43.0  # dB, usual ambient noise
BAND = 6.0  # dB by which the noise in a murmur's band is below the noise in all bands
AUDIBLE = 1.5  # dB over the noise in its band from which a murmur is audible
STALE = 3600.0  # seconds after which an abandoned incomplete folder is removed

# By site: position on the chest (arbitrary units).
PLACES = {"AV": (-1.0, 2.0), "PV": (1.0, 2.0), "TV": (0.5, 0.0), "MV": (2.2, -0.6), "Phc": (3.2, 1.0)}
PITCHES = {"Low": (100.0, 170.0), "Medium": (170.0, 270.0), "High": (270.0, 420.0)}  # centre, Hz
GRADES = {"I": (4.0, 9.0), "II": (9.0, 14.0), "III": (14.0, 21.0)}  # dB over usual noise in its band
FIELDS = ["Age", "Sex", "Height", "Weight", "Pregnancy status", "Murmur"]  # keys of the text files, in order
FIELDS += ["Murmur locations", "Most audible location"]
FIELDS += [f"{phase} murmur {fact}" for phase in ("Systolic", "Diastolic") for fact in FACTS]
FIELDS += ["Outcome", "Campaign", "Additional ID"]


class Options(BaseModel):
    """Options of the simulation; the same options give the same bytes."""

    model_config = ConfigDict(extra="forbid")

    subjects: int = Field(80, ge=1, le=20_000, description="Number of people.")
    seed: int = Field(0, ge=0, description="Random seed.")
    seconds: tuple[float, float] = Field((8.0, 16.0), description="Shortest and longest recording, 2 to 120 s.")
    twins: float = Field(0.08, ge=0.0, le=1.0, description="Share of subjects recorded twice, as two patients.")

    @model_validator(mode="after")
    def _ordered(self) -> "Options":
        if not 2.0 <= self.seconds[0] <= self.seconds[1] <= 120.0:
            raise ValueError(f"must be the shortest and the longest, within 2 and 120, not {self.seconds}")
        return self


@dataclass(frozen=True)
class Patient:
    """One patient id: one visit of one person."""

    id: str
    key: tuple[int, int]  # subject, visit
    person: Person
    takes: list[Take]
    fields: dict[str, str]


def fetch(root: Path, options: Options, log: Callable[[str], object] = print) -> None:
    """Write `root/training_data/*.wav|.hea|.tsv|.txt` and `root/training_data.csv`.

    `root` appears only when all files are written. A complete `root` of the same options is left as it is, even if
    recordings were edited afterwards. Raises DatasetError if `root` is neither that nor an empty folder.
    """
    root = Path(root)
    patients = plan(options)
    if _is_complete(root, patients):
        log(f"{root}: already there")
        return
    part = root.with_name(f".{root.name}.partial-{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):  # another process may remove them too
        for partial_folder in root.parent.glob(f".{root.name}.partial-*"):
            if (
                partial_folder == part
                or time.time() - max(p.stat().st_mtime for p in (partial_folder, *partial_folder.glob("*"))) > STALE
            ):
                shutil.rmtree(partial_folder)
    (part / "training_data").mkdir(parents=True)
    try:
        last_log_s = time.monotonic()
        for number, patient in enumerate(patients):
            _write_patient(part / "training_data", patient, options.seed)
            if time.monotonic() - last_log_s > 10:
                last_log_s = time.monotonic()
                log(f"simulated {number + 1} of {len(patients)} patients")
        with (part / "training_data.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["Patient ID", "Recording locations:", *FIELDS])
            for patient in patients:
                sites = "+".join(take.site for take in patient.takes)
                table.writerow([patient.id, sites, *patient.fields.values()])
        part.rename(root)  # fails if another process was faster
    finally:
        shutil.rmtree(part, ignore_errors=True)
    log(f"{root}: {len(patients)} patients, {sum(len(p.takes) for p in patients)} recordings simulated")


def plan(options: Options) -> list[Patient]:
    """Return all patients in order of id, without signals.

    A person and the label depend on the seed and the person's index, not on the number of subjects. Which persons
    are recorded twice depends on that number too.
    """
    common = np.random.default_rng(options.seed)
    # No id is the beginning of another. Short ids come last in text order, first in numerical order.
    long = common.permutation(np.arange(20_000, 90_000))
    short = common.permutation(np.arange(9_000, 10_000))
    labels = _labels(options.subjects, common)
    lots = common.random(options.subjects)
    twins = set(np.argsort(lots, kind="stable")[: round(options.twins * options.subjects)].tolist())
    patients = []
    for k, label in enumerate(labels):
        person = _person(_rng(options.seed, k))
        ids = (str(short[k // 20] if k % 20 == 3 else long[2 * k]), str(long[2 * k + 1]))
        for visit in range(2 if k in twins else 1):
            patient = _patient(options, ids[visit], (k, visit), person, label)
            if k in twins:
                patient.fields.update({"Campaign": f"CC{2014 + visit}", "Additional ID": ids[1 - visit]})
            patients.append(patient)
    return sorted(patients, key=lambda patient: int(patient.id))


def _rng(seed: int, *key: int) -> Rng:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _draw_name(rng: Rng, names: str, *shares: float) -> str:
    """Return one of the names (separated by blanks), drawn by their shares, which need not sum to 1."""
    ends = np.cumsum(shares)
    return names.split()[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))]


def _labels(count: int, rng: Rng) -> list[str]:
    """Return the murmur label of each subject; every first n labels from n = 30 on have the shares of the classes."""
    groups = [["Present"] * 2 + ["Unknown"] * u + ["Absent"] * (8 - u) for u in (1, 2, 1)]
    labels = [label for group in groups for label in rng.permutation(group).tolist()]
    counts = {name: labels.count(name) for name in SHARES}
    while len(labels) < count:
        classes_due = [name for name, share in SHARES.items() if counts[name] < share * (len(labels) + 1)]
        labels.append(classes_due[0] if classes_due else "Absent")
        counts |= {name: counts[name] + 1 for name in classes_due[:1]}
    return labels[:count]


def _person(rng: Rng) -> Person:
    group = _draw_name(rng, "Neonate Infant Child Adolescent Adult", 0.02, 0.14, 0.69, 0.1, 0.06)
    ages = {"Neonate": (0, 0.07), "Infant": (0.1, 0.98), "Child": (1, 11.9), "Adolescent": (12, 17)}
    years, pregnant = rng.uniform(*ages.get(group, (19, 38))), group == "Adult"
    female = bool(rng.random() < 0.5) or pregnant
    size = (rng.normal(1, 0.05), rng.lognormal(0, 0.15))
    bpm = np.interp(years, [0, 0.5, 2, 6, 12, 18], [140, 128, 112, 95, 82, 75]) * rng.lognormal(0, 0.1)
    breaths = np.interp(years, [0, 1, 12], [0.7, 0.5, 0.32]) * rng.lognormal(0, 0.1)
    pitch = np.interp(years, [0, 2, 12], [1.3, 1.15, 1.0]) * rng.lognormal(0, 0.1)
    s1 = [[48, 0.030, 0, 1.0], [82, 0.024, 0.006, 0.8], [140, 0.014, 0.012, 0.5], [270, 0.006, 0.009, 0.35]]
    s2 = [[62, 0.022, 0, 1.0], [115, 0.017, 0.003, 0.8], [95, 0.015, 0.025, 0.5], [230, 0.007, 0.002, 0.6]]
    tones = rng.lognormal(0, 0.12, (2, 4, 4)) * [pitch, 1, 1, 1] * [s1, s2]
    source, slope = _draw_name(rng, "PV TV MV AV", 0.38, 0.32, 0.22, 0.08), rng.uniform(0.5, 4.5)
    phases = _draw_name(rng, "Systolic Diastolic Systolic+Diastolic", 0.94, 0.015, 0.045).split("+")
    murmurs = {phase: _murmur(rng, phase) for phase in phases}
    innocent = replace(_murmur(rng, "Systolic"), level=rng.normal(-3, 3.5))
    loudness = rng.normal(0, 3)
    body = (years, female, pregnant, size, bpm, breaths, loudness, tones)
    return Person(*body, source, slope, innocent, murmurs)


def _murmur(rng: Rng, phase: str) -> Murmur:
    if phase == "Systolic":
        timing = _draw_name(rng, "Holosystolic Early-systolic Mid-systolic Late-systolic", 0.58, 0.3, 0.09, 0.03)
    else:
        timing = _draw_name(rng, "Early-diastolic Mid-diastolic Holodiastolic", 0.7, 0.2, 0.1)
    shape = _draw_name(rng, "Plateau Decrescendo Diamond Crescendo", 0.65, 0.2, 0.13, 0.02)
    typical = {"Mid-systolic": "Diamond", "Late-systolic": "Crescendo", "Early-diastolic": "Decrescendo"}
    grade = _draw_name(rng, "I II III", 0.45, 0.22, 0.33)
    pitch = _draw_name(rng, "Low Medium High", 0.5, 0.24, 0.26)
    quality = _draw_name(rng, "Harsh Blowing Musical", 0.52, 0.46, 0.02)
    grading = f"{grade}/{'VI' if phase == 'Systolic' else 'IV'}"
    facts = (timing, typical.get(timing, shape), grading, pitch, quality)
    centre, level = rng.uniform(*PITCHES[pitch]), rng.uniform(*GRADES[grade])
    return Murmur(dict(zip(FACTS, facts, strict=True)), centre, level)


def _patient(options: Options, name: str, key: tuple[int, int], person: Person, label: str) -> Patient:
    """Return one visit of a person whose murmur label at the first visit is `label`."""
    rng = _rng(options.seed, *key, 0)
    if rng.random() < 0.2 and key[1]:  # another label at the second visit
        label = _draw_name(rng, "Present Unknown", 0.6, 0.4) if label == "Absent" else "Absent"
    years = person.years + 0.9 * key[1]
    group = np.searchsorted([28 / 365, 1, 12, 18], years, side="right")
    height = np.interp(years, [0, 1, 12, 17], [50, 74, 143, 166]) * person.size[0]
    weight = np.interp(years, [0, 0.5, 6, 17], [13.5, 16.5, 16, 21]) * person.size[1] * (height / 100) ** 2
    is_missing = rng.random(3) < (0.01, 0.06, 0.04)
    takes = _takes(rng, options, person, label)
    fields = dict.fromkeys(FIELDS, "nan") | {
        "Age": "nan" if is_missing[0] else ("Neonate", "Infant", "Child", "Adolescent", "nan")[group],
        "Sex": "Female" if person.female else "Male",
        "Height": "nan" if is_missing[1] or person.pregnant else f"{height:.0f}.0",
        "Weight": "nan" if is_missing[2] or person.pregnant else f"{weight:.1f}",
        "Pregnancy status": str(person.pregnant),
        "Murmur": label,
        "Outcome": "Abnormal" if rng.random() < ABNORMAL[label] else "Normal",
        "Campaign": f"CC{rng.integers(2014, 2016)}",
    }
    if label == "Present":
        fields["Murmur locations"] = "+".join(sorted({take.site for take in takes if take.audible}))
        fields["Most audible location"] = max(takes, key=lambda take: (take.audible, *take.murmurs.values())).site
        for phase, murmur in person.murmurs.items():
            fields |= {f"{phase} murmur {fact}": value for fact, value in murmur.facts.items()}
    return Patient(name, key, person, takes, fields)


def _takes(rng: Rng, options: Options, person: Person, label: str) -> list[Take]:
    """Return the recordings of one visit, named by site."""
    site_sets = "AV+PV+TV+MV AV+MV PV+TV+MV AV+PV+TV MV PV"
    sites = _draw_name(rng, site_sets, 0.64, 0.14, 0.08, 0.06, 0.05, 0.03).split("+") + ["Phc"] * (rng.random() < 0.02)
    if rng.random() < 0.05:
        repeated_site = sites[rng.integers(len(sites))]
        sites.insert(sites.index(repeated_site), repeated_site)
    n, is_unknown = len(sites), label == "Unknown"
    is_bad = is_unknown & ((np.arange(n) == 0) | (rng.random(n) < 0.7))  # at least one recording
    contact = rng.normal(0, 2, n)
    heart = HEART + person.loudness + contact - is_bad * rng.uniform(1, 7, n)
    noise = rng.normal(NOISE, 2.5, n) + np.where(is_bad, rng.uniform(1, 7, n), 5 * (rng.random(n) < 0.12))
    distances = np.array([np.hypot(*np.subtract(PLACES[site], PLACES[person.source])) for site in sites])
    base_levels = NOISE - BAND + contact - person.slope * distances  # dB of a murmur of level 0
    loudest = max(murmur.level for murmur in person.murmurs.values())
    margins = base_levels + loudest - noise + BAND  # dB over the noise in its band
    lift = max(0.0, AUDIBLE + 1 - margins.max())
    bpm = person.bpm * rng.lognormal(0, 0.06) * rng.lognormal(0, 0.02, n)
    blocks = np.round(rng.uniform(*options.seconds, n) * RATE / BLOCK)
    murmurs = person.murmurs if label == "Present" else {}
    return [
        Take(
            name=site if sites.count(site) == 1 else f"{site}_{sites[: i + 1].count(site)}",
            site=site,
            frames=int(blocks[i]) * BLOCK,
            bpm=bpm[i],
            heart=heart[i],
            noise=noise[i],
            bad=bool(is_bad[i]),
            innocent=NOISE - BAND + contact[i] + person.innocent.level,
            murmurs={phase: base_levels[i] + lift + murmur.level for phase, murmur in murmurs.items()},
            audible=bool(murmurs and margins[i] + lift > AUDIBLE),
        )
        for i, site in enumerate(sites)
    ]


def _write_patient(folder: Path, patient: Patient, seed: int) -> None:
    lines = [f"{patient.id} {len(patient.takes)} {RATE}"]
    for i, take in enumerate(patient.takes):
        name = f"{patient.id}_{take.name}"
        samples, rows = render(patient.person, take, _rng(seed, *patient.key, 1 + i))
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, len(samples), "NONE", ""))
            file.writeframes(samples.tobytes())
        header = f"{name} 1 {RATE} {len(samples)}\r\n{name}.wav 16+44 1 16 0 0 0 0 {take.site}\r\n"
        states = "".join(f"{start:.8g}\t{end:.8g}\t{state}\n" for start, end, state in rows)
        (folder / f"{name}.hea").write_bytes(header.encode())
        (folder / f"{name}.tsv").write_bytes(states.encode())
        lines.append(f"{take.site} {name}.hea {name}.wav {name}.tsv")
    lines += [f"#{key}: {value}" for key, value in patient.fields.items()]
    (folder / f"{patient.id}.txt").write_bytes(("\n".join(lines) + "\n").encode())


def _is_complete(root: Path, patients: list[Patient]) -> bool:
    """Return whether `root` contains these patients. Raises DatasetError if it contains anything else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    folder, table = root / "training_data", root / "training_data.csv"
    rows = table.read_text("utf-8").splitlines()[1:] if table.is_file() else []
    size_of_file = {folder / f"{p.id}_{take.name}.wav": 44 + 2 * take.frames for p in patients for take in p.takes}
    unchanged_count = sum(wav.is_file() and wav.stat().st_size == size for wav, size in size_of_file.items())
    # recordings may have been edited or removed, but more than half must be there with their size
    if [row.split(",")[0] for row in rows] == [p.id for p in patients] and 2 * unchanged_count > len(size_of_file):
        return True
    raise DatasetError(f"{root} was not simulated with these options: remove it or choose another folder")


GENERATED = True


def files(root: Path, options: Options) -> list[Path]:
    """Return the files that `ingest` reads."""
    return circor.files(root, circor.Options())


def ingest(root: Path, options: Options) -> Listing:
    """Read the simulated release with the adapter of the real one."""
    return circor.ingest(root, circor.Options())
