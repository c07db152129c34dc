"""A plan with all that a study can have: inner folds, ensembles, seeds, a second stage."""

from collections.abc import Callable
from typing import Any

import pytest

from auscult.config.study import Study
from auscult.plan.names import NetworkName
from auscult.plan.networks import Plan


@pytest.fixture
def make_plan(murmur_study) -> Callable[..., Plan]:
    """`make_plan(folds, seeds, **keys)`: systems `small`, `again`, ensemble `pair`; keys replace parts of the study."""

    def make(folds: int = 2, seeds: int = 1, **keys: Any) -> Plan:
        values = murmur_study().model_dump()
        values["systems"]["small"]["training"]["seeds"] = seeds
        # with inner folds, all systems of an ensemble have as many networks
        again = {"seeds": seeds if keys.get("inner_folds") else 1}
        values["systems"]["again"] = {**values["systems"]["small"], "training": again}
        values["ensembles"] = {"pair": {"systems": ["small", "again"]}}
        study = Study.model_validate({**values, **keys})
        return Plan("one", study, "made", tuple(NetworkName(0, fold) for fold in range(folds)))

    return make
