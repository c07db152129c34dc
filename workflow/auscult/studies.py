"""Load config/: study files become checked `Study` models, with the options of every plug-in filled in."""

from __future__ import annotations

import difflib
import importlib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from auscult import datasets, features, networks
from auscult.config.settings import Settings
from auscult.config.study import Study
from auscult.config.targets import Target
from auscult.decisions import rules
from auscult.plan import paths


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice; plain YAML keeps the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


class ConfigError(Exception):
    """A file in config/, or `--config`, says something that cannot be run."""


def load_settings(values: Mapping[str, Any]) -> Settings:
    """config/config.yaml with the changes of `--config` in it. Raises ConfigError."""
    return _check(Settings, values, "config/config.yaml or --config")


def load_study(name: str, folder: Path, root: str | None = None) -> Study:
    """The study `folder/name.yaml`; `root` replaces its data set's root.

    Raises ConfigError for an unknown study or key (naming the nearest known one), a value out of range, or a
    reference to something that is not there.
    """
    file = folder / f"{name}.yaml"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise ConfigError(f"there is no study {name!r}{_nearest(name, known)}; studies in {folder}: {', '.join(known)}")
    if name in paths.SHARED_FOLDERS:
        raise ConfigError(f"{file}: {name!r} is a folder of results/ already; give the study another name")
    try:
        values = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not readable as YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: should hold keys and values, holds {type(values).__name__}")
    study = _check(Study, values, str(file))
    filled = study.model_dump()
    if root:
        filled["dataset"]["root"] = root
    where = f"{file}: dataset.options"
    adapter = _plug_in(datasets, study.dataset.adapter, f"{file}: dataset.adapter")
    filled["dataset"]["options"] = _check(adapter.Options, study.dataset.options, where).model_dump()
    for key, target in study.targets.items():
        _check_decisions(target, f"{file}: targets.{key}.decisions")
    for key, system in study.systems.items():
        at = f"{file}: systems.{key}"
        if not study.targets_of(system):
            raise ConfigError(f"{at}.tasks: no target has all its heads in {system.tasks}; leave the system out")
        if system.front_end.name not in features.names():
            raise ConfigError(_unknown(f"{at}.front_end.name", system.front_end.name, features.names()))
        preset = features.preset(system.front_end.name)
        settings = {**preset.model_dump(), **system.front_end.settings}
        settings = _check(type(preset), settings, f"{at}.front_end.settings").model_dump()
        filled["systems"][key]["front_end"]["settings"] = settings
        network = _plug_in(networks, system.network.name, f"{at}.network.name")
        options = _check(network.Options, system.network.options, f"{at}.network.options").model_dump()
        filled["systems"][key]["network"]["options"] = options
        if system.network.weights and not hasattr(network, "load_pretrained"):
            able = [name for name in networks.names() if hasattr(_plug_in(networks, name, at), "load_pretrained")]
            raise ConfigError(f"{at}.network.weights: {network.__name__.split('.')[-1]} takes none; {able} do")
        if system.network.weights and not Path(system.network.weights).is_file():
            raise ConfigError(f"{at}.network.weights: there is no file {system.network.weights}")
    return Study.model_validate(filled)


def _check_decisions(target: Target, where: str) -> None:
    """Raises ConfigError for a decision rule that is not there, or that does not serve the target's kind."""
    for name in target.decisions:
        if name not in rules.names():
            raise ConfigError(_unknown(where, name, rules.names(target.kind)))
        if name not in rules.names(target.kind):
            raise ConfigError(
                f"{where}: a {target.kind} target cannot be decided by `{name}`; it has {rules.names(target.kind)}"
            )


def _plug_in(package: Any, name: str, where: str) -> Any:
    if name not in package.names():
        raise ConfigError(_unknown(where, name, package.names()))
    return importlib.import_module(f"{package.__name__}.{name}")


def _unknown(where: str, name: str, known: list[str]) -> str:
    return f"{where}: {name!r} is not one of {', '.join(known)}{_nearest(name, known)}"


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _check(model: type[BaseModel], values: Mapping[str, Any], where: str) -> Any:
    """`values` as a model; every problem in one ConfigError, a line each, with the path of its key."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"]) or "(whole file)"
            if problem["type"] == "extra_forbidden":
                known = _fields(model, problem["loc"][:-1])
                text = f"unknown key{_nearest(str(problem['loc'][-1]), known)}; known here: {', '.join(known)}"
            elif problem["type"] == "union_tag_invalid":
                known = [tag.strip(" '") for tag in problem["ctx"]["expected_tags"].split(",")]
                text = _unknown("name", problem["ctx"]["tag"], known)
            elif problem["type"] == "union_tag_not_found":
                text = "name: Field required"
            else:
                text = problem["msg"].removeprefix("Value error, ")
                if not isinstance(problem["input"], (dict, list)):
                    text += f" (it is {problem['input']!r})"
            lines.append(f"{where}: {key}: {text}")
        raise ConfigError("\n".join(lines)) from None


def _fields(annotation: Any, path: tuple[int | str, ...]) -> list[str]:
    """Names of the keys that may stand at `path` below a model or another type annotation."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        return sorted({name for one in inner for name in _fields(one, path)})
    if origin in (dict, list, tuple):
        return _fields(inner[-1] if origin is dict else inner[0], path[1:]) if path else []
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return []
    known = annotation.model_fields
    if not path:
        return sorted(known)
    tags = typing.get_args(known["name"].annotation) if "name" in known else ()
    if path[0] in tags:  # the tag of a discriminated union; a field may have the same name
        return _fields(annotation, path[1:])
    return _fields(known[str(path[0])].annotation, path[1:]) if path[0] in known else []
