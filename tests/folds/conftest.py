"""Fixtures of the tests of folds: studies with any protocol and targets."""

from collections.abc import Callable

import pytest

from auscult.config.study import Study

CLASSES = {"murmur": ["Present", "Unknown", "Absent"], "outcome": ["Abnormal", "Normal"]}


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Study]:
    """`make_study(protocol, targets, **keys)`: `targets` are classes by label; each target has one head."""

    def make(protocol: dict, targets: dict[str, list[str]] | None = None, kind: str = "multiclass", **keys) -> Study:
        targets = CLASSES if targets is None else targets
        heads = {name: {"label": name, "kind": kind, "classes": classes} for name, classes in targets.items()}
        served = {
            name: {"label": name, "kind": kind, "classes": classes, "heads": [name], "decisions": ["reference"]}
            for name, classes in targets.items()
        }
        system = {"tasks": ["all"], "front_end": {"name": "samples"}, "network": {"name": "dbresnet"}}
        study = {
            "description": "",
            "dataset": {"name": "any", "adapter": "folder", "root": ""},
            "targets": served,
            "protocol": protocol,
            "tasks": {"all": {"heads": heads}},
            "systems": {"one": system},
        }
        return Study.model_validate(study | keys)

    return make
