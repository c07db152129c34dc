"""Validation cases: the share nearest to the requested one that whole groups allow, and labels that are there."""

from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.config.systems import TrainOn
from auscult.folds.planned import FoldError
from auscult.folds.validation import draw_validation
from tests.folds.studies import assign

YES_NO = {"sound": ["yes", "no"]}


def draw(groups: list, keys: list, share: float, seed: int = 0) -> np.ndarray:
    rest = np.arange(len(groups))
    return draw_validation(rest, np.array(keys, dtype=object), np.array(groups, dtype=object), share, seed, "p.val")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_choice_of_whole_groups_is_nearer_to_the_share(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.one_of(st.integers(1, 4), st.integers(1, 60)), min_size=2, max_size=9))
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    keys = data.draw(st.lists(st.sampled_from("abc"), min_size=len(groups), max_size=len(groups)))
    order = data.draw(st.permutations(range(len(groups))))
    groups, keys = [groups[i] for i in order], [keys[i] for i in order]
    share = data.draw(st.sampled_from([0.05, 0.15, 0.2, 0.25, 0.3, 0.4, 0.45, 0.5, 0.6, 0.75, 0.9, 0.97]))
    val = draw(groups, keys, share, data.draw(st.integers(0, 20)))
    chosen = {groups[i] for i in val}
    assert len(val) == sum(groups.count(group) for group in chosen) and 0 < len(val) < len(groups)
    target, counts = (
        share * len(groups),
        {sum(np.multiply(sizes, choice)) for choice in product([0, 1], repeat=len(sizes))},
    )
    nearest = min(abs(count - target) for count in counts - {0, len(groups)})
    if (1 / share).is_integer():  # stratified parts may be nearly as near
        assert abs(len(val) - target) <= max(nearest, len(groups) / len(sizes)) + 1e-9
    else:
        assert abs(len(val) - target) == pytest.approx(nearest)


@pytest.mark.parametrize("share", [0.03, 0.15, 0.4, 0.45, 0.7, 0.9])
@pytest.mark.parametrize("size", [1, 3])
def test_labels_stay_in_proportion(share: float, size: int) -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(300), size)
    keys = rng.choice(["a", "b", "c", "d"], 300, p=[0.6, 0.25, 0.1, 0.05])[groups]
    counts, all_counts = Counter(keys[draw(groups, keys, share)]), Counter(keys)
    for key, count in all_counts.items():
        assert counts[key] == pytest.approx(share * count, abs=1.5 * size)


def test_the_seed_draws_anew() -> None:
    groups, keys = [f"g{n}" for n in range(40)], list("ab") * 20
    assert len({tuple(draw(groups, keys, 0.45, seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize("val", [0.15, 0.4, 0.45, 0.9])
def test_a_study_gets_the_share_that_it_asks_for(make_study, val: float) -> None:
    cases = pd.DataFrame({"case": [f"c{n:03d}" for n in range(80)], "sound": ["yes", "no"] * 40})
    cases["subject"] = cases["case"]
    folds = assign(make_study({"name": "group_cv", "folds": 2, "val": val}, YES_NO), cases, None)
    counts = folds.groupby(["fold", "role"]).size()
    assert [counts[fold, "val"] for fold in (0, 1)] == [round(40 * val)] * 2


def test_one_subject_with_nearly_all_cases_does_not_validate_alone(make_study) -> None:
    subjects = ["big"] * 501 + [f"s{n}" for n in range(10)]
    cases = pd.DataFrame({"case": [f"c{n:03d}" for n in range(511)], "subject": subjects})
    cases["sound"] = ["yes"] * 501 + ["yes", "no"] * 5
    folds = assign(make_study({"name": "group_cv", "folds": 5, "val": 0.2}, YES_NO), cases, None)
    is_big = folds["case"].map(cases.set_index("case")["subject"]) == "big"
    assert set(folds.loc[is_big, "role"]) == {"train", "test"}


@pytest.mark.parametrize(("folds", "count"), [(2, 1), (5, 1), (5, 2), (2, 2)])
def test_too_few_subjects_get_an_advice_that_can_be_followed(make_study, folds: int, count: int) -> None:
    cases = pd.DataFrame({"case": [f"c{n}" for n in range(20)], "sound": ["yes", "no"] * 10})
    cases["subject"] = [f"s{n % count}" for n in range(20)]
    with pytest.raises(FoldError, match=r"use more data or another protocol\.group") as error:
        assign(make_study({"name": "group_cv", "folds": folds}, YES_NO), cases, None)
    assert "lower" not in str(error.value) and "fewer folds" not in str(error.value)


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize(("role", "name"), [("val", "validation"), ("train", "training")])
@pytest.mark.parametrize("seed", range(3))
def test_a_fold_without_a_labelled_case_is_named(make_study, tmp_path, role: str, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    roles = rng.permutation(np.repeat(["train", "val", "test"], 6))
    cases = pd.DataFrame({"case": [f"c{n:02d}" for n in range(18)], "sound": rng.choice(["yes", "no"], 18)})
    cases["subject"], fold = cases["case"], int(rng.integers(5))
    pd.DataFrame({"case": cases["case"], "role": roles, "fold": fold}).to_csv(tmp_path / "roles.csv", index=False)
    study = make_study({"name": "fixed", "file": str(tmp_path / "roles.csv")}, YES_NO)
    first = int(rng.choice(np.flatnonzero(roles == role)))
    one_label = cases["sound"].where((roles != role) | (np.arange(18) == first), "")
    assert len(assign(study, cases.assign(sound=one_label), None)) == 18
    message = f"fold {fold} of repeat 0: no {name} case has a label for tasks.all.heads: sound"
    with pytest.raises(FoldError, match=message):
        assign(study, cases.assign(sound=cases["sound"].where(roles != role, "")), None)


def test_training_on_labels_of_recordings_needs_labelled_cases_for_validation_only(make_study, tmp_path) -> None:
    roles = ["train", "val", "test"] * 4
    cases = pd.DataFrame({"case": [f"c{n:02d}" for n in range(12)], "sound": ["", "yes", "no"] * 4})
    cases["subject"] = cases["case"]
    pd.DataFrame({"case": cases["case"], "role": roles}).to_csv(tmp_path / "roles.csv", index=False)
    study = make_study({"name": "fixed", "file": str(tmp_path / "roles.csv")}, YES_NO)
    with pytest.raises(FoldError, match="no training case"):
        assign(study, cases, None)
    task = study.tasks["all"]
    head = task.heads["sound"].model_copy(update={"train_on": TrainOn(column="heard")})
    task = task.model_copy(update={"heads": {"sound": head}})
    assert len(assign(study.model_copy(update={"tasks": {"all": task}}), cases, None)) == 12


# ---------------------------------------------------------------- fixed


@pytest.mark.parametrize("seed", range(4))
def test_fixed_refuses_a_case_that_is_tested_twice_in_a_repeat(make_study, tmp_path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = pd.DataFrame({"case": [f"c{n:02d}" for n in range(12)], "sound": ["yes", "no"] * 6})
    cases["subject"] = cases["case"]
    rows = [(0, fold, f"c{n:02d}", ("test", "val", "train")[(n - fold) % 3]) for fold in range(3) for n in range(12)]
    rows += [(1, fold, case, role) for _, fold, case, role in rows]  # another repeat tests every case again
    table = pd.DataFrame(rows, columns=["repeat", "fold", "case", "role"]).sample(frac=1, random_state=seed)
    study = make_study({"name": "fixed", "file": str(tmp_path / "roles.csv")}, YES_NO)
    table.to_csv(tmp_path / "roles.csv", index=False)
    assert len(assign(study, cases, None)) == 72
    number = rng.choice(np.flatnonzero(table["role"] != "test"))
    case, repeat = table.iloc[number]["case"], table.iloc[number]["repeat"]
    table.iloc[number, table.columns.get_loc("role")] = "test"
    table.to_csv(tmp_path / "roles.csv", index=False)
    with pytest.raises(
        FoldError, match=rf"roles.csv: case '{case}' is a test case of folds . and . of repeat {repeat}"
    ):
        assign(study, cases, None)


def test_fixed_reports_cases_that_the_file_or_a_fold_does_not_name(make_study, tmp_path, capsys) -> None:
    cases = pd.DataFrame({"case": [f"c{n:02d}" for n in range(12)], "sound": ["yes", "no"] * 6})
    cases["subject"] = cases["case"]
    rows = [(fold, f"c{n:02d}", ("test", "val", "train")[(n - fold) % 3]) for fold in range(3) for n in range(2, 12)]
    rows.remove((1, "c05", rows[[row[:2] for row in rows].index((1, "c05"))][2]))
    pd.DataFrame(rows, columns=["fold", "case", "role"]).to_csv(tmp_path / "roles.csv", index=False)
    folds = assign(make_study({"name": "fixed", "file": str(tmp_path / "roles.csv")}, YES_NO), cases, None)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all("roles.csv" in line for line in lines)
    assert "the file has no row for 2 of 12 cases, which are unused: c00, c01" in lines[0]
    assert "fold 1 of repeat 0 has no row for 1 of 12 cases, which are unused: c05" in lines[1]
    assert sorted(folds.loc[folds["role"] == "unused", "case"]) == sorted(["c00", "c01"] * 3 + ["c05"])
