"""The choice of cases to explain, their figures, and the shares of heart phases with their intervals."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from auscult.cache.store import open_cache, write_cache
from auscult.config.systems import Head
from auscult.figures.drawing import save
from auscult.figures.explanations import _has_class, explain_system, leads, picture
from auscult.inference.explanation_maps import BY_CHANNEL, NotExplainable, explain_recordings
from auscult.inference.explanations import Explanation, explainer, phases_table, pick


def noise(row) -> np.ndarray:
    return np.random.default_rng(0).integers(-100, 100, (4000, 1), dtype=np.int16)


PHASES = ("S1", "systole", "S2", "diastole")
STATES = pd.DataFrame(
    [(k / 4, (k + 1) / 4, PHASES[k % 4]) for k in range(48)],
    columns=["onset_s", "offset_s", "state"],
)


def explanation(recording: str = "a_AV", seconds: float = 12.0, states: pd.DataFrame = STATES) -> Explanation:
    """An explanation whose map is bright in systole between seconds 7 and 9 only."""
    times = np.arange(0, seconds, 0.05) + 0.025
    cam = np.zeros((len(times), 6))
    cam[(times % 1 > 0.25) & (times % 1 < 0.5) & (times > 7) & (times < 9)] = 1.0
    samples = np.random.default_rng(0).standard_normal((1, int(seconds * 100)))
    return Explanation(
        recording, cam, np.random.default_rng(1).random(cam.shape), times, samples, 100, states, phases=PHASES
    )


def test_leads_are_drawn_on_paper_of_25_mm_a_second(tmp_path):
    names = ("I", "II", "V1")
    square = np.zeros((3, 1200))
    square[1, 100:200] = 1.0  # one millivolt for one second
    ecg = replace(explanation(seconds=12.0), samples=square, channels=names)
    plot = leads("a", ecg, "a: AF, detected", "probability of AF 0.90")
    width, height = plot.figure.get_size_inches() * 25.4
    axes = plot.figure.axes[0]
    box = axes.get_position()
    assert box.width * width == pytest.approx(250) and box.height * height == pytest.approx(3 * 15)  # ten of 12 s
    assert [text.get_text() for text in axes.texts] == list(names)
    x, y = axes.lines[1].get_data()
    assert np.ptp(y) == pytest.approx(10) and np.ptp(x[y > y.mean()]) == pytest.approx(25, abs=0.5)
    figures = save([plot], tmp_path)
    ET.parse(tmp_path / figures["file"].iloc[0])


@pytest.mark.parametrize("bright", range(3))
def test_each_lead_is_coloured_by_its_own_row_of_the_map(bright):
    """A map that is bright in one lead between seconds 2 and 3."""
    ecg = explanation(seconds=5.0)
    cam = np.zeros((len(ecg.times), 3))
    cam[(ecg.times > 2) & (ecg.times < 3), bright] = 4.0
    samples = np.random.default_rng(0).standard_normal((3, 500))
    plot = leads("a", replace(ecg, cam=cam, samples=samples, by=BY_CHANNEL), "a", "probability 0.9")
    lines = plot.figure.axes[0].collections[-3:]
    for number, line in enumerate(lines):
        strength, x = line.get_array(), np.array([part[0, 0] for part in line.get_segments()]) / 25
        inside = (x > 2.05) & (x < 2.9)
        assert np.allclose(strength[inside], float(number == bright))
        assert np.allclose(strength[(x < 1.9) | (x > 3.1)], 0)
        assert line.get_clim() == (0, 1)
    assert "in each channel by itself" in plot.caption


def predictions() -> pd.DataFrame:
    """Ten cases of Present, detected if the probability is above 0.5, and two others; c10 is the most uncertain."""
    p = [0.95, 0.9, 0.85, 0.8, 0.75, 0.4, 0.3, 0.2, 0.1, 0.05, 0.3, 0.02]
    rows = pd.DataFrame({"case": [f"c{k:02d}" for k in range(12)], "p_Present": p})
    rows["label"] = ["Present"] * 10 + ["Absent"] * 2
    rows["prediction"] = np.where(rows["p_Present"] > 0.5, "Present", "Absent")
    rows["uncertainty"] = 0.1
    rows.loc[[10, 6], "uncertainty"] = [0.9, 0.8]
    key = {"target": "murmur", "system": "small", "stage": "network", "fit_on": "none", "decision": "reference"}
    return rows.assign(**key, repeat=0, fold=[k % 2 for k in range(12)], subject=rows["case"])


def test_typical_cases_have_the_median_probability_or_the_largest_uncertainty():
    typical = pick(predictions(), "Present")
    assert typical[typical["kind"] == "hit"]["case"].tolist() == ["c03", "c02"]  # the middle of five
    assert typical[typical["kind"] == "miss"]["case"].tolist() == ["c08", "c07"]
    assert typical[typical["kind"] == "uncertain"]["case"].tolist() == ["c10", "c06"]


def test_there_are_no_misses_if_all_predictions_are_correct():
    rows = predictions().query("prediction == label")
    assert set(pick(rows, "Present")["kind"]) == {"hit", "uncertain"}


def test_the_brightest_seconds_are_shown(tmp_path):
    plot = picture("a", explanation(), "a: Present, detected", "probability of Present 0.90")
    table = save([plot], tmp_path)
    low, high = plot.figure.axes[0].get_xlim()
    assert low <= 7.25 and high >= 8.5 and high - low == pytest.approx(5)
    assert ET.parse(tmp_path / table.at[0, "file"]).getroot().tag.endswith("svg")
    assert "a_AV" in plot.caption and "annotated phases" in plot.caption


def test_captions_state_the_meaning_of_the_colour():
    assert "in colour what contributes to the output" in picture("a", explanation(), "title", "meaning").caption
    attention = replace(explanation(), by="attention")
    assert "in colour the attention of the network" in picture("a", attention, "title", "meaning").caption
    channels = replace(attention, samples=np.zeros((3, 400)))
    assert "In colour: the attention of the network" in leads("a", channels, "title", "meaning").caption


@pytest.mark.parametrize(("seconds", "states"), [(2.0, STATES), (12.0, STATES.head(0))])
def test_short_recordings_and_those_without_phases_are_drawn_too(tmp_path, seconds, states):
    plot = picture("a", explanation(seconds=seconds, states=states), "title", "meaning")
    save([plot], tmp_path)
    assert ("annotated phases" in plot.caption) == bool(len(states))


def test_shares_of_phases_with_intervals_over_subjects():
    shares = pd.DataFrame(
        [(f"r{k}", f"c{k}", "systole", 0.5 + 0.1 * (k % 2), 0.3) for k in range(20)],
        columns=["recording", "case", "state", "energy", "time"],
    )
    subjects = pd.Series([f"s{k // 2}" for k in range(20)], index=[f"c{k}" for k in range(20)])
    row = phases_table(shares, subjects, PHASES).iloc[0]
    assert (row["state"], row["energy"], row["time"]) == ("systole", pytest.approx(0.55), pytest.approx(0.3))
    assert row["energy_low"] == pytest.approx(0.55) and row["energy_high"] == pytest.approx(
        0.55
    )  # each subject has the same mean
    by_case = phases_table(shares, pd.Series(shares["case"].to_numpy(), index=shares["case"]), PHASES).iloc[0]
    assert by_case["energy_low"] < 0.545 < 0.555 < by_case["energy_high"]


@pytest.mark.parametrize("decision", ["reference", "tuned_f"])  # a study need not have `reference`
def test_a_system_is_explained_fold_by_fold(murmur_study, world, decision):
    calls = []
    rows = predictions().assign(case=lambda t: "c" + t["case"].str[1:])
    rows["decision"] = rows["decision"].replace("reference", decision)

    def explain(repeat, fold, output, cases):
        calls.append((repeat, fold, output, sorted(cases)))
        return {case: [explanation(f"{case}_AV")] for case in cases}

    plots, table = explain_system(murmur_study(), "small", rows, world.manifest, explain)
    assert [call[:3] for call in calls] == [(0, 0, "present"), (0, 1, "present")]
    assert calls[0][3] == ["c00", "c02", "c04", "c06", "c08", "c10"]  # Present cases of the fold, and the uncertain
    assert [plot.file for plot in plots] == [
        "explained-phases.svg",
        *(f"explained-{case}.svg" for case in ("c02", "c06", "c08", "c10", "c03", "c07")),
    ]
    assert table.set_index("state").at["systole", "energy"] == pytest.approx(1)


def test_the_normal_class_is_not_explained(murmur_study, world):
    outputs = []
    classes = ["Absent", "Present"]
    head = {"label": "murmur", "kind": "multiclass", "classes": classes}
    target = {"label": "murmur", "classes": classes, "heads": ["grade"], "normal": "Absent"}
    system = {**murmur_study().systems["small"].model_dump(), "tasks": ["grade"]}
    study = murmur_study(
        targets={"murmur": target}, tasks={"grade": {"heads": {"grade": head}}}, systems={"small": system}, fusion=None
    )

    def explain(repeat, fold, output, cases):
        outputs.append(output)
        return {}

    explain_system(study, "small", predictions(), world.manifest, explain)
    assert set(outputs) == {"grade_Present"}


def test_there_are_no_explanations_of_a_network_without_maps(murmur_study, world):
    def explain(repeat, fold, output, cases):
        raise NotExplainable("no maps")

    plots, table = explain_system(murmur_study(), "small", predictions(), world.manifest, explain)
    assert plots == [] and table.empty


def test_recordings_of_a_case_are_in_descending_order_of_the_output(world, scored, tmp_path):
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
    explanations = explain(0, 0, "present", {"c05", "c06"})
    assert {case: sorted(item.recording for item in items) for case, items in explanations.items()} == {
        "c05": ["c05_AV", "c05_MV"],
        "c06": ["c06_AV"],
    }
    assert len(explanations["c06"][0].states) == 48 and explanations["c05"][0].states.empty
    for item in (item for items in explanations.values() for item in items):
        assert item.cam.shape == item.features.shape == (len(item.times), item.cam.shape[1])
    job = world.job(scored["present"][0], "present")
    _, _, logits, by = explain_recordings(job, ["c05_AV", "c05_MV"], 0, frames, cpu)
    assert explanations["c05"][0].recording == ["c05_AV", "c05_MV"][int(np.argmax(logits))]
    assert by == explanations["c05"][0].by == "Grad-CAM"


def test_a_class_called_another_is_not_all_cases(murmur_study, world):
    """Cases of the other class have a label in `pick` that no name of the explained class equals."""
    picked = {}
    for name in ("another", "not another", "Present"):
        classes = [name, "Absent"]
        head = {"label": "murmur", "kind": "multiclass", "classes": classes}
        system = {**murmur_study().systems["small"].model_dump(), "tasks": ["grade"]}
        study = murmur_study(
            targets={"murmur": {"label": "murmur", "classes": classes, "heads": ["grade"]}},
            tasks={"grade": {"heads": {"grade": head}}}, systems={"small": system}, fusion=None,
        )  # fmt: skip
        rows = predictions().replace("Present", name).rename(columns={"p_Present": f"p_{name}"})
        calls = []
        explain_system(study, "small", rows, world.manifest, lambda *call, calls=calls: calls.append(call) or {})
        picked[name] = [cases for *_, cases in calls]
    assert picked["another"] == picked["not another"] == picked["Present"]


def test_a_case_is_explained_as_it_was_predicted_in_the_first_repeat(murmur_study, world):
    """In a second repeat all decisions are the other way round."""
    rows = predictions().assign(case=lambda t: "c" + t["case"].str[1:])
    other = rows.assign(repeat=1, fold=1 - rows["fold"])
    other["prediction"] = np.where(rows["prediction"] == "Present", "Absent", "Present")
    explain = lambda repeat, fold, output, cases: {case: [explanation(f"{case}_AV")] for case in cases}  # noqa: E731
    study = murmur_study()
    once, twice = (
        [(plot.title, plot.caption) for plot in explain_system(study, "small", table, world.manifest, explain)[0]]
        for table in (rows, pd.concat([other, rows]))
    )
    assert once == twice


def test_a_fold_without_a_case_to_explain_loads_no_network(murmur_study, world):
    rows, folds = predictions(), []
    rows = pd.concat([rows, rows[rows["label"] == "Absent"].assign(fold=2, uncertainty=0.0, case=["x1", "x2"])])

    def explain(repeat, fold, output, cases):
        folds.append(fold)
        return {}

    explain_system(murmur_study(), "small", rows, world.manifest, explain)
    assert folds == [0, 1]


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_shares_of_phases_are_of_recordings_that_have_the_class(murmur_study, world, kind):
    """A head that is trained on labels of recordings: of one class, or of several."""
    recordings = world.manifest.recordings
    column = pd.Series(["loud", "soft"] * len(recordings))[: len(recordings)].to_numpy()
    manifest = replace(world.manifest, recordings=recordings.assign(sound=column))
    train_on = {"column": "sound", "positive": ["loud"]} if kind == "binary" else {"column": "sound"}
    classes = {} if kind == "binary" else {"classes": ["loud", "soft"]}
    head = Head.model_validate(
        {"label": "murmur", "kind": kind, "train_on": train_on, **classes}
        | ({"positive": ["Present"]} if kind == "binary" else {})
    )
    has_class = [_has_class(manifest, name, head, "loud") for name in recordings["recording"]]
    assert has_class == [word == "loud" for word in column]
