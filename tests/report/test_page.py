"""The report page: parses, asks no network, escapes what it is given, and says what the tables say."""

from html.parser import HTMLParser

import pandas as pd
import pytest

from auscult.config.study import Study
from auscult.report.cells import duration
from auscult.report.page import render

EVIL = "<script>alert('x')</script>"
VOID = {"meta", "br", "img", "link", "input", "hr"}
AUDIT = ["repeat", "fold", "finding", "roles", "count", "ids"]
QUALITY = ["recording", "problem", "action", "detail"]


def study(**changes) -> Study:
    binary = {"present": {"label": "murmur", "positive": ["Present"]}}
    many = {"rhythm": {"label": "rhythm", "kind": "multilabel", "classes": ["af", EVIL]}}
    system = {"tasks": ["present", "rhythm"], "front_end": {"name": "band1k"}, "network": {"name": "resnet"}}
    return Study.model_validate(
        {
            "description": "Heart sounds & <b>murmurs</b>.",
            "dataset": {"name": "made", "adapter": "folder", "root": "resources/made"},
            "targets": {
                "murmur": {
                    "label": "murmur",
                    "classes": ["Present", "Absent"],
                    "weights": [5, 1],
                    "heads": ["present"],
                },
                "rhythm": {
                    "label": "rhythm",
                    "kind": "multilabel",
                    "classes": ["af", EVIL],
                    "heads": ["rhythm"],
                    "decisions": ["reference"],
                },
            },
            "protocol": {"name": "group_cv", "folds": 2},
            "tasks": {"present": {"heads": binary}, "rhythm": {"heads": many}},
            "systems": {"small": system},
            "fusion": {"systems": ["small"], "fit_on": ["validation", "train"]},
            **changes,
        }
    )


def board(leak: str = "") -> pd.DataFrame:
    base = {"n": 80, "uar": 0.7, "uar_low": 0.65, "uar_high": 0.75, "auroc": 0.81, "leak": leak}
    one = {"target": "murmur", "w_acc": 0.7771, "w_acc_low": 0.731, "w_acc_high": 0.824, "cost": 12345.6, **base}
    names = ["system", "stage", "fit_on", "decision", "chosen_on"]
    variants = [
        ("small", "network", "none", "reference", "none"),
        ("small", "xgboost", "train", "cost", "stopping"),
        ("chosen", "chosen", "none", "chosen", "stopping"),
    ]
    rows = [
        {**one, **dict(zip(names, variant, strict=True)), "w_acc": 0.7 + k / 100} for k, variant in enumerate(variants)
    ]
    rows[2]["w_acc"] = 0.7771
    rows.append({"target": "rhythm", **dict(zip(names, variants[2], strict=True)), **base, f"recall_{EVIL}": 0.123})
    return pd.DataFrame(rows)


def uncertainty(**changes: float) -> pd.DataFrame:
    """Two measures of a network; the entropy is a little better than plain confidence, beyond chance by default."""
    row = {"target": "murmur", "system": "small", "stage": "network", "decision": "reference", "error": 0.3}
    row |= {"accuracy_referring_10%": 0.75, "accuracy_referring_20%": 0.8}
    row |= {"aurc": 0.15, "aurc_low": 0.1, "aurc_high": 0.2}
    less = {"minus_confidence": -0.02, "minus_confidence_low": -0.04, "minus_confidence_high": -0.01, **changes}
    same = dict.fromkeys(less, 0.0)
    return pd.DataFrame([{**row, "measure": "confidence", **same}, {**row, "measure": "uncertainty", **less}])


def comparison(difference: float = 0.02, low: float = -0.01, high: float = 0.05) -> pd.DataFrame:
    """The network less its fusion, under one decision; and `chosen` less the network."""
    network, fusion = ["small", "network", "none", "cost"], ["small", "xgboost", "validation", "cost"]
    columns = [f"{side}_{word}" for side in "ab" for word in ("system", "stage", "fit_on", "decision")]
    rows = [
        [*pair, metric, 80, difference, low, high, 0.2, 0.3, 5]
        for pair in ([*network, *fusion], [*["chosen"] * 2, "none", "chosen", *network])
        for metric in ("w_acc", "uar")
    ]
    names = [*columns, "metric", "n", "difference", "difference_low", "difference_high", "p_bootstrap", "p_t_test"]
    return pd.DataFrame(rows, columns=[*names, "folds"]).assign(target="murmur", leak="")


def subgroups() -> pd.DataFrame:
    row = {"target": "murmur", "by": "age_group", "group": "Infant <1", "n": 12, "w_acc": 0.71, "w_acc_low": 0.6}
    return pd.DataFrame([{**row, "w_acc_high": 0.8, "uar": 0.6, "recall_Present": 0.9, "leak": ""}])


def published() -> pd.DataFrame:
    row = {"adapter": "folder", "label": "murmur", "system": "Others & al.", "w_acc": 0.832, "uar": 0.713}
    row |= {
        **dict.fromkeys(("accuracy", "f", "icbhi_score", "auroc", "cost"), float("nan")),
        "protocol": "their splits",
        "trap": "twins",
        "source": "a paper",
    }
    return pd.DataFrame([row, {**row, "label": "outcome", "system": "Of another label"}])


def tables(leak: str = "") -> dict[str, pd.DataFrame]:
    rounds = board(leak).drop(columns=["w_acc_low", "w_acc_high", "uar_low", "uar_high"]).assign(repeat=0)
    parts = [rounds.assign(fold=0), rounds.assign(fold=1), rounds.assign(repeat="all", fold="mean")]
    spread = rounds.assign(repeat="all", fold="sd", w_acc=0.0222, uar=0.0333)
    return {
        "leaderboard": board(leak),
        "cross_validation": pd.concat([*(part.astype(object) for part in parts), spread.astype(object)]),
        "floors": pd.DataFrame(
            {"target": "murmur", "always": ["Present", "Absent"], "n": 80, "w_acc": [0.55, 0.45], "uar": 0.5}
        ),
        "uncertainty": uncertainty(),
        "comparison": comparison(),
        "subgroups": subgroups(),
        "audit": pd.DataFrame(columns=AUDIT),
        "quality": pd.DataFrame(columns=QUALITY),
        "cases": pd.DataFrame({"target": "murmur", "class": ["Present", "Absent", ""], "n": [20, 60, 4]}),
    }


def facts(leak: str = "") -> dict:
    kept = {"system": "small", "stage": "network", "fit_on": "none", "decision": "reference"}
    training = {"system": "small", "task": "present", "repeat": 0, "parameters": 78123, "epochs": 12, "seconds": 75.0}
    return {
        "commit": "abc1234",
        "digest": "sha256:77",
        "versions": {"auscult": "0.1.0", "numpy": "2.4.6"},
        "folds": 2,
        "repeats": 1,
        "counts": {"cases": 84, "subjects": 82, "recordings": 301},
        "leak": leak,
        "winner": {"murmur": {**kept, "inner_score": 0.8, "judged": {"w_acc": 0.7}}},
        "made": "1 May 2025",
        "trainings": [{**training, "fold": fold} for fold in range(2)],
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "roc-murmur.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>', encoding="utf-8")
    return tmp_path


def figures() -> pd.DataFrame:
    return pd.DataFrame(
        [{"file": "roc-murmur.svg", "title": "ROC", "alt": f"A curve {EVIL}", "caption": "0.81 & more"}]
    )


class Page(HTMLParser):
    """Collects tags, the visible text and every address; fails on tags that do not close in order."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.tags, self.addresses, self.words = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)


def page(folder, leak: str = "", changes: dict | None = None, **replaced) -> tuple[str, Page]:
    html = render(
        "demo",
        study(**changes or {}),
        {**tables(leak), **replaced},
        [figures()] * 2,
        [folder] * 2,
        facts(leak),
        published(),
    )
    return html, Page(html)


def test_the_page_parses_and_asks_no_network(folder):
    html, parsed = page(folder)
    assert html.startswith("<!DOCTYPE html>")
    assert "http:" not in html
    assert "https:" not in html
    assert all(address.startswith(("#", "data:")) for address in parsed.addresses)
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in parsed.addresses if address.startswith("#")} <= set(ids)


def test_everything_given_is_escaped(folder):
    quality = pd.DataFrame([[EVIL, "short", "kept", "<img src=x>"]], columns=QUALITY)
    audit = pd.DataFrame([[0, 1, "shared_subject", "train+val", 1, EVIL]], columns=AUDIT)
    html, parsed = page(folder, quality=quality, audit=audit)
    assert EVIL not in html
    assert [tag for tag, _ in parsed.tags].count("script") == 1
    assert parsed.text.count(EVIL) >= 3  # the class, the recording and the id
    assert "Heart sounds & <b>murmurs</b>." in parsed.text
    assert [attrs["alt"] for tag, attrs in parsed.tags if tag == "img"] == [f"A curve {EVIL}"] * 2


def test_the_page_holds_the_result_beside_the_floors(folder):
    _, parsed = page(folder)
    assert "weighted accuracy 0.777 (0.73–0.82) and UAR 0.700 (0.65–0.75)" in parsed.text
    assert "Always saying Present scores W.acc 0.550 and UAR 0.500." in parsed.text
    assert "The whole interval of W.acc and of UAR lies above the floor." in parsed.text
    assert "Kept for new recordings: small, network, decision reference" in parsed.text
    assert "12346" in parsed.text
    assert "0.777 ± 0.022" in parsed.text
    assert "84 cases of the data set made" in parsed.text
    assert "no label 4 (5 %)" in parsed.text
    assert "2 networks were trained, in 2 min 30 s" in parsed.text


def test_a_result_that_reaches_down_to_the_floor_says_so(folder):
    low = board().assign(w_acc_low=0.5)
    _, parsed = page(folder, leaderboard=low)
    assert "The interval of W.acc reaches down to the floor: no proof of a gain." in parsed.text


def test_a_score_that_no_fold_defines_is_said_to_be_so(folder):
    kept = facts()
    kept["winner"]["murmur"]["inner_score"] = None
    html = render("demo", study(), tables(), [figures()] * 2, [folder] * 2, kept, published())
    assert "decision reference (mean validation score not defined)" in Page(html).text


def test_empty_tables_are_said_in_words(folder):
    _, parsed = page(folder)
    assert "The audit found nothing shared between the roles." in parsed.text
    assert "No recording had a problem." in parsed.text
    empty = {name: table.head(0) for name, table in tables().items()}
    html = render(
        "demo",
        study(),
        empty,
        [figures().head(0)] * 2,
        [folder] * 2,
        {**facts(), "trainings": [], "winner": {}},
        published().head(0),
    )
    text = Page(html).text
    for words in (
        "No case was judged.",
        "There are no figures.",
        "Nothing was explained",
        "No training is on record.",
        "There are no floors",
    ):
        assert words in text


def test_a_leak_is_in_a_red_box_with_its_reason_and_marks_every_table_of_scores(folder):
    mark = "shared_subject train+test: 14"
    audit = pd.DataFrame([[0, 1, "shared_subject", "train+test", 14, "a b"]], columns=AUDIT)
    changes = {"leak": {"allow": True, "because": "to compare with <others>"}}
    _, parsed = page(folder, mark, changes, audit=audit)
    assert any(attrs.get("class") == "box leak" for _, attrs in parsed.tags)
    assert "Allowed because: to compare with <others>" in parsed.text
    assert "The audit found 14 cases that share something across the roles." in parsed.text
    # box, results, boards, floors, differences, uncertainty, folds, …
    assert parsed.text.count(mark) == 1 + 2 + 2 + 1 + 2 + 1 + 2 * 2 + 1
    _, clean = page(folder)
    assert not any(attrs.get("class") == "box leak" for _, attrs in clean.tags)


def test_unknown_subjects_are_a_warning(folder):
    audit = pd.DataFrame([["", "", "subjects_unknown", "", 84, ""]], columns=AUDIT)
    _, parsed = page(folder, "subjects unknown", audit=audit)
    assert not any(attrs.get("class") == "box leak" for _, attrs in parsed.tags)
    assert "Subjects are not known" in parsed.text
    assert "could not check" in parsed.text


def test_marks_of_variants_are_shown_and_explained(folder):
    _, parsed = page(folder)
    for mark in ("chosen_on: stopping", "fit_on: train"):
        assert parsed.text.count(mark) > 2
    assert "leak" in parsed.text
    assert "subjects unknown" in parsed.text
    kinds = [attrs.get("class") for tag, attrs in parsed.tags if tag == "tr"]
    assert "chosen" in kinds
    assert "leaky" in kinds


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Better than plain confidence beyond chance: predictive entropy of small."),
        ({"minus_confidence_high": 0.01}, "Better than plain confidence beyond chance: none."),
        ({"minus_confidence_low": 0.01, "minus_confidence_high": 0.02}, "Worse beyond chance: predictive entropy"),
    ],
)
def test_whether_uncertainty_beats_confidence_is_said(folder, changes, words):
    _, seen = page(folder, uncertainty=uncertainty(**changes))
    assert words in seen.text and "0.150 (0.100–0.200)" in seen.text


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((0.02, -0.01, 0.05), "no different in W.acc under cost, UAR under cost. The simpler rule is not worse."),
        ((0.02, 0.01, 0.05), "is worse in W.acc under cost, UAR under cost. The simpler rule is not worse."),
        ((-0.02, -0.05, -0.01), "small: XGBoost fitted on validation, against the network alone, is better in W.acc"),
    ],
)
def test_what_the_second_stage_adds_is_said(folder, difference, words):
    _, seen = page(folder, comparison=comparison(*difference))
    assert words in seen.text
    assert ("The simpler rule" in seen.text) == (difference[2] > 0)
    assert "{:+.3f} ({:+.3f} to {:+.3f})".format(*difference) in seen.text and "p 0.200, 0.300" in seen.text


def test_a_difference_on_one_fold_has_no_t_test(folder):
    _, seen = page(folder, comparison=comparison().assign(p_t_test=float("nan")))
    assert "p 0.200" in seen.text and "p 0.200, " not in seen.text


def test_groups_of_cases_stand_where_the_study_asks_for_them(folder):
    assert "Infant" not in page(folder)[1].text
    _, seen = page(folder, changes={"evaluation": {"subgroups": ["age_group"]}})
    assert "Infant <1" in seen.text and "0.710 (0.60–0.80)" in seen.text and "Recall Present" in seen.text


def test_networks_of_the_last_epoch_train_on_validation_cases_and_the_page_says_so(folder):
    last = {name: {**one.model_dump(), "training": {"select": "last"}} for name, one in study().systems.items()}
    _, seen = page(folder, changes={"systems": last, "inner_folds": {"folds": 3}, "fusion": None})
    assert "the training and validation cases of the fold, and no others; the last epoch is kept" in seen.text
    assert "the epoch that is kept" not in seen.text and "all of 30 epochs" in seen.text
    _, seen = page(folder, changes={"inner_folds": {"folds": 3}})
    assert "the validation cases: the epoch that is kept." in seen.text and "at most 30 epochs" in seen.text


def test_published_results_of_the_same_label_stand_below_the_studys_own(folder):
    _, seen = page(folder)
    assert "Others & al." in seen.text and "0.832" in seen.text and "twins [a paper]" in seen.text
    assert "Of another label" not in seen.text
    assert seen.text.index("this study, chosen") < seen.text.index("Others & al.")


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ({"name": "cv10"}, "The published ten folds"),
        ({"name": "walker"}, "20 % of the cases are judged and 16 % validate; 1 draw."),
        ({"name": "m2d3"}, "The published lists 1, 2, 3"),
        ({"name": "fixed", "file": "a.csv"}, "the file a.csv"),
        ({"name": "column", "column": "day", "val": ["2"], "test": ["3"]}, "3 are judged, 2 validate"),
        (
            {"name": "column", "column": "side", "test": ["3"]},
            "3 are judged, 20 % of the others validate, by whole subject",
        ),
        ({"name": "group_cv", "folds": 2, "group": "day", "repeats": 3}, "drawn 3 times"),
    ],
)
def test_every_protocol_is_put_in_words(folder, protocol, words):
    _, parsed = page(folder, changes={"protocol": protocol})
    assert words in parsed.text


def test_a_figure_outside_the_folder_is_refused(folder):
    outside = figures().assign(file="../secret.svg")
    with pytest.raises(ValueError, match="should be the name of a file"):
        render("demo", study(), tables(), [outside, figures()], [folder] * 2, facts(), published())


@pytest.mark.parametrize(("seconds", "words"), [(4.4, "4 s"), (200, "3 min 20 s"), (7501, "2 h 5 min")])
def test_durations(seconds, words):
    assert duration(seconds) == words
