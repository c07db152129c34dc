"""Write config/README.md and config/schema.json from the models of the configuration (`make reference`)."""

from __future__ import annotations

import importlib
import json
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from auscult import datasets, features, networks
from auscult.config import command_line, dataset, fusion, protocols, study, systems, targets
from auscult.decisions import rules
from auscult.pretraining import methods

HEAD = """# Configuration

Written by `make reference` from the models in `workflow/auscult`; do not edit.

`config.yaml` lists the studies that run. Each file `studies/<name>.yaml` describes one study. An unknown key is an
error; its message suggests the most similar key. With `# yaml-language-server: $schema=../schema.json` as the first
line of a study, editors check and complete it by `schema.json`.

On the command line, `--config studies=a,b` chooses the studies, and `root=DIR` gives the folder of their raw release.
"""
STUDY_MODELS = [
    study.Study,
    dataset.Dataset,
    dataset.ExtraTraining,
    dataset.OtherLabel,
    targets.Target,
    targets.Referral,
    protocols.GroupCV,
    protocols.CV10,
    protocols.Walker,
    protocols.M2D3,
    protocols.Fixed,
    protocols.Column,
    protocols.Leak,
    protocols.InnerFolds,
    systems.Task,
    systems.Head,
    systems.TrainOn,
    systems.Pretraining,
    systems.OtherDatasets,
    systems.Method,
    systems.EncoderConfig,
    systems.Optimisation,
    systems.System,
    systems.FrontEndConfig,
    systems.Segment,
    systems.NetworkConfig,
    systems.Training,
    systems.Teacher,
    systems.Augment,
    systems.Inference,
    systems.Pool,
    systems.Ensemble,
    fusion.Fusion,
    fusion.Booster,
    fusion.Logistic,
    fusion.Logits,
    fusion.Tuning,
    study.Evaluation,
]


def readme() -> str:
    """Return the reference of all keys as Markdown: a table per model, then the options of every plug-in."""
    parts = [HEAD, "## config.yaml\n", *(_section(model) for model in (command_line.Settings, command_line.Tracking))]
    parts += ["## studies/<name>.yaml\n", *(_section(model) for model in STUDY_MODELS)]
    parts.append(_decision_rules())
    parts.append("## Options of data sets (`dataset.options`)\n")
    parts += [_section(_load(datasets, name).Options, name) for name in datasets.names()]
    parts.append("## Settings of front ends (`front_end.settings`)\n")
    for name in features.names():
        preset = features.preset(name)
        parts.append(_section(type(preset), name, preset.model_dump()))
    parts.append("## Options of networks (`network.options`)\n")
    parts += [_section(_load(networks, name).Options, name) for name in networks.names()]
    parts.append("## Options of methods of pre-training (`method.options`)\n")
    parts += [_section(_load(methods, name).Options, name) for name in methods.names()]
    return "\n".join(parts)


def schema() -> str:
    """Return the JSON schema of a study file."""
    return json.dumps(study.Study.model_json_schema(), indent=1, sort_keys=True) + "\n"


def _decision_rules() -> str:
    """Return the table of the decision rules."""
    lines = [
        "## Decision rules (`targets.<name>.decisions`)\n",
        "| rule | targets | fitted | decision |",
        "|---|---|---|---|",
    ]
    for name in rules.names():
        rule = rules.get(name)
        yes_or_no = "yes" if rule.is_fitted else "no"
        lines.append(f"| `{name}` | {', '.join(rule.kinds)} | {yes_or_no} | {rule.description} |")
    return "\n".join(lines) + "\n"


def _load(package: Any, name: str) -> Any:
    return importlib.import_module(f"{package.__name__}.{name}")


def _section(model: type[BaseModel], title: str | None = None, preset: dict | None = None) -> str:
    """Return the table of a model's keys; `preset` has other defaults than the model."""
    description = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    lines = [f"### {title or model.__name__}\n", f"{description}\n"]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in model.model_fields.items():
        default = field.default if preset is None else preset[key]
        if preset is None and field.is_required():
            default_cell = "**required**"
        elif default is PydanticUndefined or isinstance(default, BaseModel):
            default_cell = "see below"
        else:
            default_cell = f"`{json.dumps(default)}`"
        cells = [f"`{key}`", f"`{_type(field.annotation)}`", default_cell, field.description or ""]
        lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _type(annotation: Any) -> str:
    """Return the name of a type in the terms of YAML."""
    if annotation is None or annotation is type(None):
        return "null"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return " | ".join(json.dumps(value) for value in arguments)
    if origin is dict:
        return f"{{name: {_type(arguments[1])}}}"
    if origin in (list, tuple):
        return "[" + ", ".join(_type(argument) for argument in arguments if argument is not ...) + "]"
    if arguments:
        return " | ".join(_type(argument) for argument in arguments)
    names = {str: "text", int: "integer", float: "number", bool: "true | false", Any: "any"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


if __name__ == "__main__":
    folder = Path(__file__).resolve().parents[2] / "config"
    (folder / "README.md").write_text(readme(), encoding="utf-8")
    (folder / "schema.json").write_text(schema(), encoding="utf-8")
