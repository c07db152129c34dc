"""Doubtful labels: planted wrong labels are found, at random places; nothing is said where nothing can be."""

import numpy as np
import pandas as pd
import pytest

from auscult.datasets.base import Columns, Manifest
from auscult.evaluation.label_issues import COLUMNS, label_issues

CLASSES = ["Present", "Unknown", "Absent"]


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cases(rng: np.random.Generator, n: int, shares: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """True class numbers (n,) and probabilities (n, classes) of a network that ranks them well, not perfectly."""
    truth = rng.choice(len(shares), n, p=shares)
    return truth, softmax(3 * np.eye(len(shares))[truth] + rng.standard_normal((n, len(shares))))


def predictions(labels: list[str], p: np.ndarray, classes: list[str], target: str) -> pd.DataFrame:
    table = pd.DataFrame({"target": target, "system": "chosen", "case": [f"c{k:04d}" for k in range(len(labels))]})
    return table.assign(label=labels, **{f"p_{name}": p[:, k] for k, name in enumerate(classes)})


def manifest(recordings: pd.DataFrame | None = None) -> Manifest:
    every = pd.DataFrame({"recording": [f"c{k:04d}" for k in range(600)]})
    table = every.assign(case=every["recording"], site="") if recordings is None else recordings
    return Manifest(pd.DataFrame(), table, pd.DataFrame(), Columns())


@pytest.mark.parametrize("seed", range(8))
def test_planted_labels_are_found(murmur_study, seed):
    """Of 5 % wrong labels at random places most are listed, and most of the list is wrong."""
    rng = np.random.default_rng(seed)
    truth, p = cases(rng, 600, [0.25, 0.1, 0.65])
    wrong = rng.choice(600, 30, replace=False)
    labels = truth.copy()
    labels[wrong] = (truth[wrong] + rng.integers(1, 3, 30)) % 3
    found = label_issues(
        murmur_study(), predictions([CLASSES[k] for k in labels], p, CLASSES, "murmur"), manifest(), {}
    )
    assert list(found) == COLUMNS and (found["level"] == "case").all()
    assert found["p_label"].is_monotonic_increasing and (found["label"] != found["suggested"]).all()
    listed = {int(name[1:]) for name in found["case"]}
    hits = len(listed & set(wrong))
    assert hits / 30 > 0.5 and hits / len(listed) > 0.5
    suggested = found.set_index("case")["suggested"]
    assert np.mean([suggested[f"c{k:04d}"] == CLASSES[truth[k]] for k in wrong if f"c{k:04d}" in suggested]) > 0.8


@pytest.mark.parametrize("seed", range(4))
def test_planted_classes_of_a_case_with_several(rhythm_study, seed):
    rng = np.random.default_rng(seed)
    names = ["af", "lbbb", "pvc"]
    has = rng.random((500, 3)) < [0.3, 0.2, 0.4]
    p = 1 / (1 + np.exp(-(6 * has - 3 + rng.standard_normal((500, 3)))))
    wrong = [(case, rng.integers(3)) for case in rng.choice(500, 25, replace=False)]
    written = has.copy()
    for case, k in wrong:
        written[case, k] ^= True
    labels = [
        "|".join(name for name, is_there in zip(names, row, strict=True) if is_there) or "none" for row in written
    ]
    found = label_issues(rhythm_study, predictions(labels, p, names, "rhythm"), manifest(), {})
    listed = {(int(row.case[1:]), row.label.removeprefix("not ")) for row in found.itertuples()}
    hits = len(listed & {(case, names[k]) for case, k in wrong})
    assert hits / 25 > 0.7 and hits / len(listed) > 0.5


@pytest.mark.parametrize("seed", range(4))
def test_planted_labels_of_recordings(murmur_study, seed):
    rng = np.random.default_rng(seed)
    truth, p = cases(rng, 400, [0.3, 0.7])
    wrong = rng.choice(400, 20, replace=False)
    word = np.where((truth == 0) ^ np.isin(np.arange(400), wrong), "audible", "inaudible").astype(object)
    word[:5] = ""  # without a label
    names = [f"r{k}" for k in range(400)]
    table = pd.DataFrame({"recording": names, "case": names, "site": "AV", "murmur_audible": word})
    head = {
        "label": "murmur",
        "positive": ["Present"],
        "train_on": {"column": "murmur_audible", "positive": ["audible"]},
    }
    study = murmur_study(
        tasks={
            "present": {"heads": {"present": head}},
            "unknown": {"heads": {"unknown": {"label": "murmur", "positive": ["Unknown"]}}},
        }
    )
    rows = predictions(["Present", "Absent"], np.eye(3)[[0, 2]], CLASSES, "murmur")
    outputs = {"small": pd.DataFrame({"recording": names, "p_present": p[:, 0]})}
    found = label_issues(study, rows, manifest(table), outputs)
    found = found[found["level"] == "recording"]
    assert set(found["target"]) == {"present"} and set(found["site"]) == {"AV"}
    assert set(found["label"]) <= {"audible", "not audible"}
    listed = {int(name[1:]) for name in found["recording"]}
    hits = len(listed & set(wrong[wrong >= 5]))
    assert min(listed) >= 5 and hits / 20 > 0.6 and hits / len(listed) > 0.5


@pytest.mark.parametrize("labels", [[], [""] * 4, ["Absent"] * 4, ["Absent", ""] * 2])
def test_of_a_single_class_nothing_is_said(murmur_study, labels):
    p = np.tile([0.9, 0.05, 0.05], (len(labels), 1)).reshape(-1, 3)
    found = label_issues(murmur_study(), predictions(labels, p, CLASSES, "murmur"), manifest(), {})
    assert found.empty and list(found) == COLUMNS


@pytest.mark.parametrize("seed", range(3))
def test_a_case_without_a_recording_has_no_doubtful_label(murmur_study, seed):
    """Its probabilities are the class frequencies, whatever its label is."""
    rng = np.random.default_rng(seed)
    truth, p = cases(rng, 300, [0.3, 0.2, 0.5])
    labels, without = [CLASSES[k] for k in truth], rng.choice(300, 20, replace=False)
    p[without] = np.eye(3)[(truth[without] + 1) % 3] * 0.98 + 0.01  # as wrong as can be
    names = [f"c{k:04d}" for k in range(300) if k not in without]
    table = pd.DataFrame({"recording": names, "case": names, "site": ""})
    found = label_issues(murmur_study(), predictions(labels, p, CLASSES, "murmur"), manifest(table), {})
    assert set(found["case"]) <= set(names)


def test_only_the_row_chosen_counts_and_repeats_are_averaged(murmur_study):
    rng = np.random.default_rng(0)
    truth, p = cases(rng, 300, [0.3, 0.2, 0.5])
    labels = [CLASSES[k] for k in truth]
    rows = predictions(labels, p, CLASSES, "murmur")
    others = predictions(labels, p[:, ::-1], CLASSES, "murmur").assign(system="small")
    noise = 0.05 * rng.random(p.shape)
    repeats = [predictions(labels, q, CLASSES, "murmur") for q in (p + noise, p - noise)]
    once = label_issues(murmur_study(), rows, manifest(), {})
    pd.testing.assert_frame_equal(once, label_issues(murmur_study(), pd.concat([rows, others]), manifest(), {}))
    twice = label_issues(murmur_study(), pd.concat(repeats), manifest(), {})
    assert twice["case"].tolist() == once["case"].tolist()


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_said_by_probabilities_at_chance_or_by_a_hair(murmur_study, seed):
    rng = np.random.default_rng(seed)
    truth, p = cases(rng, 300, [0.3, 0.3, 0.4])
    labels = [CLASSES[k] for k in truth]
    by_chance = predictions(labels, p[rng.permutation(300)], CLASSES, "murmur")
    wrong = rng.choice(300, 30, replace=False)
    labels = [CLASSES[(k + 1) % 3] if number in wrong else CLASSES[k] for number, k in enumerate(truth)]
    clearly = predictions(labels, p, CLASSES, "murmur")
    by_a_hair = predictions(labels, 1 / 3 + (p - 1 / 3) * 0.05, CLASSES, "murmur")
    assert len(label_issues(murmur_study(), clearly, manifest(), {})) > 10
    assert label_issues(murmur_study(), by_a_hair, manifest(), {}).empty
    assert label_issues(murmur_study(), by_chance, manifest(), {}).empty
