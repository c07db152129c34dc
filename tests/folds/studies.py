"""The functions of `auscult.folds`, called with a study instead of its parts."""

import pandas as pd

from auscult.config.study import Study
from auscult.datasets.base import Manifest
from auscult.folds import audit as audits
from auscult.folds import inner, protocols


def assign(study: Study, cases: pd.DataFrame, lists) -> pd.DataFrame:
    return protocols.assign(study.protocol, study.targets, study.tasks, cases, lists)


def assign_inner(study: Study, cases: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    return inner.assign_inner(study.inner_folds, study.protocol, study.targets, study.tasks, cases, folds)


def audit(study: Study, manifest: Manifest, folds: pd.DataFrame, copies: pd.DataFrame | None = None) -> pd.DataFrame:
    return audits.audit(study.protocol, study.targets, manifest, folds, copies)


def leaks(study: Study, findings: pd.DataFrame) -> pd.DataFrame:
    return audits.leaks(study.protocol, findings)


def mark(study: Study, findings: pd.DataFrame) -> str:
    return audits.mark(study.protocol, findings)


def refuse_leaks(study: Study, findings: pd.DataFrame) -> None:
    audits.refuse_leaks(study.protocol, study.leak, findings)
