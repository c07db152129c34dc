"""What stands for the subject where a data set names none."""

from itertools import product

import pandas as pd
import pytest

from auscult.config.protocols import CV10, GroupCV, group_of
from auscult.datasets.base import Columns, Manifest
from auscult.folds.units import with_units


@pytest.mark.parametrize(("known", "group"), product([True, False], ["subject", "day"]))
def test_a_group_stands_for_the_subject_only_where_subjects_are_unknown(known: bool, group: str) -> None:
    cases = pd.DataFrame({"case": ["a", "b", "c"], "subject": ["s1", "s2", "s3"], "day": ["d1", "d1", "d2"]})
    columns = Columns(groups=["day"], labels=[], covariates=[])
    manifest = Manifest(cases, pd.DataFrame(), pd.DataFrame(), columns, subjects_known=known)
    subjects = with_units(manifest, group).cases["subject"].tolist()
    assert subjects == (["d1", "d1", "d2"] if group == "day" and not known else ["s1", "s2", "s3"])
    assert manifest.cases["subject"].tolist() == ["s1", "s2", "s3"]


def test_the_group_of_a_protocol() -> None:
    assert group_of(GroupCV(name="group_cv", group="day")) == "day"
    assert group_of(GroupCV(name="group_cv")) == group_of(CV10(name="cv10")) == "subject"
