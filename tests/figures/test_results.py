"""Figures are valid, deterministic SVG files with texts, also if tables lack rows."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from auscult.config.study import Study
from auscult.decisions.winner import VARIANT
from auscult.evaluation import tables
from auscult.figures import results
from auscult.figures.drawing import save
from auscult.figures.importances import importance_figures, stability
from auscult.figures.trade_off import operating_points, trade_off
from auscult.heads.outputs import class_columns

CLASSES = {"murmur": ["Present", "Unknown", "Absent"], "rhythm": ["af", "$sinus^$", "_block"]}


def study() -> Study:
    """Two targets, one of them multi-label, and two systems."""
    heads = {
        "present": {"heads": {"present": {"label": "murmur", "positive": ["Present"]}}},
        "unknown": {"heads": {"unknown": {"label": "murmur", "positive": ["Unknown"]}}},
        "rhythm": {"heads": {"rhythm": {"label": "rhythm", "kind": "multilabel", "classes": CLASSES["rhythm"]}}},
    }
    system = {"tasks": list(heads), "front_end": {"name": "band1k"}, "network": {"name": "resnet"}}
    return Study.model_validate(
        {
            "description": "Made up.",
            "dataset": {"name": "demo", "adapter": "folder", "root": "resources/demo"},
            "targets": {
                "murmur": {
                    "label": "murmur",
                    "classes": CLASSES["murmur"],
                    "weights": [5, 3, 1],
                    "heads": ["present", "unknown"],
                },
                "rhythm": {
                    "label": "rhythm",
                    "kind": "multilabel",
                    "classes": CLASSES["rhythm"],
                    "heads": ["rhythm"],
                    "decisions": ["reference"],
                },
            },
            "protocol": {"name": "group_cv", "folds": 3},
            "tasks": heads,
            "systems": {"small": system, "large": system},
            "fusion": {"systems": ["small"], "fit_on": ["validation", "train"]},
            "evaluation": {"draws": 100},
        }
    )


def predictions(cases: int = 90, folds: int = 3) -> pd.DataFrame:
    """Both targets; every tenth case has no label, and fold 0 has no case of the class Unknown."""
    rng = np.random.default_rng(0)
    parts = []
    variants = [
        ("small", "network", "none", "reference"),
        ("small", "network", "none", "cost"),
        ("large", "network", "none", "reference"),
        ("small", "xgboost", "validation", "cost"),
        ("small", "xgboost", "train", "cost"),
        ("chosen", "chosen", "none", "chosen"),
    ]
    fold = np.arange(cases) % folds
    truth = rng.choice(3, cases, p=[0.3, 0.2, 0.5])
    truth[(fold == 0) & (truth == 1)] = 2
    flags = rng.random((cases, 3)) < [0.5, 0.3, 0.2]
    labelled = np.arange(cases) % 10 != 9
    for number, variant in enumerate(variants):
        key = dict(zip(VARIANT, variant, strict=True))
        frame = pd.DataFrame({**key, "repeat": 0, "fold": fold, "case": [f"{k:03d}" for k in range(cases)]})
        frame["subject"] = frame["case"]
        frame["chosen_on"] = "stopping" if number in (1, 3, 5) else "none"
        frame["should_refer"] = ""
        frame["uncertainty"] = rng.random(cases)
        frame[["information", "variance"]] = float("nan") if variant[1] == "xgboost" else 0.1
        p = rng.dirichlet(np.ones(3), cases) + (0.15 + 0.05 * number) * np.eye(3)[truth]
        p /= p.sum(axis=1, keepdims=True)
        murmur = frame.assign(target="murmur", prediction=np.array(CLASSES["murmur"])[p.argmax(axis=1)])
        murmur["label"] = np.where(labelled, np.array(CLASSES["murmur"])[truth], "")
        murmur[class_columns(CLASSES["murmur"])] = p
        parts.append(murmur)
        if variant[1] != "xgboost":
            q = 0.8 * rng.random((cases, 3)) + 0.2 * flags
            rhythm = frame.assign(target="rhythm", label=_join(flags), prediction=_join(q > 0.5))
            rhythm[class_columns(CLASSES["rhythm"])] = q
            parts.append(rhythm)
    return pd.concat(parts, ignore_index=True)


def _join(flags: np.ndarray) -> list[str]:
    return ["|".join(np.array(CLASSES["rhythm"])[row]) for row in flags]


def histories(folds: int = 3, epochs: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = [
        (system, task, f"r0f{fold}s{seed}", epoch, 0.7 * 0.9**epoch, 0.9 - 0.3 * 0.8**epoch + 0.02 * rng.random())
        for system in ("small", "large")
        for task in ("present", "unknown")
        for fold in range(folds)
        for seed in (0, 1)
        for epoch in range(epochs - fold)
    ]
    return pd.DataFrame(rows, columns=["system", "task", "network", "epoch", "train_loss", "val_score"])


def importances(folds: int = 3) -> pd.DataFrame:
    """Importances of four features: the first in every fold, two whose order differs between folds, one of 0."""
    shares = [[0.6, 0.3, 0.1, 0], [0.5, 0.2, 0.3, 0], [0.7, 0.2, 0.1, 0]]
    rows = [
        ("murmur", "small", "xgboost", "validation", f"r0f{fold}", name, share, share)
        for fold in range(folds)
        for name, share in zip(["p_present", "age", "rms", "never"], shares[fold], strict=True)
    ]
    columns = ["target", "system", "stage", "fit_on", "fold", "feature", "gain", "shap"]
    return pd.DataFrame(rows, columns=columns)


def test_the_caption_of_importances_states_how_stable_they_are():
    (plot,) = importance_figures(importances())
    assert "the largest are p_present 0.60, age 0.23, rms 0.17" in plot.caption and "never" not in plot.alt
    # ranks of (p_present, age, rms): 3 2 1, 3 1 2, 3 2 1
    assert stability(importances().pivot(index="feature", columns="fold", values="shap")) == pytest.approx(2 / 3)
    assert "rank correlation between two folds is 0.67" in plot.caption
    assert "rank correlation" not in next(importance_figures(importances(1))).caption


def test_importances_of_zero_are_not_drawn():
    assert list(importance_figures(pd.DataFrame())) == []
    assert list(importance_figures(importances().assign(gain=0.0, shap=0.0))) == []


@pytest.mark.parametrize(
    ("select", "panels", "text"),
    [
        ("auroc", 2, "validation AUROC of these epochs"),
        ("last", 1, "The weights of the last epoch are used"),
        ("test", 1, "The test cases chose the epoch, a leak"),
    ],
)
def test_captions_of_learning_curves_state_what_chose_the_epoch(select, panels, text):
    part = histories().query("system == 'small' and task == 'present'")
    part = part if panels == 2 else part.assign(val_score=np.nan)
    plot = results.learning("small", "present", part, select)
    assert len(plot.figure.axes) == panels and text in plot.caption
    lines = [line for line in plot.figure.axes[0].lines if len(line.get_xdata()) > 1]
    assert len(lines) == 6 and all((np.diff(line.get_xdata()) == 1).all() for line in lines)  # three folds, two seeds


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    rows = predictions()
    board = tables.leaderboard(study(), rows, "")
    return rows, board, folder, results.draw_all(study(), rows, board, histories(), importances(), folder)


def test_every_figure_is_drawn_with_its_texts(figures):
    *_, folder, table = figures
    assert list(table.columns) == ["file", "title", "alt", "caption", "sha256"]
    assert set(table["file"]) == {path.name for path in folder.iterdir()}
    assert set(table["file"]) == {
        *(f"{kind}-murmur.svg" for kind in ("roc", "roc-variants", "pr", "confusion", "reliability", "forest")),
        *(f"{kind}-rhythm.svg" for kind in ("roc", "roc-variants", "pr", "reliability", "forest")),
        *("referral-murmur.svg", "trade-off-murmur.svg"),
        "importance-murmur-small-xgboost-validation.svg",
        *(f"learning-{system}-{task}.svg" for system in ("small", "large") for task in ("present", "unknown")),
    }
    assert (table[["title", "alt", "caption"]].map(len) > 10).all(axis=None)


def test_files_are_svg_without_a_date_on_a_white_ground(figures):
    *_, folder, table = figures
    for name in table["file"]:
        text = (folder / name).read_text(encoding="utf-8")
        assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "dc:date" not in text
        assert "fill: #ffffff" in text


def test_texts_contain_the_numbers_of_the_tables(figures):
    _, board, _, table = figures
    texts = table.set_index("file")
    chosen = board[(board["target"] == "murmur") & (board["system"] == "chosen")].iloc[0]
    for column in ("alt", "caption"):
        assert f"Present {chosen['auroc_Present']:.3f}" in texts.loc["roc-murmur.svg", column]
        assert f"chosen {chosen['ece']:.3f}" in texts.loc["reliability-murmur.svg", column]
        low_high = f"({chosen['w_acc_low']:.2f}–{chosen['w_acc_high']:.2f})"
        assert f"weighted accuracy {chosen['w_acc']:.3f} {low_high}" in texts.loc["forest-murmur.svg", column]
    assert "81 test cases" in texts.loc["confusion-murmur.svg", "caption"]


@pytest.mark.parametrize("seed", range(3))
def test_operating_points_are_scores_of_the_decisions_that_are_expected_to_be_best(seed):
    """Against scikit-learn, with the expected gain of every class computed case by case."""
    rng = np.random.default_rng(seed)
    target, n = study().targets["murmur"], 60
    logits = rng.standard_normal((n, 3)) * 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = pd.DataFrame(p, columns=[f"p_{name}" for name in target.classes])
    rows = rows.assign(label=rng.permutation(target.classes * 20), subject=[f"s{k // 2}" for k in range(n)])
    points = operating_points(study(), target, rows).set_index("share")
    truth, weights = rows["label"].map(target.classes.index).to_numpy(), np.array(target.class_weights())
    expected_counts = p.sum(axis=0)
    for share in (1.0, 0.5, 0.0):
        total = (weights * expected_counts).sum()
        decisions = [
            max(
                range(3),
                key=lambda k: q[k] * (share * weights[k] / total + (1 - share) / (3 * expected_counts[k])),
            )
            for q in p
        ]
        row = points.loc[share]
        assert row["uar"] == pytest.approx(balanced_accuracy_score(truth, decisions))
        assert row["w_acc"] == pytest.approx(accuracy_score(truth, decisions, sample_weight=weights[truth]))
        assert row["uar_low"] <= row["uar"] <= row["uar_high"] and row["w_acc_low"] <= row["w_acc"] <= row["w_acc_high"]


def test_the_same_tables_give_the_same_bytes_in_any_order_of_cases_and_epochs(figures, tmp_path):
    rows, board, folder, table = figures
    variants = rows.groupby(["target", *VARIANT], sort=False)
    shuffled = pd.concat([part.sample(frac=1, random_state=0) for _, part in variants])
    others = [other.sample(frac=1, random_state=0) for other in (histories(), importances())]
    results.draw_all(study(), shuffled, board, *others, tmp_path)
    for name in table["file"]:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("name", ["murmur", "rhythm"])
def test_a_study_without_the_decision_reference_has_the_same_figures_of_networks(name):
    """Its first decision stands in for it."""
    rows, target = predictions(), study().targets[name]
    rows = rows[(rows["target"] == name) & (rows["decision"] != "cost")]
    renamed = rows.assign(decision=rows["decision"].replace("reference", "tuned"))
    for draw in (results.reliability, lambda *parts: next(results.referral(*parts))):
        plain, other = (draw(name, target, part) for part in (rows, renamed))
        assert plain.caption.replace("decision reference", "decision tuned") == other.caption
        assert "small" in plain.alt + plain.caption
        assert len(plain.figure.axes[0].lines) == len(other.figure.axes[0].lines) > 1


def test_captions_name_a_class_without_cases_which_is_not_drawn():
    rows, target = predictions(), study().targets["murmur"]
    chosen = rows[(rows["system"] == "chosen") & (rows["target"] == "murmur") & (rows["label"] != "Unknown")]
    for draw in (results.roc, results.precision_recall):
        plot = draw("murmur", target, chosen)
        assert "Not drawn" in plot.caption
        assert plot.caption.endswith(": Unknown.")
        assert len(plot.figure.legends[0].get_texts()) == 2
    assert "Unknown, no cases" in results.confusion("murmur", target, chosen).caption


def test_captions_of_empty_figures_state_that_there_is_nothing_to_draw(tmp_path):
    rows = predictions().assign(label=np.nan)
    board = pd.DataFrame(columns=["target", *VARIANT, "w_acc", "uar"])
    table = results.draw_all(study(), rows, board, histories().head(0), pd.DataFrame(), tmp_path)
    assert table["caption"].str.contains("not defined|nothing to show|0 test cases").all()
    for name in table["file"]:
        ET.parse(tmp_path / name)


def test_many_classes_and_variants_keep_a_short_legend():
    classes = [f"class {k}" for k in range(14)]
    rng = np.random.default_rng(2)
    truth = rng.choice(14, 300)
    p = rng.dirichlet(np.ones(14), 300) + 0.2 * np.eye(14)[truth]
    part = pd.DataFrame(p, columns=class_columns(classes))
    part["label"] = part["prediction"] = np.array(classes)[truth]
    part[VARIANT] = ["chosen", "chosen", "none", "chosen"]
    part[["repeat", "fold"]] = 0
    part["case"] = [str(k) for k in range(300)]
    target = study().targets["murmur"].model_copy(update={"classes": classes, "weights": None})
    plot = results.roc("breath", target, part)
    assert len(plot.figure.legends[0].get_texts()) == 9
    assert "The first 9 classes are in colour" in plot.caption
    variants = pd.concat([part.assign(system=f"system_{k}", stage="network") for k in range(11)])
    plot = results.roc_variants("breath", target, variants)
    assert len(plot.figure.legends[0].get_texts()) == 9
    assert "The first 9 of 11 variants" in plot.caption


def test_curves_of_networks_come_before_those_of_second_stages():
    table = predictions()
    network = table[(table["target"] == "murmur") & (table["stage"] == "network") & (table["decision"] == "reference")]
    blend = network.assign(stage="blend", fit_on="validation")
    plot = results.roc_variants("murmur", study().targets["murmur"], pd.concat([blend, network]))
    stages = [text.get_text().split(",")[1].split()[0] for text in plot.figure.legends[0].get_texts()]
    assert stages == ["network", "network", "blend", "blend"]


def test_points_of_the_curves_by_hand():
    positive, score = np.array([True, False, True, False]), np.array([0.9, 0.9, 0.4, 0.1])
    x, y = results._roc_points(positive, score)
    assert list(zip(x, y, strict=True)) == [(0, 0), (0.5, 0.5), (0.5, 1), (1, 1)]
    recall, precision = results._pr_points(positive, score)
    assert recall.tolist() == [0, 0.5, 1, 1]
    assert precision == pytest.approx([0.5, 0.5, 2 / 3, 0.5])


def test_figures_of_a_system_that_is_gone_are_removed(tmp_path):
    (tmp_path / "learning-gone.svg").write_text("<svg/>")
    (tmp_path / "notes.txt").write_text("mine")
    rows, target = predictions(), study().targets["murmur"]
    table = save([results.reliability("murmur", target, rows[rows["target"] == "murmur"])], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*table["file"], "notes.txt"}


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_captions_count_cases_and_not_their_repeats(repeats):
    rows, target = predictions(), study().targets["murmur"]
    rows = rows[(rows["system"] == "chosen") & (rows["target"] == "murmur")]
    cases = rows[rows["label"] != ""]["case"].nunique()
    rows = pd.concat([rows.assign(repeat=repeat) for repeat in range(repeats)], ignore_index=True)
    for draw in (results.roc, results.precision_recall, results.confusion):
        caption = draw("murmur", target, rows).caption
        assert f"{cases} test cases" in caption
        assert ("predictions in repeated folds" in caption) == (repeats > 1)


@pytest.mark.parametrize("repeats", [1, 3])
def test_captions_of_reliability_and_operating_points_count_cases(repeats):
    rows, target = predictions(), study().targets["murmur"]
    rows = rows[(rows["system"] == "chosen") & (rows["target"] == "murmur")]
    cases = rows[rows["label"] != ""]["case"].nunique()
    rows = pd.concat([rows.assign(repeat=repeat) for repeat in range(repeats)], ignore_index=True)
    captions = [results.reliability("murmur", target, rows).caption]
    captions += [plot.caption for plot in trade_off(study(), "murmur", target, rows)]
    for caption in captions:
        assert f"{cases} test cases" in caption
        assert ("predictions in repeated folds" in caption) == (repeats > 1)


@pytest.mark.parametrize(("subjects", "absent"), [(4, False), (5, False), (60, True)])
def test_operating_points_have_intervals_where_the_tables_have(subjects, absent):
    target, rng = study().targets["murmur"], np.random.default_rng(subjects)
    p = rng.dirichlet([1, 1, 1], 60)
    labels = target.classes[:2] * 30 if absent else target.classes * 20
    rows = pd.DataFrame(p, columns=[f"p_{name}" for name in target.classes])
    rows = rows.assign(label=labels, subject=[f"s{k % subjects}" for k in range(60)])
    points = operating_points(study(), target, rows)
    assert points["w_acc_low"].notna().all() == (subjects >= 5) and points["w_acc"].notna().all()
    assert points["uar"].notna().all() == (not absent) == points["uar"].notna().any()
    assert points["uar_low"].notna().any() == (subjects == 5)
