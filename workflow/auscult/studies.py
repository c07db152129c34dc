"""Read config/: study files become validated `Study` models, with the default options of plug-ins filled in."""

from __future__ import annotations

import difflib
import importlib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from auscult import datasets, features, networks
from auscult.config.command_line import Settings
from auscult.config.dataset import Dataset
from auscult.config.study import Study
from auscult.config.systems import Pretraining, System
from auscult.config.targets import Target
from auscult.datasets.walk import is_file
from auscult.decisions import rules
from auscult.network_options import NetworkFacts, network_facts
from auscult.plan import paths
from auscult.pretraining import methods


class _Loader(yaml.SafeLoader):
    """YAML loader that refuses a duplicate key; plain YAML silently keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            keys.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | str:
    """A whole number as YAML 1.2 has it. By YAML 1.1, `0777` would be octal, and `1:30` would be 90."""
    if ":" in node.value:
        return node.value
    return int(node.value) if re.fullmatch(r"[-+]?0\d+", node.value) else loader.construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _number)


class ConfigError(Exception):
    """A file in config/, or `--config`, is not valid."""


def load_settings(values: Mapping[str, Any]) -> Settings:
    """Return the settings of config/config.yaml with the changes of `--config`. Raises ConfigError."""
    return _check(Settings, values, "config/config.yaml or --config")


def load_study(name: str, folder: Path, root: str | None = None, memory: Path | None = None) -> Study:
    """Return the study `folder/name.yaml` with all defaults; `root` replaces its data set's root.

    memory: a file in which the options of networks are remembered, see `network_options`.

    Raises ConfigError for an unknown study or key (the message names the most similar known one), a value out of
    range, or a reference to a name that does not exist.
    """
    file = _study_file(name, folder)
    study = _check(Study, read(file), str(file))
    values = study.model_dump()  # the checks below add the defaults of plug-ins
    if root:
        values["dataset"]["root"] = root
    values["dataset"]["options"] = _dataset_options(study.dataset, f"{file}: dataset")
    for number, extra in enumerate(study.extra_training):
        options = _dataset_options(extra.dataset, f"{file}: extra_training.{number}.dataset")
        values["extra_training"][number]["dataset"]["options"] = options
    for key, target in study.targets.items():
        _check_decisions(target, f"{file}: targets.{key}.decisions")
    for key, system in study.systems.items():
        _check_system(study, system, values["systems"][key], f"{file}: systems.{key}", memory)
    for key, pretraining in study.pretrainings.items():
        pretraining_path = f"{file}: pretrainings.{key}"
        _check_pretraining(study.dataset.rate_hz, pretraining, values["pretrainings"][key], pretraining_path, memory)
    for unit in study.fusion.systems if study.fusion and "embeddings" in study.fusion.features else []:
        if not study.fused_encoders(unit):
            raise ConfigError(
                f"{file}: fusion.features: `embeddings` are vectors of the front end encoder, and {unit!r} has none; "
                "leave them out, or this system"
            )
    study = Study.model_validate(values)
    for key, system in study.systems.items():
        if system.network.pretraining:
            front_end = study.pretrainings[system.network.pretraining].front_end
            if front_end != system.front_end:
                raise ConfigError(
                    f"{file}: systems.{key}.front_end: {system.front_end} is not that of its pre-training, {front_end}"
                )
    return study


def _study_file(name: str, folder: Path) -> Path:
    """Return the file of a study. Raises ConfigError unless there is one, whose name no folder of results has."""
    study_names = sorted(path.stem for path in folder.glob("*.yaml") if path.is_file())
    if name not in study_names:
        raise ConfigError(
            f"there is no study {name!r}{_nearest(name, study_names)}; studies in {folder}: {', '.join(study_names)}"
        )
    file = folder / f"{name}.yaml"
    if name in paths.SHARED_FOLDERS:
        raise ConfigError(f"{file}: results/ already has a folder {name!r}; give the study another name")
    return file


def read(file: Path) -> dict:
    """Return keys and values of a YAML file. Raises ConfigError unless it has any."""
    try:
        values = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not readable as YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: should contain keys and values, contains {type(values).__name__}")
    return values


def _check_system(study: Study, system: System, values: dict[str, Any], path: str, memory: Path | None) -> None:
    """Check a system, and add the defaults of its front end and network to its values. Raises ConfigError."""
    if not study.targets_of(system):
        raise ConfigError(f"{path}.tasks: no target has all its heads in {system.tasks}; leave the system out")
    network = _fill_in(system, values, path, memory)
    _check_rates(study.dataset.rate_hz, values, path)
    if network.reads_cases != (system.segment.of == "case"):
        other = "case" if system.segment.of == "recording" else "recording"
        raise ConfigError(f"{path}.segment.of: {system.network.name} reads windows of a {other}; set it to {other}")
    if not system.network.weights:
        return
    if not network.takes_weights:
        modules = {name: _plug_in(networks, name, path) for name in networks.names()}
        pretrainable = [name for name, module in modules.items() if hasattr(module, "load_pretrained")]
        raise ConfigError(
            f"{path}.network.weights: {system.network.name} cannot start from weights; {pretrainable} can"
        )
    if not is_file(Path(system.network.weights)):
        raise ConfigError(f"{path}.network.weights: there is no file {system.network.weights}")


def _check_pretraining(
    rate_hz: int, pretraining: Pretraining, values: dict[str, Any], path: str, memory: Path | None
) -> None:
    """Check a pre-training, and add the defaults of its parts to its values. Raises ConfigError."""
    network = _fill_in(pretraining, values, path, memory)
    _check_rates(rate_hz, values, path)
    if network.reads_cases:
        name = pretraining.network.name
        raise ConfigError(f"{path}.network.name: {name} reads cases, not recordings; take another one")
    method = _plug_in(methods, pretraining.method.name, f"{path}.method.name")
    options = _check(method.Options, pretraining.method.options, f"{path}.method.options").model_dump()
    values["method"]["options"] = options
    augment = pretraining.training.augment
    if getattr(method, "CONTRASTS_SUBJECTS", False) and (augment.mixup or augment.cutmix):
        raise ConfigError(
            f"{path}.training.augment: {pretraining.method.name} contrasts subjects, and a mixed window is of two; "
            "switch mixup and cutmix off"
        )
    if methods.heads(pretraining.method.name, options) and pretraining.train_on == "fold":
        raise ConfigError(
            f"{path}.train_on: {pretraining.method.name} learns labels of other data sets, not of the study's folds, "
            "which `training` is for: set {datasets: [...]}"
        )
    for number, dataset in enumerate(pretraining.other_datasets()):
        options = _dataset_options(dataset, f"{path}.train_on.datasets.{number}")
        values["train_on"]["datasets"][number]["options"] = options


def _check_rates(rate_hz: int, values: dict[str, Any], path: str) -> None:
    """Raise ConfigError for samples of another rate than the audio's, and a network that takes them for such.

    rate_hz: of the data set. values: of a system or pre-training, with all defaults.
    """
    front_end, options = values["front_end"], values["network"]["options"]
    if front_end["name"] != "samples":
        return
    samples_hz = front_end["settings"]["rate_hz"]
    if samples_hz != rate_hz:
        raise ConfigError(f"{path}.front_end.settings.rate_hz: it is {samples_hz}, and dataset.rate_hz is {rate_hz}")
    network_hz = options.get("rate_hz", samples_hz)  # of networks that find beats or bands
    if network_hz != samples_hz:
        raise ConfigError(
            f"{path}.network.options.rate_hz: it is {network_hz:g}, and the samples have {samples_hz} a second"
        )


def _dataset_options(dataset: Dataset, path: str) -> dict[str, Any]:
    """Return the options of a data set's adapter, with its defaults."""
    adapter = _plug_in(datasets, dataset.adapter, f"{path}.adapter")
    return _check(adapter.Options, dataset.options, f"{path}.options").model_dump()


def _fill_in(part: System | Pretraining, values: dict[str, Any], path: str, memory: Path | None) -> NetworkFacts:
    """Add the defaults of front end and network to the values of a part of a study; return facts of the network."""
    if part.front_end.name not in features.names():
        raise ConfigError(_unknown(f"{path}.front_end.name", part.front_end.name, features.names()))
    preset = features.preset(part.front_end.name)
    settings = {**preset.model_dump(), **part.front_end.settings}
    settings = _check(type(preset), settings, f"{path}.front_end.settings")
    try:
        values["front_end"]["settings"] = features.completed(part.front_end.name, settings).model_dump()
    except ValueError as error:
        raise ConfigError(f"{path}.front_end.settings: {error}") from error
    name, options = part.network.name, part.network.options
    if name not in networks.names():
        raise ConfigError(_unknown(f"{path}.network.name", name, networks.names()))
    facts = network_facts(name, options, lambda model: _check(model, options, f"{path}.network.options"), memory)
    values["network"]["options"] = facts.options
    return facts


def _check_decisions(target: Target, key_path: str) -> None:
    """Raise ConfigError for an unknown decision rule, or one that does not fit the target's kind."""
    for name in target.decisions:
        if name not in rules.names():
            raise ConfigError(_unknown(key_path, name, rules.names(target.kind)))
        if name not in rules.names(target.kind):
            raise ConfigError(
                f"{key_path}: a {target.kind} target cannot be decided by `{name}`, only by {rules.names(target.kind)}"
            )


def _plug_in(package: Any, name: str, key_path: str) -> Any:
    if name not in package.names():
        raise ConfigError(_unknown(key_path, name, package.names()))
    return importlib.import_module(f"{package.__name__}.{name}")


def _unknown(key_path: str, name: str, known_names: list[str]) -> str:
    return f"{key_path}: {name!r} is not one of {', '.join(known_names)}{_nearest(name, known_names)}"


def _nearest(name: str, known_names: list[str]) -> str:
    close = difflib.get_close_matches(name, known_names, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _check(model: type[BaseModel], values: Mapping[str, Any], key_path: str) -> Any:
    """Return `values` as a model. Raises one ConfigError with a line, with the path of its key, for each problem."""
    try:
        checked = model.model_validate(values)
        if keys := list(_truth_values_for_numbers(values, checked)):
            raise ConfigError("\n".join(f"{key_path}: {key}: needs a number, not true or false" for key in keys))
        return checked
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"]) or "(whole file)"
            if problem["type"] == "extra_forbidden":
                known_keys = _fields(model, problem["loc"][:-1])
                text = (
                    f"unknown key{_nearest(str(problem['loc'][-1]), known_keys)}; known keys: {', '.join(known_keys)}"
                )
            elif problem["type"] == "union_tag_invalid":
                known_keys = [tag.strip(" '") for tag in problem["ctx"]["expected_tags"].split(",")]
                text = _unknown("name", problem["ctx"]["tag"], known_keys)
            elif problem["type"] == "union_tag_not_found":
                text = "name: Field required"
            else:
                text = problem["msg"].removeprefix("Value error, ")
                if not isinstance(problem["input"], (dict, list)):
                    text += f" (it is {problem['input']!r})"
                if problem["type"] == "string_type":
                    text += _remedy_for_text(model, key, problem["input"])
            lines.append(f"{key_path}: {key}: {text}")
        raise ConfigError("\n".join(lines)) from None


def _truth_values_for_numbers(values: Any, checked: Any) -> Iterator[str]:
    """Yield the keys under which `values` have `true`, `yes`, … and a model of them has a number, which would be 1."""
    if isinstance(values, Mapping):
        parts = [(name, part, getattr(checked, str(name), None)) for name, part in values.items()]
        if isinstance(checked, Mapping):
            parts = [(name, part, checked.get(name)) for name, part in values.items()]
    elif isinstance(values, list | tuple) and isinstance(checked, list | tuple):
        parts = [(str(number), *pair) for number, pair in enumerate(zip(values, checked, strict=False))]
    else:
        return
    for name, part, checked_part in parts:
        if isinstance(part, bool) and isinstance(checked_part, int | float) and not isinstance(checked_part, bool):
            yield str(name)
        else:
            yield from (f"{name}.{key}" for key in _truth_values_for_numbers(part, checked_part))


def _remedy_for_text(model: type[BaseModel], key: str, value: Any) -> str:
    """Return what to do where YAML or the command line read a text as a value of another kind."""
    kinds = {bool: "true or false", int: "a number", float: "a number", type(None): "nothing", date: "a date"}
    kind = next((name for kind, name in kinds.items() if isinstance(value, kind)), None)
    if kind is None:
        return ""
    if model is Settings:
        return (
            f"; the command line reads this as {kind}: for a folder write `{key.removesuffix('.[key]')}=./NAME`, in "
            "config.yaml put quotation marks round it"
        )
    return f"; YAML reads this word as {kind}: put quotation marks round it, such as 'yes', '0', 'null'"


def _fields(annotation: Any, path: tuple[int | str, ...]) -> list[str]:
    """Return the allowed keys at `path` below a model or another type annotation."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        return sorted({name for member in inner for name in _fields(member, path)})
    if origin in (dict, list, tuple):
        return _fields(inner[-1] if origin is dict else inner[0], path[1:]) if path else []
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return []
    fields = annotation.model_fields
    if not path:
        return sorted(fields)
    tags = typing.get_args(fields["name"].annotation) if "name" in fields else ()
    if path[0] in tags:  # the tag of a discriminated union; a field may have the same name
        return _fields(annotation, path[1:])
    return _fields(fields[str(path[0])].annotation, path[1:]) if path[0] in fields else []
