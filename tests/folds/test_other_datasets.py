"""The audit of other training data: planted subjects and copies at random places are found, and stop a study."""

import numpy as np
import pandas as pd
import pytest

from auscult.config.protocols import GroupCV, Leak
from auscult.datasets.base import Columns, Manifest
from auscult.folds.audit import LeakError, refuse_leaks
from auscult.folds.other_datasets import OtherDataset, audit_others

ROLES = ["train"] * 5 + ["val"] * 5 + ["test"] * 5 + ["unused"] * 2
CASES = [f"c{number:02d}" for number in range(len(ROLES))]


def manifest(prefix: str) -> Manifest:
    cases = pd.DataFrame({"case": CASES, "subject": [f"{prefix}{case}" for case in CASES]})
    recordings = pd.DataFrame(
        {"recording": [f"{case}_a" for case in CASES], "case": CASES, "sha256": [prefix + case for case in CASES]}
    )
    return Manifest(cases, recordings, pd.DataFrame(), Columns())


def tables(seed: int) -> tuple[list[pd.DataFrame], dict[str, str]]:
    """Folds, and inner folds, with roles in random order; the roles in the folds."""
    rng = np.random.default_rng(seed)
    roles = rng.permutation(ROLES)
    own = pd.DataFrame({"repeat": 0, "fold": 0, "case": CASES, "role": roles})
    inner = pd.DataFrame({"repeat": 0, "fold": "0i1", "case": CASES, "role": rng.permutation(ROLES)})
    return [own, inner], dict(zip(CASES, roles, strict=True))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["shared_subject", "identical_audio", "near_identical_audio"])
def test_what_other_training_data_know_is_a_leak_of_the_roles_that_judge(kind, seed):
    own, other, copies = manifest("s"), manifest("t"), set()
    rng = np.random.default_rng(seed + 100)
    case = str(rng.choice(CASES))
    if kind == "shared_subject":
        other.cases.loc[rng.integers(len(CASES)), "subject"] = f"x+s{case}"
    elif kind == "identical_audio":
        other.recordings.loc[rng.integers(len(CASES)), "sha256"] = f"s{case}"
    else:
        copies = {f"{case}_a"}
    parts, _ = tables(seed)
    found = audit_others(own, parts, [OtherDataset("far", other, True, copies)])
    expected = [
        (0, table["fold"].iloc[0], kind, f"far+{role}", 1, case)
        for table in parts
        for role in table.loc[table["case"] == case, "role"]
        if role in ("val", "test")
    ]
    assert [tuple(row) for row in found.itertuples(index=False)] == expected
    if expected:
        with pytest.raises(LeakError, match=rf"{kind} far\+"):
            refuse_leaks(GroupCV(name="group_cv"), Leak(), found)


def test_the_same_id_means_nothing_in_data_sets_of_their_own():
    parts, _ = tables(0)
    assert audit_others(manifest("s"), parts, [OtherDataset("far", manifest("s"), False, set())])[
        "finding"
    ].unique().tolist() == ["identical_audio"]
    assert audit_others(manifest("s"), parts, [OtherDataset("far", manifest("t"), True, set())]).empty
