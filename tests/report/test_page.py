"""The report page is valid HTML, loads nothing from the internet, escapes its inputs and states what tables contain."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from auscult.config.study import Study
from auscult.datasets.base import Columns, Manifest
from auscult.decisions.winner import VARIANT
from auscult.metrics import catalogue
from auscult.prediction.card import card
from auscult.report import sections
from auscult.report.cells import duration
from auscult.report.facts import outside_training
from auscult.report.page import _class_counts, _columns, render

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
            "dataset": {"name": "demo", "adapter": "folder", "root": "resources/demo"},
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
    murmur = {"target": "murmur", "w_acc": 0.7771, "w_acc_low": 0.731, "w_acc_high": 0.824, "cost": 12345.6, **base}
    names = ["system", "stage", "fit_on", "decision", "chosen_on"]
    variants = [
        ("small", "network", "none", "reference", "none"),
        ("small", "xgboost", "train", "cost", "stopping"),
        ("chosen", "chosen", "none", "chosen", "stopping"),
    ]
    rows = [
        {**murmur, **dict(zip(names, variant, strict=True)), "w_acc": 0.7 + k / 100}
        for k, variant in enumerate(variants)
    ]
    rows[2]["w_acc"] = 0.7771
    rows.append({"target": "rhythm", **dict(zip(names, variants[2], strict=True)), **base, f"recall_{EVIL}": 0.123})
    return pd.DataFrame(rows)


def uncertainty(**changes: float) -> pd.DataFrame:
    """Two measures of a network; by default the interval of entropy minus plain confidence lies below 0."""
    row = {"target": "murmur", "system": "small", "stage": "network", "decision": "reference", "error": 0.3}
    row |= {"accuracy_referring_10%": 0.75, "accuracy_referring_20%": 0.8}
    row |= {"aurc": 0.15, "aurc_low": 0.1, "aurc_high": 0.2}
    entropy = {"minus_confidence": -0.02, "minus_confidence_low": -0.04, "minus_confidence_high": -0.01, **changes}
    confidence = dict.fromkeys(entropy, 0.0)
    return pd.DataFrame([{**row, "measure": "confidence", **confidence}, {**row, "measure": "uncertainty", **entropy}])


def comparison(difference: float = 0.02, low: float = -0.01, high: float = 0.05) -> pd.DataFrame:
    """The network minus its second stage, under one decision; and `chosen` minus the network."""
    network, xgboost = ["small", "network", "none", "cost"], ["small", "xgboost", "validation", "cost"]
    columns = [f"{side}_{column}" for side in "ab" for column in VARIANT]
    rows = [
        [*pair, metric, 80, difference, low, high, 0.2, 0.3, 5]
        for pair in ([*network, *xgboost], [*["chosen"] * 2, "none", "chosen", *network])
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


def label_issues() -> pd.DataFrame:
    row = {"target": "murmur", "level": "case", "case": "c<1>", "recording": "", "site": "", "label": "Absent"}
    row |= {"suggested": "Present", "p_label": 0.021, "p_suggested": 0.93}
    of_recording = {**row, "target": "present", "level": "recording", "recording": "c<1>_AV", "p_label": 0.017}
    return pd.DataFrame([row, of_recording])


def tables(leak: str = "") -> dict[str, pd.DataFrame]:
    scores = board(leak).drop(columns=["w_acc_low", "w_acc_high", "uar_low", "uar_high"]).assign(repeat=0)
    parts = [scores.assign(fold=0), scores.assign(fold=1), scores.assign(repeat="all", fold="mean")]
    deviations = scores.assign(repeat="all", fold="sd", w_acc=0.0222, uar=0.0333)
    return {
        "leaderboard": board(leak),
        "cross_validation": pd.concat([*(part.astype(object) for part in parts), deviations.astype(object)]),
        "floors": pd.DataFrame(
            {"target": "murmur", "always": ["Present", "Absent"], "n": 80, "w_acc": [0.55, 0.45], "uar": 0.5}
        ),
        "uncertainty": uncertainty(),
        "comparison": comparison(),
        "subgroups": subgroups(),
        "label_issues": label_issues(),
        "external": pd.DataFrame(),
        "audit": pd.DataFrame(columns=AUDIT),
        "quality": pd.DataFrame(columns=QUALITY),
        "cases": pd.DataFrame({"target": "murmur", "class": ["Present", "Absent", ""], "n": [20, 60, 4]}),
    }


def facts(leak: str = "") -> dict:
    variant = {"system": "small", "stage": "network", "fit_on": "none", "decision": "reference"}
    training = {"system": "small", "task": "present", "repeat": 0, "parameters": 78123, "epochs": 12, "seconds": 75.0}
    return {
        "commit": "abc1234",
        "digest": "sha256:77",
        "versions": {"auscult": "0.1.0", "numpy": "2.4.6"},
        "folds": 2,
        "repeats": 1,
        "counts": {"cases": 84, "subjects": 82, "recordings": 301},
        "leak": leak,
        "winner": {"murmur": {"folds": {"r0f0": [variant], "r0f1": [variant]}, "test_scores": {"w_acc": 0.7}}},
        "date": "1 May 2025",
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
    """A parsed page: its tags, visible text and addresses. Parsing fails on tags that do not close in order."""

    def __init__(self, html: str):
        super().__init__()
        self.open_tags, self.tags, self.addresses, self.texts = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open_tags
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open_tags):
            self.texts.append(data)


def page(folder, leak: str = "", changes: dict | None = None, **other_tables) -> tuple[str, Page]:
    html = render(
        "demo",
        study(**changes or {}),
        {**tables(leak), **other_tables},
        [figures()] * 2,
        [folder] * 2,
        facts(leak),
        published(),
    )
    return html, Page(html)


def test_the_page_parses_and_loads_nothing_from_the_internet(folder):
    html, parsed = page(folder)
    assert html.startswith("<!DOCTYPE html>")
    assert "http:" not in html
    assert "https:" not in html
    assert all(address.startswith(("#", "data:")) or address == "listen.html" for address in parsed.addresses)
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in parsed.addresses if address.startswith("#")} <= set(ids)


def test_all_inputs_are_escaped(folder):
    quality = pd.DataFrame([[EVIL, "short", "kept", "<img src=x>"]], columns=QUALITY)
    audit = pd.DataFrame([[0, 1, "shared_subject", "train+val", 1, EVIL]], columns=AUDIT)
    html, parsed = page(folder, quality=quality, audit=audit)
    assert EVIL not in html
    assert [tag for tag, _ in parsed.tags].count("script") == 1
    assert parsed.text.count(EVIL) >= 3  # the class, the recording and the id
    assert "Heart sounds & <b>murmurs</b>." in parsed.text
    assert [attrs["alt"] for tag, attrs in parsed.tags if tag == "img"] == [f"A curve {EVIL}"] * 2


def test_the_page_shows_the_result_beside_the_floors(folder):
    _, parsed = page(folder)
    assert "weighted accuracy 0.777 (0.73–0.82) and UAR 0.700 (0.65–0.75)" in parsed.text
    assert "Always predicting Present reaches W.acc 0.550 and UAR 0.500." in parsed.text
    assert "The whole interval of W.acc and of UAR lies above the highest floor." in parsed.text
    assert "and for new recordings: small, network, reference (in 2 of 2 folds)." in parsed.text
    assert "12346" in parsed.text
    assert "0.777 ± 0.022" in parsed.text
    assert "The data set demo has 301 recordings of 82 subjects in 84 cases" in parsed.text
    assert "no label 4 (5 %)" in parsed.text
    assert "2 networks were trained, in 2 min 30 s" in parsed.text


def test_the_page_states_where_an_interval_and_the_floor_lie(folder):
    low = board().assign(w_acc_low=0.5)
    _, parsed = page(folder, leaderboard=low)
    assert "The interval of W.acc contains the highest floor: no proof of a gain." in parsed.text
    _, parsed = page(folder, leaderboard=board().assign(w_acc=0.1, w_acc_low=0.05, w_acc_high=0.15))
    assert "The whole interval of W.acc lies below the highest floor." in parsed.text
    assert "no proof of a gain" not in parsed.text


def test_empty_tables_are_replaced_by_sentences(folder):
    _, parsed = page(folder)
    assert "The audit found nothing that training, validation and test cases of a fold share." in parsed.text
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
    for sentence in (
        "There are no test cases.",
        "There are no figures.",
        "There are no explanations",
        "There is no record of a training.",
        "There are no floors",
    ):
        assert sentence in text


def test_a_leak_is_in_a_red_box_with_its_reason_and_marks_every_table_of_scores(folder):
    mark = "shared_subject train+test: 14"
    audit = pd.DataFrame([[0, 1, "shared_subject", "train+test", 14, "a b"]], columns=AUDIT)
    changes = {"leak": {"allow": True, "because": "to compare with <others>"}}
    _, parsed = page(folder, mark, changes, audit=audit)
    assert any(attrs.get("class") == "box leak" for _, attrs in parsed.tags)
    assert "The study allows this because: to compare with <others>" in parsed.text
    assert "In 1 of the folds, cases with different roles share a subject, a recording or another unit." in parsed.text
    # box, results, boards, floors, differences, uncertainty, folds, …
    assert parsed.text.count(mark) == 1 + 2 + 2 + 1 + 2 + 1 + 2 * 2 + 1
    _, parsed = page(folder)
    assert not any(attrs.get("class") == "box leak" for _, attrs in parsed.tags)


def test_unknown_subjects_are_a_warning(folder):
    audit = pd.DataFrame([["", "", "subjects_unknown", "", 84, ""]], columns=AUDIT)
    _, parsed = page(folder, "subjects unknown", audit=audit)
    assert not any(attrs.get("class") == "box leak" for _, attrs in parsed.tags)
    assert "Not everything could be checked" in parsed.text
    assert "It is unknown whether recordings of one person are in both" in parsed.text
    assert "could not check" in parsed.text


def test_weights_of_unknown_training_are_a_warning_about_weights_alone(folder):
    mark = "training subjects of the weights of ast unknown"
    audit = pd.DataFrame([["", "", "weights_unknown", "ast", 84, ""]], columns=AUDIT)
    _, parsed = page(folder, mark, audit=audit)
    assert "It is unknown whether the weights that systems start from were trained on test cases." in parsed.text
    assert "one person are in both" not in parsed.text


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
    ("changes", "text"),
    [
        ({}, "confidence (interval of the difference below 0): predictive entropy of small."),
        ({"minus_confidence_high": 0.01}, "confidence (interval of the difference below 0): none."),
        ({"minus_confidence_low": 0.01, "minus_confidence_high": 0.02}, "Worse (interval above 0): predictive entropy"),
    ],
)
def test_the_page_states_whether_uncertainty_beats_confidence(folder, changes, text):
    _, parsed = page(folder, uncertainty=uncertainty(**changes))
    assert text in parsed.text and "0.150 (0.100–0.200)" in parsed.text


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        ((0.02, -0.01, 0.05), "not shown to differ in W.acc (cost), UAR (cost) (decisions in brackets). No metric"),
        ((0.02, 0.01, 0.05), "is worse in W.acc (cost), UAR (cost) (decisions in brackets). No metric shows a gain"),
        ((-0.02, -0.05, -0.01), "small: XGBoost fitted to validation, compared with the network alone, is better in"),
    ],
)
def test_the_page_states_what_the_second_stage_adds(folder, difference, text):
    _, parsed = page(folder, comparison=comparison(*difference))
    assert text in parsed.text
    assert ("No metric shows a gain" in parsed.text) == (difference[2] > 0)
    assert "{:+.3f} ({:+.3f} to {:+.3f})".format(*difference) in parsed.text and "p 0.200, 0.300" in parsed.text


@pytest.mark.parametrize(("metric", "sign"), [("f", -1), ("auroc", -1)])
def test_a_gain_in_any_metric_is_stated(folder, metric, sign):
    """Network minus second stage: negative is a gain."""
    table = comparison(0.0, -0.1, 0.1)
    gain = table[(table["metric"] == "uar") & (table["a_stage"] == "network")].assign(metric=metric)
    low, high = sorted([0.02 * sign, 0.1 * sign])
    gain[["difference", "difference_low", "difference_high"]] = 0.06 * sign, low, high
    _, parsed = page(folder, comparison=pd.concat([table, gain]))
    assert "is better in" in parsed.text and "No metric shows a gain" not in parsed.text


@pytest.mark.parametrize("cells", [["difference_low", "difference_high", "p_bootstrap"], ["difference"]])
def test_what_is_not_defined_of_a_difference_is_left_out(folder, cells):
    table = comparison()
    table[[*cells, "difference_low", "difference_high", "p_bootstrap", "p_t_test"]] = float("nan")
    _, parsed = page(folder, comparison=table)
    assert not re.search(r"\bnan\b", parsed.text)


def test_shares_of_classes_are_of_all_cases_also_where_a_case_has_several(folder):
    counts = [{"name": name, "n": 80, "share": 0.8, "bar": 1.0} for name in ("a", "b")]
    table = pd.DataFrame({"class": ["a", "b"], "n": [80, 80]})
    assert _class_counts(table, 100) == counts


def test_a_difference_on_one_fold_has_no_t_test(folder):
    _, parsed = page(folder, comparison=comparison().assign(p_t_test=float("nan")))
    assert "p 0.200" in parsed.text and "p 0.200, " not in parsed.text


def test_subgroups_are_shown_if_the_study_has_the_key(folder):
    assert "Infant" not in page(folder)[1].text
    _, parsed = page(folder, changes={"evaluation": {"subgroups": ["age_group"]}})
    assert "Infant <1" in parsed.text and "0.710 (0.60–0.80)" in parsed.text and "Recall Present" in parsed.text


def test_the_page_states_that_networks_of_the_last_epoch_are_trained_on_validation_cases(folder):
    last = {name: {**system.model_dump(), "training": {"select": "last"}} for name, system in study().systems.items()}
    _, parsed = page(folder, changes={"systems": last, "inner_folds": {"folds": 3}, "fusion": None})
    text = "the training and validation cases of the fold; the weights of the last epoch are used. No other data"
    assert text in parsed.text and "last of 30 epochs" in parsed.text
    assert "choose the epoch whose weights are used" not in parsed.text
    _, parsed = page(folder, changes={"inner_folds": {"folds": 3}})
    assert "The validation cases choose the epoch whose weights are used." in parsed.text
    assert "at most 30 epochs" in parsed.text


def test_the_page_states_what_networks_learn_from_besides_the_training_cases(folder):
    systems = {name: system.model_dump() for name, system in study().systems.items()}
    (name, system), *_ = systems.items()
    system["network"]["weights"] = "resources/other.safetensors"
    system["front_end"] = {"name": "encoder", "settings": {"file": "resources/birds.tflite"}}
    head = {next(iter(study().tasks["present"].heads)): {"column": "ill", "words": {"yes": "Present", "no": "Absent"}}}
    extra = {"dataset": {"name": "far", "adapter": "folder", "root": "far"}, "heads": head}
    _, parsed = page(folder, changes={"systems": systems, "extra_training": [extra]})
    assert "No other data are used" not in parsed.text and "Besides: labelled cases of far" in parsed.text
    assert f"{name} starts from the weights resources/other.safetensors" in parsed.text
    assert f"{name} reads vectors of the encoder resources/birds.tflite" in parsed.text


@pytest.mark.parametrize(
    ("train_on", "sources"),
    [("fold", []), ({"datasets": [{"name": "far", "adapter": "folder", "root": "far"}]}, ["is pre-trained on far"])],
)
def test_a_pre_training_is_other_data_unless_it_is_of_the_folds(train_on, sources):
    """In the report and in the model card."""
    systems = {name: system.model_dump() for name, system in study().systems.items()}
    (name, system), *_ = systems.items()
    system["network"] = {"name": "dbresnet", "pretraining": "views"}
    parts = {"front_end": {"name": "band1k"}, "network": {"name": "dbresnet"}}
    views = {"method": {"name": "clocs"}, "train_on": train_on, **parts}
    made = study(systems=systems, pretrainings={"views": views})
    sources = [f"{name} {source}" for source in sources]
    assert outside_training(made) == sources
    columns = Columns(groups=[], labels=[], covariates=[])
    own = Manifest(pd.DataFrame({"case": ["c"], "subject": ["s"]}), pd.DataFrame(), pd.DataFrame(), columns)
    text = card("mine", made, {}, own, pd.DataFrame(), pd.DataFrame(), "abc")
    assert ("Besides: " in text) == bool(sources) and all(source in text for source in sources)


@pytest.mark.parametrize(
    ("mark", "reaches_test"),
    [
        ("shared_subject train+val: 3", False),
        ("subjects unknown; identical_audio train+val: 1", False),
        ("shared_subject train+test: 3", True),
        ("shared_subject train+val: 3; identical_audio val+test: 1", True),
        ("weights_heard band: 5", True),
    ],
)
def test_a_leak_between_training_and_validation_cases_does_not_raise_test_scores(folder, mark, reaches_test):
    _, parsed = page(folder, mark, changes={"leak": {"allow": True, "because": "to show it"}})
    assert ("its scores are too high" in parsed.text) == reaches_test
    assert ("what is chosen on validation cases rests on training cases too" in parsed.text) != reaches_test


def test_published_results_of_the_same_label_are_below_the_studys_own(folder):
    _, parsed = page(folder)
    assert "Others & al." in parsed.text and "0.832" in parsed.text and "twins [a paper]" in parsed.text
    assert "Of another label" not in parsed.text
    assert parsed.text.index("this study, chosen") < parsed.text.index("Others & al.")


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        ({"name": "cv10"}, "The published ten folds"),
        ({"name": "walker"}, "20 % of the cases are test cases and 16 % are validation cases; 1 draw."),
        ({"name": "m2d3"}, "The published lists 1, 2, 3"),
        ({"name": "fixed", "file": "a.csv"}, "the file a.csv"),
        ({"name": "column", "column": "day", "val": ["2"], "test": ["3"]}, "Test cases: 3. Validation cases: 2."),
        (
            {"name": "column", "column": "side", "test": ["3"]},
            "Test cases: 3. Validation cases: 20 % of the other cases; all cases of a subject stay together.",
        ),
        ({"name": "group_cv", "folds": 2, "group": "day", "repeats": 3}, "drawn 3 times"),
    ],
)
def test_every_protocol_is_described(folder, protocol, text):
    _, parsed = page(folder, changes={"protocol": protocol})
    assert text in parsed.text


def test_a_study_without_a_system_that_can_be_explained(folder):
    html = render("demo", study(), tables(), [figures()], [folder], facts(), published())
    assert "There are no explanations: every system reads all recordings of a case at once" in html


def test_a_figure_outside_the_folder_is_refused(folder):
    outside = figures().assign(file="../secret.svg")
    with pytest.raises(ValueError, match="should be the name of a file"):
        render("demo", study(), tables(), [outside, figures()], [folder] * 2, facts(), published())


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (200, "3 min 20 s"), (7501, "2 h 5 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_classes_called_like_ends_of_intervals_are_shown():
    names = ("low", "high", "x_low", "'low'", "1")
    scores = {catalogue.class_column(key, name): 0.5 for key in ("recall_", "auroc_") for name in names}
    groups = dict(_columns(board().assign(**scores)))
    labels = {group: [label for _, (label, _) in columns] for group, columns in groups.items()}
    assert labels["Recall"][-5:] == labels["AUROC by class"] == list(names)
    recalls = {column: value for column, value in scores.items() if column.startswith("recall_")}
    heads = [name for name, _ in sections.subgroups(subgroups().assign(**recalls))["heads"]]
    assert heads[-6:] == ["Recall Present", *(f"Recall {name}" for name in names)]


def test_scores_on_other_data_sets_are_shown_with_what_was_left_out(folder):
    row = {"target": "murmur", "data": "far", "by": float("nan"), "group": "all", "n": 40, "known": 3, "unlabelled": 2}
    scores = {"uar": 0.61, "uar_low": 0.55, "uar_high": 0.7, "recall_Present": 0.5, "auroc_Present": 0.8}
    rows = [
        {**row, **scores, "leak": float("nan")},
        {**row, **scores, "by": "device", "group": "a", "n": 12, "leak": float("nan")},
    ]
    for external in (rows, rows[:1]):
        every = {**tables(), "external": pd.DataFrame(external)}
        html = render("demo", study(), every, [figures(), figures()], [folder] * 2, facts(), published())
        assert "Other data sets" in html and "0.610 (0.55–0.70)" in html and ("device a" in html) == (len(external) > 1)
    assert "Other data sets" not in render(
        "demo", study(), tables(), [figures(), figures()], [folder] * 2, facts(), published()
    )


@pytest.mark.parametrize(
    ("features", "text"),
    [
        (["probabilities", "covariates"], "has as features the outputs of small; further features: covariates."),
        (["covariates", "statistics"], "for small has as features: covariates, statistics."),
    ],
)
def test_what_a_second_stage_reads(folder, features, text):
    fusion = {"systems": ["small"], "fit_on": ["validation"], "features": features, "learners": ["xgboost"]}
    _, parsed = page(folder, changes={"fusion": fusion})
    assert text in " ".join(parsed.text.split())


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_result_tells_cases_from_their_predictions_in_repeats(folder, repeats):
    """Also where the protocol has no key for repeats, as the published lists have not."""
    tables_of_study = tables("")
    html = render(
        "demo", study(), tables_of_study, [figures()] * 2, [folder] * 2, facts("") | {"repeats": repeats}, published()
    )
    text = Page(html).text
    assert (f"predictions of test cases, in {repeats} repeats" in text) == (repeats > 1)
    assert ("On 80 test cases" in text) == (repeats == 1)
