"""Sections of the report that compare variants: uncertainty, differences, subgroups, published results."""

from __future__ import annotations

from typing import Any

import pandas as pd

from auscult.config.study import Study
from auscult.decisions.winner import VARIANT
from auscult.evaluation.scoring import networks_alone
from auscult.evaluation.selective import CONFIDENCE, MEASURES, SHARES
from auscult.evaluation.writing import p_text
from auscult.metrics import catalogue
from auscult.report.cells import METRICS, cell, number, table, with_interval

DIFFERENCES = [metric.key for metric in catalogue.metrics_of("differences")]
PUBLISHED = [metric.key for metric in catalogue.metrics_of("published")]
VERDICTS = ("better", "worse", "not shown to differ")
STAGES = {
    "network": "the network alone",
    "xgboost": "XGBoost",
    "logistic": "logistic regression",
    "logits": "regression on logits",
    "blend": "the mean of the network and XGBoost",
}


def uncertainty(rows: pd.DataFrame) -> dict[str, Any] | None:
    """The measures of uncertainty that find a network's errors better than plain confidence, and all as a table."""
    rows = networks_alone(rows)
    others = rows[rows["measure"] != CONFIDENCE] if len(rows) else rows
    if others.empty:
        return None
    names = [f"{MEASURES[row.measure][0]} of {row.system}" for row in others.itertuples()]
    better = [name for name, high in zip(names, others["minus_confidence_high"], strict=True) if high < 0]
    worse = [name for name, low in zip(names, others["minus_confidence_low"], strict=True) if low > 0]
    text = f"Better than plain confidence (interval of the difference below 0): {', '.join(better) or 'none'}."
    text += f" Worse (interval above 0): {', '.join(worse)}." if worse else ""
    lines = []
    for row in rows.to_dict("records"):
        difference, has_interval = f"{row['minus_confidence']:+.3f}", pd.notna(row["aurc_low"])
        if has_interval:
            difference += f" ({row['minus_confidence_low']:+.3f} to {row['minus_confidence_high']:+.3f})"
        interval = f" ({row['aurc_low']:.3f}–{row['aurc_high']:.3f})" if has_interval else ""
        lines.append(
            [
                row["system"],
                MEASURES[row["measure"]][0],
                cell(row["aurc"], f"{row['aurc']:.3f}{interval}"),
                "" if row["measure"] == CONFIDENCE else difference,
                row["error"],
                *(1 - row[f"accuracy_referring_{share:.0%}"] for share in SHARES),
            ]
        )
    heads = [
        "System",
        "Measure",
        (
            "AURC",
            "Area under the risk–coverage curve: the error rate among the most certain cases, averaged over all "
            "numbers of cases kept. Lower is better.",
        ),
        ("AURC minus confidence's", "Difference from the AURC of plain confidence. Below 0 the measure is better."),
        "Error rate",
        *(f"Error rate, {share:.0%} referred" for share in SHARES),
    ]
    return {"text": text, "table": table(heads, lines)}


def comparison(rows: pd.DataFrame) -> dict[str, Any] | None:
    """Sentences on each second stage, and tables of differences: `chosen` minus the others, and all other pairs."""
    if rows.empty:
        return None
    keys = [c for c in rows if c.startswith(("a_", "b_"))]
    pairs = [
        (dict(zip(keys, key, strict=True)), part.set_index("metric")) for key, part in rows.groupby(keys, sort=False)
    ]
    pairs_of_chosen = [pair for pair in pairs if pair[0]["a_system"] == "chosen"]
    others = [pair for pair in pairs if pair[0]["a_system"] != "chosen"]
    return {
        "sentences": _stage_sentences(others),
        "chosen": _differences(pairs_of_chosen, False) if pairs_of_chosen else None,
        "pairs": _differences(others, True) if others else None,
    }


def _stage_sentences(pairs: list[tuple[dict, pd.DataFrame]]) -> list[str]:
    """For every second stage: the metrics, with the decisions, in which it is better or worse than the network.

    Better and worse are those whose interval of the difference does not include 0.
    """
    verdicts_of_stage: dict[tuple, dict[str, dict[str, list[str]]]] = {}
    for key, part in pairs:
        if key["a_system"] != key["b_system"] or key["a_decision"] != key["b_decision"] or key["a_stage"] != "network":
            continue
        name = (key["a_system"], key["b_stage"], key["b_fit_on"])
        verdicts = verdicts_of_stage.setdefault(name, {verdict: {} for verdict in VERDICTS})
        for metric in [metric for metric in catalogue.metrics_of("differences") if metric.key in part.index]:
            row = part.loc[metric.key]  # network minus second stage
            is_less, is_more = row["difference_high"] < 0, row["difference_low"] > 0
            is_better, is_worse = (is_less, is_more) if metric.higher_is_better else (is_more, is_less)
            verdict = VERDICTS[0] if is_better else VERDICTS[1] if is_worse else VERDICTS[2]
            verdicts[verdict].setdefault(METRICS[metric.key][0], []).append(key["a_decision"])
    sentences = []
    for (system, stage, fit_on), verdicts in verdicts_of_stage.items():
        clauses = [
            f"{verdict} in " + ", ".join(f"{metric} ({', '.join(rules)})" for metric, rules in metrics.items())
            for verdict, metrics in verdicts.items()
            if metrics
        ]
        start = f"{system}: {STAGES.get(stage, stage)} fitted to {fit_on}, compared with {STAGES['network']}, is"
        end = "" if verdicts[VERDICTS[0]] else " No metric shows a gain from this second stage."
        sentences.append(f"{start} {'; '.join(clauses)} (decisions in brackets).{end}")
    return sentences


def _differences(pairs: list[tuple[dict, pd.DataFrame]], with_both_names: bool) -> dict:
    """A row per pair and a cell per metric: difference, interval, p of the bootstrap and of the t-test over folds.

    with_both_names: whether a row names both variants of its pair; otherwise it names the second one.
    """
    metrics = [name for name in DIFFERENCES if any(name in part.index for _, part in pairs)]
    lines = []
    for key, part in pairs:
        line = [_name(key, "a"), _name(key, "b")] if with_both_names else [_name(key, "b")]
        for metric in metrics:
            row = part.loc[metric]
            text = f"{row['difference']:+.3f}" if pd.notna(row["difference"]) else "–"
            if pd.notna(row["difference_low"]):
                text += f" ({row['difference_low']:+.3f} to {row['difference_high']:+.3f})"
            p_values = [p_text(row[name]) for name in ("p_bootstrap", "p_t_test") if pd.notna(row[name])]
            line.append(cell(row["difference"], f"{text} p {', '.join(p_values)}" if p_values else text))
        lines.append(line)
    meaning = "Difference with its 95 % interval; p of the paired bootstrap, and of the corrected t-test over folds."
    heads = [(METRICS[metric][0], meaning) for metric in metrics]
    return table([*(["A", "B"] if with_both_names else ["chosen minus"]), *heads], lines)


def _name(key: dict, side: str) -> str:
    system, stage, fit_on, decision = (key[f"{side}_{column}"] for column in VARIANT)
    return f"{system} · {stage}{'' if fit_on == 'none' else f' on {fit_on}'} · {decision}"


def subgroups(rows: pd.DataFrame) -> dict | None:
    """Scores of the row `chosen` by groups of cases."""
    if rows.empty:
        return None
    metrics = [name for name in DIFFERENCES if name in rows]
    classes = {column: catalogue.class_of(column) for column in rows}
    recalls = {column: key[1] for column, key in classes.items() if key and key[0] == "recall_"}
    lines = [
        [row["by"], row["group"], int(row["n"])]
        + [cell(row[metric], with_interval(row, metric)) for metric in metrics]
        + [row[recall] for recall in recalls]
        for row in rows.to_dict("records")
    ]
    heads = [METRICS[metric] for metric in metrics]
    heads += [(f"Recall {class_name}", METRICS["recall_"][1]) for class_name in recalls.values()]
    return table(["Grouped by", "Group", "Cases", *heads], lines)


def external(rows: pd.DataFrame) -> dict | None:
    """Scores of the winner on other data sets, and on their groups."""
    if rows.empty:
        return None
    metrics = [name for name in DIFFERENCES if name in rows]
    classes = {column: catalogue.class_of(column) for column in rows}
    of_classes = {column: key for column, key in classes.items() if key and key[0] in ("recall_", "auroc_")}
    lines = [
        [row["data"], row["group"] if pd.isna(row.get("by")) else f"{row['by']} {row['group']}"]
        + [int(row[column]) for column in ("n", "known", "unlabelled")]
        + [cell(row[metric], with_interval(row, metric)) for metric in metrics]
        + [row[column] for column in of_classes]
        + [row["leak"] if isinstance(row.get("leak"), str) else ""]
        for row in rows.to_dict("records")
    ]
    heads = [METRICS[metric] for metric in metrics]
    names = {"recall_": "Recall", "auroc_": "AUROC"}
    heads += [(f"{names[prefix]} {class_name}", METRICS[prefix][1]) for prefix, class_name in of_classes.values()]
    left_out = [("Known", "Cases that the study knows, left out."), ("Unlabelled", "Cases without a label, left out.")]
    return table(["Recordings", "Group", "Cases", *left_out, *heads, "Mark"], lines)


def published(study: Study, target: str, rows: pd.DataFrame, board: pd.DataFrame) -> dict | None:
    """Published results for the label of a target, below this study's row `chosen`; None if there are none."""
    rows = rows[(rows["adapter"] == study.dataset.adapter) & (rows["label"] == study.targets[target].label)]
    if rows.empty:
        return None
    metrics = [name for name in PUBLISHED if rows[name].notna().any()]
    lines = []
    for row in board[board["system"] == "chosen"].to_dict("records"):
        scores = [cell(row.get(name), with_interval(row, name)) if name in row else "" for name in metrics]
        lines.append(
            ["this study, chosen", *scores, f"{study.protocol.name}, {row['n']} predictions of test cases", ""]
        )
    for row in rows.fillna({"trap": "", "source": ""}).to_dict("records"):
        scores = [cell(row[name], number(row[name])) for name in metrics]
        lines.append([row["system"], *scores, row["protocol"], f"{row['trap']} [{row['source']}]".strip()])
    return table(["System", *(METRICS[name] for name in metrics), "Protocol", "Caveat and source"], lines)


MOST_LABELS = 50  # doubtful labels on the page; the table has all


def doubtful_labels(rows: pd.DataFrame) -> dict[str, Any] | None:
    """Number of doubtful labels by target, label and suggestion, and the least probable ones."""
    if rows.empty:
        return None
    keys = ["target", "level", "label", "suggested"]
    counts = rows.groupby(keys, sort=False).size()
    first = rows.sort_values("p_label", kind="stable").head(MOST_LABELS)
    lines = [
        [
            row["target"],
            row["recording"] or row["case"],
            row["label"],
            row["suggested"],
            row["p_label"],
            row["p_suggested"],
        ]
        for row in first.fillna("").to_dict("records")
    ]
    heads = ["Target", "Case or recording", "Label", "More probable", "p of the label", "p of the other"]
    return {
        "counts": table(
            ["Target", "Of each", "Label", "More probable", "Number"], [[*k, int(n)] for k, n in counts.items()]
        ),
        "list": table(heads, lines),
        "list_length": len(first),
        "count": len(rows),
    }
