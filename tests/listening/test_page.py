"""The page itself: what it says of a case, and that no text of the data becomes HTML."""

import numpy as np
import pandas as pd
import pytest

from auscult.listening.cases import chosen_cases
from auscult.listening.page import _classes, render
from auscult.listening.sounds import Sound
from tests.listening.test_cases import CLASSES, predictions

ISSUES = ["target", "level", "case", "recording", "site", "label", "suggested", "p_label", "p_suggested"]


def made(murmur_study, table: pd.DataFrame, issues: list[tuple] = (), asked: tuple = (), **changes) -> str:
    table = table.assign(
        fit_on="none", decision="reference", stage=np.where(table["system"] == "chosen", "chosen", "network")
    )
    chosen = chosen_cases(murmur_study().targets, table, list(asked), set(table["case"]))
    item = Sound(
        "r<b>1", "AV", 30.0, 40.0, "data:audio/mpeg;base64,AA==", "M0,0Z", "data:image/png;base64,AA==", [], ["quiet"]
    )
    sounds = {case: [item] for case in chosen["case"]}
    values = {"left_out": {}, "front_end": "band1k", "meaning": "", "system": "small", "leak": ""} | changes
    return render("study<1>", murmur_study(), chosen, table, pd.DataFrame(issues, columns=ISSUES), sounds, **values)


def test_a_case_has_its_label_decision_probabilities_and_agreement(murmur_study):
    table = predictions(3)
    case = table.loc[table["label"] == "Present", "case"].iloc[0]
    row = table[(table["case"] == case) & (table["system"] == "chosen")].iloc[0]
    html = made(murmur_study, table, asked=(case,))
    card = html.split('<article class="case"')[1]
    assert f"<h2>{case}</h2>" in card and "asked for" in card
    assert "labelled <strong>Present</strong>" in card and f">{row['prediction']}</span>" in card
    assert f"without a vote: {int(row['prediction'] == 'Absent')} of 1." in card
    assert f"<td>{row['p_Unknown']:.2f}</td>" in card
    assert "30.0 s of 40.0 s" in card and "quiet" in card


def test_doubtful_labels_and_recordings_left_out_are_said(murmur_study):
    table = predictions(3)
    issue = ("murmur", "case", "c01", None, None, "Absent", "Present", 0.02, 0.97)
    html = made(murmur_study, table, [issue], ("c01",), left_out={"c01": 3}, meaning="what speaks for Present")
    assert "The label may be wrong – murmur: Absent, but Present is more probable (0.97)." in html
    assert "3 more recordings of this case are not on this page" in html and "in colour what speaks for Present" in html
    assert "The label may be wrong" not in made(murmur_study, table)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '" onload="x', "a&b", "'"])
def test_text_of_the_data_is_escaped(murmur_study, text):
    table = predictions(1)
    table = table.assign(case=table["case"].replace("c05", text))
    html = made(murmur_study, table, [("murmur", "case", text, "", "", text, text, 0.1, 0.8)], (text,))
    assert "r<b>1" not in html and "study<1>" not in html and html.count("<script>") == 1
    assert text not in html or text in {"'"}
    assert CLASSES[0] in html


@pytest.mark.parametrize(("front_end", "has_bands"), [("band1k", True), ("fbank", True), ("planes9", False)])
def test_low_frequencies_are_named_only_where_frames_are_bands(murmur_study, front_end, has_bands):
    html = made(murmur_study, predictions(1), front_end=front_end)
    assert ("low frequencies at the bottom" in html) is has_bands


def test_a_leak_is_said(murmur_study):
    assert "shared_subject train+test: 14" in made(murmur_study, predictions(1), leak="shared_subject train+test: 14")


@pytest.mark.parametrize(
    ("label", "prediction", "right"), [("b|a", "a|b", True), ("none", "", True), ("a", "a|b", False)]
)
def test_several_classes_are_right_in_any_order(label, prediction, right):
    assert (_classes(label, ["a", "b"]) == _classes(prediction, ["a", "b"])) is right


def test_a_second_stage_is_shown_once_for_each_of_what_it_was_fitted_to(murmur_study):
    table = predictions(1)
    networks = table[table["system"] != "chosen"]
    case = table["case"].iloc[0]
    table = table.assign(fit_on="none", decision="reference")
    table["stage"] = np.where(table["system"] == "chosen", "chosen", "network")
    stages = [networks.assign(stage="xgboost", fit_on=fit_on, decision="cost") for fit_on in ("validation", "train")]
    table = pd.concat([table, *stages], ignore_index=True)
    chosen = chosen_cases(murmur_study().targets, table, [case], {case})
    values = {"left_out": {}, "front_end": "band1k", "meaning": "", "system": "small", "leak": ""}
    html = render("x", murmur_study(), chosen, table, pd.DataFrame([], columns=ISSUES), {case: []}, **values)
    assert "xgboost fitted to validation" in html and "xgboost fitted to train" in html
