"""Functions of the library that take parts of a study, called with a whole one."""

from pathlib import Path

import pandas as pd

from auscult.config.study import Study
from auscult.config.systems import System, heads_of
from auscult.fusion import fuse as fusion
from auscult.fusion.features import Inputs
from auscult.inference import aggregate as aggregation


def tasks_of(study: Study, system: System) -> dict:
    return {name: study.tasks[name] for name in system.tasks}


def aggregate(study: Study, system: System, scorers: dict, roles: pd.DataFrame, weigh: bool = False):
    """`aggregate` for a system of a study."""
    parts = tasks_of(study, system), study.targets_of(system), system.inference.pool
    return aggregation.aggregate(*parts, scorers, roles, weigh)


def fuse(study: Study, name: str, inputs: Inputs, models: Path, log: Path):
    """`fuse` for a system of a study: probabilities, importances, trials."""
    system = study.systems[name]
    heads = heads_of(tasks_of(study, system))
    fused = fusion.fuse(study.fusion, heads, study.targets_of(system), inputs, models, log, 1)
    return fused.probabilities, fused.importances, fused.trials


def apply_saved(study: Study, name: str, inputs: Inputs, target: str, stage: str, file: Path):
    """`apply_saved` for a system of a study: probabilities (cases, classes)."""
    heads = heads_of(tasks_of(study, study.systems[name]))
    return fusion.apply_saved(study.fusion, heads, target, study.targets[target], inputs, stage, file)
