"""Which cases are explained, their pictures, and the shares of heart phases with their intervals."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from auscult.cache.store import open_cache, write_cache
from auscult.figures.drawing import save
from auscult.figures.explanations import Explained, explain_system, explainer, leads, phases_table, pick, picture
from auscult.inference.explain import NotExplainable, explain_recordings


def noise(row) -> np.ndarray:
    return np.random.default_rng(0).integers(-100, 100, (4000, 1), dtype=np.int16)


STATES = pd.DataFrame(
    [(k / 4, (k + 1) / 4, ("S1", "systole", "S2", "diastole")[k % 4]) for k in range(48)],
    columns=["onset_s", "offset_s", "state"],
)


def explained(recording: str = "a_AV", seconds: float = 12.0, states: pd.DataFrame = STATES) -> Explained:
    """A map that is bright in systole of the seconds 7 to 9 alone."""
    times = np.arange(0, seconds, 0.05) + 0.025
    cam = np.zeros((len(times), 6))
    cam[(times % 1 > 0.25) & (times % 1 < 0.5) & (times > 7) & (times < 9)] = 1.0
    samples = np.random.default_rng(0).standard_normal((1, int(seconds * 100)))
    return Explained(recording, cam, np.random.default_rng(1).random(cam.shape), times, samples, 100, states)


def test_leads_lie_on_paper_of_25_mm_a_second(tmp_path):
    names = ("I", "II", "V1")
    one = explained(seconds=12.0)
    square = np.zeros((3, 1200))
    square[1, 100:200] = 1.0  # one millivolt for one second
    drawn = leads("a", replace(one, samples=square, channels=names), "a: AF, found", "probability of AF 0.90")
    width, height = drawn.figure.get_size_inches() * 25.4
    axes = drawn.figure.axes[0]
    box = axes.get_position()
    assert box.width * width == pytest.approx(250) and box.height * height == pytest.approx(3 * 15)  # ten of 12 s
    assert [text.get_text() for text in axes.texts] == list(names)
    along, up = axes.lines[1].get_data()
    assert np.ptp(up) == pytest.approx(10) and np.ptp(along[up > up.mean()]) == pytest.approx(25, abs=0.5)
    figures = save([drawn], tmp_path)
    ET.parse(tmp_path / figures["file"].iloc[0])


def predictions() -> pd.DataFrame:
    """Ten of class Present, found when the probability is high; two others, of which one is the least sure."""
    p = [0.95, 0.9, 0.85, 0.8, 0.75, 0.4, 0.3, 0.2, 0.1, 0.05, 0.3, 0.02]
    rows = pd.DataFrame({"case": [f"c{k:02d}" for k in range(12)], "p_Present": p})
    rows["label"] = ["Present"] * 10 + ["Absent"] * 2
    rows["prediction"] = np.where(rows["p_Present"] > 0.5, "Present", "Absent")
    rows["uncertainty"] = 0.1
    rows.loc[[10, 6], "uncertainty"] = [0.9, 0.8]
    key = {"target": "murmur", "system": "small", "stage": "network", "fit_on": "none", "decision": "reference"}
    return rows.assign(**key, repeat=0, fold=[k % 2 for k in range(12)], subject=rows["case"])


def test_typical_cases_are_picked():
    picked = pick(predictions(), "Present")
    assert picked[picked["kind"] == "hit"]["case"].tolist() == ["c03", "c02"]  # the middle of five
    assert picked[picked["kind"] == "miss"]["case"].tolist() == ["c08", "c07"]
    assert picked[picked["kind"] == "uncertain"]["case"].tolist() == ["c10", "c06"]


def test_without_misses_there_are_none():
    rows = predictions().query("prediction == label")
    assert set(pick(rows, "Present")["kind"]) == {"hit", "uncertain"}


def test_the_brightest_seconds_are_shown(tmp_path):
    drawn = picture("a", explained(), "a: Present, found", "probability of Present 0.90")
    table = save([drawn], tmp_path)
    low, high = drawn.figure.axes[0].get_xlim()
    assert low <= 7.25 and high >= 8.5 and high - low == pytest.approx(5)
    assert ET.parse(tmp_path / table.at[0, "file"]).getroot().tag.endswith("svg")
    assert "a_AV" in drawn.caption and "heart phases" in drawn.caption


def test_a_picture_says_what_its_colour_means():
    assert "in colour what speaks for the class" in picture("a", explained(), "words", "meaning").caption
    attends = replace(explained(), by="attention")
    assert "in colour where the network attends least" in picture("a", attends, "words", "meaning").caption
    many = replace(attends, samples=np.zeros((3, 400)))
    assert "in colour, where the network attends least" in leads("a", many, "words", "meaning").caption


@pytest.mark.parametrize(("seconds", "states"), [(2.0, STATES), (12.0, STATES.head(0))])
def test_short_recordings_and_those_without_phases_are_drawn_too(tmp_path, seconds, states):
    drawn = picture("a", explained(seconds=seconds, states=states), "words", "meaning")
    save([drawn], tmp_path)
    assert ("heart phases" in drawn.caption) == bool(len(states))


def test_shares_of_phases_with_intervals_over_subjects():
    shares = pd.DataFrame(
        [(f"r{k}", f"c{k}", "systole", 0.5 + 0.1 * (k % 2), 0.3) for k in range(20)],
        columns=["recording", "case", "state", "energy", "time"],
    )
    subjects = pd.Series([f"s{k // 2}" for k in range(20)], index=[f"c{k}" for k in range(20)])
    row = phases_table(shares, subjects).iloc[0]
    assert (row["state"], row["energy"], row["time"]) == ("systole", pytest.approx(0.55), pytest.approx(0.3))
    assert row["energy_low"] == pytest.approx(0.55) and row["energy_high"] == pytest.approx(0.55)  # pairs are alike
    alone = phases_table(shares, pd.Series(shares["case"].to_numpy(), index=shares["case"])).iloc[0]
    assert alone["energy_low"] < 0.545 < 0.555 < alone["energy_high"]


def test_a_system_is_explained_fold_by_fold(murmur_study, world, tmp_path):
    asked = []
    rows = predictions().assign(case=lambda t: "c" + t["case"].str[1:])

    def explain(repeat, fold, output, cases):
        asked.append((repeat, fold, output, sorted(cases)))
        return {case: [explained(f"{case}_AV")] for case in cases}

    manifest = world.manifest
    drawn, table = explain_system(murmur_study(), "small", rows, manifest, explain)
    assert [part[:3] for part in asked] == [(0, 0, "present"), (0, 1, "present")]
    assert asked[0][3] == ["c00", "c02", "c04", "c06", "c08", "c10"]  # Present cases of the fold, and the uncertain
    assert [one.file for one in drawn] == [
        "explained-phases.svg",
        *(f"explained-{case}.svg" for case in ("c02", "c06", "c08", "c10", "c03", "c07")),
    ]
    assert table.set_index("state").at["systole", "energy"] == pytest.approx(1)


def test_what_is_normal_is_not_explained(murmur_study, world):
    asked = []
    classes = ["Absent", "Present"]
    head = {"label": "murmur", "kind": "multiclass", "classes": classes}
    target = {"label": "murmur", "classes": classes, "heads": ["grade"], "normal": "Absent"}
    system = {**murmur_study().systems["small"].model_dump(), "tasks": ["grade"]}
    study = murmur_study(
        targets={"murmur": target}, tasks={"grade": {"heads": {"grade": head}}}, systems={"small": system}, fusion=None
    )

    def explain(repeat, fold, output, cases):
        asked.append(output)
        return {}

    explain_system(study, "small", predictions(), world.manifest, explain)
    assert set(asked) == {"grade_Present"}


def test_a_network_without_maps_explains_nothing(murmur_study, world):
    def explain(repeat, fold, output, cases):
        raise NotExplainable("no maps")

    drawn, table = explain_system(murmur_study(), "small", predictions(), world.manifest, explain)
    assert drawn == [] and table.empty


def test_recordings_of_a_case_come_likeliest_first(world, scored, tmp_path):
    """With a trained network, its frames and audio from caches."""
    audio = tmp_path / "audio"
    rows = world.manifest.recordings
    write_cache(audio, rows[["recording", "sha256"]], noise, {"kind": "audio"}, "code", shards=2)
    frames, sound = open_cache(world.cache, world.cache_config), open_cache(audio, {"kind": "audio"})
    cpu = torch.device("cpu")
    explain = explainer(
        world.study,
        "small",
        lambda task, repeat, fold: world.job(scored[task][0], task),
        world.manifest,
        STATES.assign(recording="c06_AV"),
        frames,
        sound,
        cpu,
    )
    found = explain(0, 0, "present", {"c05", "c06"})
    assert {case: sorted(one.recording for one in parts) for case, parts in found.items()} == {
        "c05": ["c05_AV", "c05_MV"],
        "c06": ["c06_AV"],
    }
    assert len(found["c06"][0].states) == 48 and found["c05"][0].states.empty
    for parts in found.values():
        for one in parts:
            assert one.cam.shape == one.features.shape == (len(one.times), one.cam.shape[1])
    job = world.job(scored["present"][0], "present")
    _, _, logits, by = explain_recordings(job, ["c05_AV", "c05_MV"], 0, frames, cpu)
    assert found["c05"][0].recording == ["c05_AV", "c05_MV"][int(np.argmax(logits))]
    assert by == found["c05"][0].by == "Grad-CAM"
