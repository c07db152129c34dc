"""Every protocol: groups, proportions, the order of ids, the published splits, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from auscult.config.study import Study
from auscult.config.systems import Head
from auscult.folds.labels import check_recording_labels
from auscult.folds.planned import FoldError, folds_of_protocol, read_fixed
from auscult.folds.stratify import stratify_labels
from tests.folds.studies import assign

LISTS = Path(__file__).resolve().parents[2] / "resources" / "splits"
# cross-table of the public release
COUNTS = {
    ("Absent", "Normal"): 432,
    ("Unknown", "Normal"): 25,
    ("Present", "Normal"): 29,
    ("Absent", "Abnormal"): 263,
    ("Unknown", "Abnormal"): 43,
    ("Present", "Abnormal"): 150,
}
YES_NO = {"sound": ["yes", "no"]}

Make = Callable[..., Study]


@pytest.fixture(scope="module")
def circor() -> pd.DataFrame:
    """942 made-up cases with the class counts of the release, ids of four and five digits, 70 subjects with two."""
    rng = np.random.default_rng(0)
    further_ids = rng.choice(np.arange(10000, 86000), 942 - 3, replace=False).tolist()
    ids = [str(i) for i in [2530, 9979, 9983, *further_ids]]
    labels = [label for label, count in COUNTS.items() for _ in range(count)]
    table = pd.DataFrame(rng.permutation(labels), columns=["murmur", "outcome"])
    table.insert(0, "case", ids)
    table.insert(1, "subject", [*ids[:872], *ids[:70]])
    return table.sort_values("case").reset_index(drop=True)


def simple(labels: list[str], subjects: list[str] | None = None, **columns: list) -> pd.DataFrame:
    ids = [f"c{i:03d}" for i in range(len(labels))]
    return pd.DataFrame({"case": ids, "subject": subjects or ids, "sound": labels, **columns})


def sets(folds: pd.DataFrame, repeat: int = 0, fold: int = 0) -> dict[str, set[str]]:
    fold_rows = folds[(folds["repeat"] == repeat) & (folds["fold"] == fold)]
    return {role: set(rows["case"]) for role, rows in fold_rows.groupby("role")}


def sizes(folds: pd.DataFrame, repeat: int = 0, fold: int = 0) -> dict[str, int]:
    return {role: len(ids) for role, ids in sets(folds, repeat, fold).items()}


def write_csv(path: Path, rows: list[tuple], columns: str = "case,role") -> str:
    pd.DataFrame(rows, columns=columns.split(",")).to_csv(path, index=False)
    return str(path)


# ---------------------------------------------------------------- group_cv


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_group_cv_never_splits_a_group(make_study: Make, data: st.DataObject) -> None:
    group_sizes = data.draw(st.lists(st.integers(1, 5), min_size=12, max_size=30))
    groups = [f"g{number}" for number, size in enumerate(group_sizes) for _ in range(size)]
    labels = data.draw(st.lists(st.sampled_from(["yes", "no", ""]), min_size=len(groups), max_size=len(groups)))
    protocol = {
        "name": "group_cv",
        "folds": data.draw(st.integers(2, 5)),
        "repeats": data.draw(st.integers(1, 2)),
        "val": data.draw(st.sampled_from([0.1, 0.2, 0.5])),
        "seed": data.draw(st.integers(0, 99)),
        "group": data.draw(st.sampled_from(["subject", "day"])),
    }
    subjects = groups if protocol["group"] == "subject" else None
    cases = simple(labels, subjects, day=groups)
    try:
        folds = assign(make_study(protocol, YES_NO), cases, LISTS)
    except FoldError as error:  # a draw may be impossible; the message then names a key of the protocol
        assert str(error).startswith("protocol")
        return
    folds = folds.merge(cases[["case", "day"]], on="case")
    assert (folds.groupby(["repeat", "fold", "day"])["role"].nunique() == 1).all()
    assert len(folds) == len(cases) * protocol["folds"] * protocol["repeats"]
    test_cases = folds[folds["role"] == "test"].groupby("repeat")["case"]
    assert all(sorted(ids) == cases["case"].tolist() for _, ids in test_cases)


def test_group_cv_keeps_strata_in_proportion(make_study: Make, circor: pd.DataFrame) -> None:
    study = make_study({"name": "group_cv", "folds": 5, "val": 0.2})
    folds = assign(study, circor, LISTS).merge(circor, on="case")
    counts = folds.groupby(["fold", "role", "murmur", "outcome"]).size().unstack("role")
    for (_, murmur, outcome), row in counts.iterrows():
        total = COUNTS[murmur, outcome]
        assert row["test"] == pytest.approx(total / 5, abs=1.5)
        assert row["val"] == pytest.approx(total * 0.8 / 5, abs=1.5)


def test_group_cv_stratifies_by_the_columns_of_the_study(make_study: Make) -> None:
    cases = simple(["yes", "no"] * 60, hospital=["A"] * 100 + ["B"] * 20, age=[1.5] * 60 + [2.5] * 60)
    for column in ("hospital", "age"):
        study = make_study({"name": "group_cv", "folds": 4, "stratify": [column]}, YES_NO)
        folds = assign(study, cases, LISTS).merge(cases, on="case")
        test_counts = folds[folds["role"] == "test"].groupby(["fold", column]).size().unstack()
        assert (test_counts.max() - test_counts.min() <= 1).all()
    study = make_study({"name": "group_cv", "stratify": ["town"]}, YES_NO)
    with pytest.raises(FoldError, match=r"protocol.stratify: .*'town'"):
        assign(study, cases, LISTS)


def test_group_cv_repeats_and_seeds_differ(make_study: Make, circor: pd.DataFrame) -> None:
    cases = circor[::5]
    folds = assign(make_study({"name": "group_cv", "repeats": 3}), cases, LISTS)
    tests = [sets(folds, repeat)["test"] for repeat in range(3)]
    assert tests[0] != tests[1] != tests[2] != tests[0]
    pd.testing.assert_frame_equal(folds, assign(make_study({"name": "group_cv", "repeats": 3}), cases, LISTS))
    other_seed = assign(make_study({"name": "group_cv", "seed": 7}), cases, LISTS)
    assert sets(other_seed)["test"] not in tests


def test_validation_is_drawn_by_group_in_about_the_share_of_the_study(make_study: Make, circor: pd.DataFrame) -> None:
    for val in (0.1, 0.2, 0.25, 0.5):
        folds = assign(make_study({"name": "group_cv", "folds": 3, "val": val}), circor[::3], LISTS)
        for fold in range(3):
            count = sizes(folds, fold=fold)
            assert count["val"] / (count["val"] + count["train"]) == pytest.approx(val, abs=0.02)


@pytest.mark.parametrize(
    ("protocol", "key"),
    [
        ({"folds": 4}, r"protocol\.folds: 4 folds of 3 values of 'subject'"),
        ({"folds": 2, "group": "day"}, r"protocol\.val: .* are 1 group, and validation"),
        ({"folds": 3, "group": "week"}, r"protocol\.group: .*'week'"),
    ],
)
def test_group_cv_needs_enough_groups(make_study: Make, protocol: dict, key: str) -> None:
    cases = simple(["yes", "no"] * 6, ["a", "b", "c"] * 4, day=["mo", "tu"] * 6)
    with pytest.raises(FoldError, match=key):
        assign(make_study({"name": "group_cv", **protocol}, YES_NO), cases, LISTS)


# ---------------------------------------------------------------- the published splits


def _indicators(cases: pd.DataFrame) -> np.ndarray:
    murmur, outcome = cases["murmur"], cases["outcome"]
    flags = [outcome == "Normal", outcome == "Abnormal", murmur == "Absent", murmur == "Present", murmur == "Unknown"]
    return np.array(flags).T.astype(int)


def _numeric(cases: pd.DataFrame) -> pd.DataFrame:
    return cases.sort_values("case", key=lambda ids: ids.astype(int))


def test_walker_has_the_published_sizes(make_study: Make, circor: pd.DataFrame) -> None:
    folds = assign(make_study({"name": "walker"}), circor, LISTS)
    assert sizes(folds) == {"train": 602, "val": 151, "test": 189}
    table = folds.merge(circor, on="case").groupby(["murmur", "role"]).size().unstack()
    assert table.loc["Present", ["train", "val", "test"]].tolist() == [114, 29, 36]
    assert table.loc["Unknown", ["train", "val", "test"]].tolist() == [44, 11, 13]
    assert table.loc["Absent", ["train", "val", "test"]].tolist() == [444, 111, 140]


def test_walker_is_the_published_split(make_study: Make, circor: pd.DataFrame) -> None:
    """As in the published code: five indicators as key, ids in numeric order, the seed and the next."""
    folds = assign(make_study({"name": "walker", "seeds": [42, 14]}), circor, LISTS)
    cases = _numeric(circor)
    for repeat, seed in enumerate([42, 14]):
        flags = _indicators(cases)
        rest, test, left, _ = train_test_split(
            cases["case"].to_numpy(), flags, test_size=0.2, random_state=seed, stratify=flags
        )
        train, val = train_test_split(rest, test_size=0.16 / 0.8, random_state=seed + 1, stratify=left)
        assert sets(folds, repeat) == {"train": set(train), "val": set(val), "test": set(test)}


@pytest.mark.parametrize(("val", "expected"), [(0.16, 170), (0.2, 212)])
def test_cv10_has_the_published_sizes(make_study: Make, circor: pd.DataFrame, val: float, expected: int) -> None:
    folds = assign(make_study({"name": "cv10", "val": val, "test": 0.2}), circor, LISTS)
    counts = folds.groupby(["fold", "role"]).size().unstack()
    assert sorted(counts["test"]) == [94] * 8 + [95] * 2
    assert (counts["val"] == expected).all()
    assert sorted(folds.loc[folds["role"] == "test", "case"]) == circor["case"].tolist()


@pytest.mark.parametrize("stratified", [False, True])
def test_cv10_is_the_published_split(make_study: Make, circor: pd.DataFrame, stratified: bool) -> None:
    folds = assign(make_study({"name": "cv10", "stratified": stratified}), circor, LISTS)
    cases = _numeric(circor)
    ids, flags = cases["case"].to_numpy(), _indicators(cases)
    keys = [" ".join(map(str, row)) for row in flags]
    splitter_class = StratifiedKFold if stratified else KFold
    for fold, (rest, test) in enumerate(splitter_class(10, shuffle=True, random_state=42).split(ids, keys)):
        strata = flags[rest] if stratified else None
        train, val = train_test_split(ids[rest], test_size=0.2 / 0.8, random_state=42, stratify=strata)
        assert sets(folds, fold=fold) == {"train": set(train), "val": set(val), "test": set(ids[test])}


def test_published_splits_take_ids_as_numbers_if_all_ids_are(make_study: Make) -> None:
    ids = ["10001", "10002", *(str(i) for i in range(20000, 20010)), "2530", "9979", "9983", *map(str, range(100, 110))]
    cases = simple(["yes"] * len(ids)).assign(case=ids, subject=ids)
    for order, names in ((sorted(ids, key=int), ids), (sorted(f"p{i}" for i in ids), [f"p{i}" for i in ids])):
        folds = assign(make_study({"name": "cv10"}, YES_NO), cases.assign(case=names, subject=names), LISTS)
        _, first = next(KFold(10, shuffle=True, random_state=42).split(order))
        assert sets(folds)["test"] == {order[i] for i in first}
    _, wrong = next(KFold(10, shuffle=True, random_state=42).split(ids))
    assert {sorted(ids)[i] for i in wrong} != {sorted(ids, key=int)[i] for i in wrong}


def test_classes_too_rare_for_parts_are_drawn_by_group(make_study) -> None:
    """Four cases in a class, of which two may train, cannot be divided by five: whole groups are drawn."""
    table = pd.DataFrame({"case": [f"c{n}" for n in range(16)], "sound": list("abcd") * 4})
    table["subject"] = [f"s{n // 2}" for n in range(16)]
    study = make_study({"name": "group_cv", "folds": 2}, {"sound": list("abcd")})
    assert all(sizes(assign(study, table, LISTS), fold=fold) == {"train": 6, "val": 2, "test": 8} for fold in (0, 1))
    table["part"] = ["train"] * 8 + ["test"] * 8
    study = make_study({"name": "column", "column": "part", "test": ["test"]}, {"sound": list("abcd")})
    assert sizes(assign(study, table, LISTS)) == {"train": 6, "val": 2, "test": 8}


@pytest.mark.parametrize("protocol", [{"name": "walker"}, {"name": "cv10"}])
def test_published_splits_refuse_too_few_cases(make_study: Make, protocol: dict) -> None:
    with pytest.raises(FoldError, match="protocol"):
        assign(make_study(protocol, YES_NO), simple(["yes"] * 8 + ["no"]), LISTS)


# ---------------------------------------------------------------- m2d3


def test_m2d3_has_the_published_sizes(make_study: Make, circor: pd.DataFrame) -> None:
    ids = pd.read_csv(LISTS / "m2d_1.csv", dtype=str)["case"]
    folds = assign(make_study({"name": "m2d3"}), circor.assign(case=ids, subject=ids), LISTS)
    assert sorted(set(folds["repeat"])) == [0, 1, 2]
    for repeat in range(3):
        case_ids = pd.read_csv(LISTS / f"m2d_{repeat + 1}.csv", dtype=str).groupby("role")["case"].agg(set)
        assert sizes(folds, repeat) == {"train": 611, "val": 95, "test": 236}
        assert sets(folds, repeat) == case_ids.to_dict()


def test_m2d3_ignores_absent_ids_and_skips_a_list_without_test_cases(make_study: Make, circor: pd.DataFrame) -> None:
    first = pd.read_csv(LISTS / "m2d_1.csv", dtype=str)
    case_ids = [*first.loc[first["role"] != "test", "case"][::2], "1"]
    cases = circor.head(len(case_ids)).assign(case=case_ids, subject=case_ids)
    study = make_study({"name": "m2d3"})
    folds = assign(study, cases, LISTS)
    assert sorted(set(folds["repeat"])) == [1, 2]
    assert folds_of_protocol(study.protocol, LISTS, set(case_ids)) == [(1, 0), (2, 0)]
    assert folds_of_protocol(study.protocol, LISTS, None) == [(0, 0), (1, 0), (2, 0)]
    assert sets(folds, 1)["unused"] == {"1"}
    assert set(folds["case"]) == set(case_ids)
    with pytest.raises(FoldError, match=r"protocol\.lists"):
        assign(make_study({"name": "m2d3", "lists": [1]}), cases, LISTS)


# ---------------------------------------------------------------- fixed and column


def test_fixed_takes_the_roles_of_the_file(make_study: Make, tmp_path: Path) -> None:
    rows = [("c000", "train"), ("c001", "test"), ("c002", "val"), ("c003", "unused")]
    protocol = {"name": "fixed", "file": write_csv(tmp_path / "roles.csv", rows)}
    folds = assign(make_study(protocol, YES_NO), simple(["yes", "no"] * 3), LISTS)
    expected = {"train": {"c000"}, "test": {"c001"}, "val": {"c002"}, "unused": {"c003", "c004", "c005"}}
    assert sets(folds) == expected


def test_fixed_draws_missing_validation_by_group(make_study: Make, tmp_path: Path) -> None:
    cases = simple(["yes", "yes", "no", "no"] * 20, [f"s{i // 2}" for i in range(80)])
    rows = [(case, "test" if i < 20 else "train") for i, case in enumerate(cases["case"])]
    protocol = {"name": "fixed", "file": write_csv(tmp_path / "roles.csv", rows), "val": 0.25}
    folds = assign(make_study(protocol, YES_NO), cases, LISTS)
    assert sizes(folds)["val"] == pytest.approx(15, abs=1)
    assert sets(folds)["test"] == set(cases["case"][:20])
    roles = folds.merge(cases, on="case").groupby("subject")["role"].nunique()
    assert (roles == 1).all()
    validation_sets = {
        frozenset(sets(assign(make_study({**protocol, "seed": s}, YES_NO), cases, LISTS))["val"]) for s in (0, 1)
    }
    assert len(validation_sets) == 2


def test_fixed_reads_repeats_and_folds(make_study: Make, tmp_path: Path) -> None:
    roles = ["train", "val", "test"]
    rows = [(r, f, f"c00{i}", role) for r, f, roles in
            [("0", "0", roles), ("0", "01", roles[::-1]), ("1", "10", roles), ("1", "2", roles[::-1])]
            for i, role in enumerate(roles)]  # fmt: skip
    study = make_study({"name": "fixed", "file": write_csv(tmp_path / "r.csv", rows, "repeat,fold,case,role")}, YES_NO)
    folds = assign(study, simple(["yes", "no"] * 2), LISTS)
    assert folds_of_protocol(study.protocol, LISTS, None) == [(0, 0), (0, 1), (1, 2), (1, 10)]
    assert list(folds.groupby(["repeat", "fold"]).groups) == [(0, 0), (0, 1), (1, 2), (1, 10)]
    assert len(folds) == 16


FULL = [("c000", "train"), ("c001", "val"), ("c002", "test")]


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([*FULL, ("c999", "train")], "case,role", "case 'c999' is not in the data set"),
        ([*FULL, ("c000", "test")], "case,role", "'c000' has two roles in fold 0 of repeat 0"),
        ([("c000", "train", "1"), ("c000", "val", "01")], "case,role,fold", "'c000' has two roles in fold 1"),
        ([*FULL, ("c003", "Test")], "case,role", "row 5: role 'Test'"),
        ([("c000", "train", "0"), ("c001", "val", "one")], "case,role,fold", "row 3: fold 'one' is not a number"),
        ([("c000", "train", "-1")], "case,role,repeat", "row 2: repeat '-1' is not a number"),
        ([("c000", 1)], "case,part", "no column 'role'"),
        ([("c000", "train")], "id,role", "no column 'case'"),
        ([], "case,role", "no rows"),
        ([("c000", "train"), ("c001", "val")], "case,role", "no test case"),
        ([("c000", "test"), ("c001", "val")], "case,role", "no train case"),
    ],
)
def test_fixed_refuses(make_study: Make, tmp_path: Path, rows: list, columns: str, message: str) -> None:
    file = write_csv(tmp_path / "roles.csv", rows, columns)
    with pytest.raises(FoldError, match=f"protocol.*{message}"):
        assign(make_study({"name": "fixed", "file": file}, YES_NO), simple(["yes", "no"] * 2), LISTS)


@pytest.mark.parametrize("content", [None, b"", b"case,role\nc000,tr\xe4in\n"])
def test_fixed_names_a_file_that_cannot_be_read(make_study: Make, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "roles.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FoldError, match=r"protocol\.file: .*roles\.csv"):
        assign(make_study({"name": "fixed", "file": str(file)}, YES_NO), simple(["yes", "no"] * 2), LISTS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("case,role\nc000,train,\nc001,test,\n", None),
        ("case, role\nc000, train\nc001, test\n", None),
        ("case,role\n\nc000,train\n,\n\nc001,tost\n", "row 6: role 'tost'"),
        ("case,role,role\nc000,train,test\n", "the column 'role' is named twice"),
        ("case,role,fold\nc000,train,99999999999999999999\n", "fold '99999999999999999999' is not a number"),
        ("case,role,fold\nc000,train,²\n", "fold '²' is not a number"),
    ],
)
def test_fixed_reads_what_spreadsheets_write(
    make_study: Make, tmp_path: Path, content: str, message: str | None
) -> None:
    (tmp_path / "roles.csv").write_text(content)
    study = make_study({"name": "fixed", "file": str(tmp_path / "roles.csv")}, YES_NO)
    if message is None:
        assert read_fixed(study.protocol)[["case", "role"]].to_numpy().tolist() == [["c000", "train"], ["c001", "test"]]
    else:
        with pytest.raises(FoldError, match=re.escape(message)):
            read_fixed(study.protocol)


@pytest.mark.parametrize(
    ("value", "message"), [("", "has no part"), (" ", "has no part"), ("10.0", "not '10'"), ("010", "not '10'")]
)
def test_column_refuses_a_value_that_would_train_silently(make_study: Make, value: str, message: str) -> None:
    cases = simple(["yes", "no"] * 10, part=[*(str(1 + i % 10) for i in range(19)), value])
    with pytest.raises(FoldError, match=f"protocol.column: case 'c019' .*{message}"):
        assign(make_study({"name": "column", "column": "part", "test": ["10"]}, YES_NO), cases, LISTS)


def test_column_takes_the_roles_of_its_values(make_study: Make) -> None:
    cases = simple(["yes", "no"] * 10, strat_fold=[str(1 + i % 10) for i in range(20)])
    protocol = {"name": "column", "column": "strat_fold", "val": ["8", "9"], "test": ["10"]}
    folds = assign(make_study(protocol, YES_NO), cases, LISTS)
    assert sizes(folds) == {"train": 14, "val": 4, "test": 2}
    assert sets(folds)["test"] == {"c009", "c019"}
    assert sets(folds)["val"] == {"c007", "c008", "c017", "c018"}


def test_column_draws_validation_by_group_where_no_value_validates(make_study: Make) -> None:
    split = ["test" if i % 4 == 3 else "train" for i in range(40)]
    cases = simple(["yes", "no"] * 20, subjects=[f"s{i // 4}" for i in range(40)], official=split)
    protocol = {"name": "column", "column": "official", "test": ["test"], "draw": 0.2}
    folds = assign(make_study(protocol, YES_NO), cases, LISTS)
    assert sizes(folds) == {"train": 24, "val": 6, "test": 10}
    subject_of_case = cases.set_index("case")["subject"]
    assert not set(subject_of_case[list(sets(folds)["val"])]) & set(subject_of_case[list(sets(folds)["train"])])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"column": "fold"}, r"protocol\.column: .*'fold'"),
        ({"val": ["9", "11"]}, r"protocol\.val: no case has strat_fold '11'"),
        ({"test": ["x"]}, r"protocol\.test: no case has strat_fold 'x'"),
        ({"val": ["0", "1"], "test": ["2"]}, r"protocol: column gives .* no train case"),
    ],
)
def test_column_refuses(make_study: Make, change: dict, message: str) -> None:
    cases = simple(["yes", "no"] * 6, strat_fold=["9", "10", "8"] * 4)
    if "0" in change.get("val", []):
        cases["strat_fold"] = ["0", "1", "2"] * 4
    protocol = {"name": "column", "column": "strat_fold", "val": ["9"], "test": ["10"], **change}
    with pytest.raises(FoldError, match=message):
        assign(make_study(protocol, YES_NO), cases, LISTS)


# ---------------------------------------------------------------- all of them


def _protocols(folder: Path, cases: pd.DataFrame) -> dict[str, dict]:
    roles = np.resize(["train", "train", "test"], len(cases))
    rows = [
        (fold, case, role)
        for fold in (0, 3)
        for case, role in zip(cases["case"], np.roll(roles, fold // 3), strict=True)
    ]
    return {
        "group_cv": {"name": "group_cv", "folds": 3, "repeats": 2},
        "cv10": {"name": "cv10"},
        "walker": {"name": "walker", "seeds": [42, 1]},
        "m2d3": {"name": "m2d3", "lists": [3, 1]},
        "fixed": {"name": "fixed", "file": write_csv(folder / "roles.csv", rows, "fold,case,role")},
        "column": {"name": "column", "column": "part", "val": ["Normal"], "test": ["Abnormal"]},
    }


@pytest.mark.parametrize("name", ["group_cv", "cv10", "walker", "m2d3", "fixed", "column"])
def test_folds_are_those_planned_and_the_order_of_rows_is_irrelevant(
    make_study: Make, circor: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    ids = pd.read_csv(LISTS / "m2d_1.csv", dtype=str)["case"]
    cases = circor.assign(case=ids, subject=ids)
    cases.loc[::3, "outcome"] = ""
    cases["part"] = np.resize(["Normal", "Abnormal", "rest", "rest"], len(cases))
    study = make_study(_protocols(tmp_path, cases)[name])
    folds = assign(study, cases, LISTS)
    assert list(folds.columns) == ["repeat", "fold", "case", "role"]
    pairs = list(folds.groupby(["repeat", "fold"]).groups)
    assert sorted(folds_of_protocol(study.protocol, LISTS, set(ids))) == pairs
    assert not folds.duplicated(["repeat", "fold", "case"]).any()
    assert len(folds) == len(pairs) * len(cases)
    shuffled_folds = assign(study, cases.sample(frac=1, random_state=1), LISTS)
    pd.testing.assert_frame_equal(shuffled_folds, folds)


def test_labels_are_checked_before_folds_are_made(make_study: Make) -> None:
    study = make_study({"name": "group_cv", "folds": 2}, YES_NO)
    with pytest.raises(FoldError, match=r"case 'c001': sound is 'maybe'"):
        assign(study, simple(["yes", "maybe", "no", ""]), LISTS)
    with pytest.raises(FoldError, match="no label column 'sound'"):
        assign(study, simple(["yes"] * 4).drop(columns="sound"), LISTS)


@pytest.mark.parametrize(
    ("head", "values", "message"),
    [
        ({}, None, r"train_on\.column: the recordings have no column 'heard'; they have recording, case"),
        ({}, ["yes", ""], r"train_on: the column heard has none of \['audible'\]; its values are \['yes'\]"),
        (
            {"kind": "multiclass", "positive": [], "classes": ["audible", "silent"], "train_on": {"column": "heard"}},
            ["audible", "loud"],
            r"train_on: the column heard has the value 'loud', not one of the classes \['audible', 'silent'\]",
        ),
    ],
)
def test_recording_labels_that_no_head_can_be_trained_on(murmur_study, head, values, message) -> None:
    default_head = {
        "label": "murmur",
        "positive": ["Present"],
        "train_on": {"column": "heard", "positive": ["audible"]},
    }
    study = murmur_study()
    study.tasks["present"].heads["present"] = Head.model_validate({**default_head, **head})
    recordings = pd.DataFrame({"recording": ["a", "b"], "case": "a"})
    if values:
        recordings["heard"] = values
    with pytest.raises(FoldError, match=f"^tasks.present.heads.present.{message}"):
        check_recording_labels(study.tasks, recordings)
    check_recording_labels(study.tasks, recordings.assign(heard=["audible", "silent"]))


def test_stratification_is_by_all_targets_unless_the_protocol_names_columns(make_study: Make) -> None:
    study = make_study({"name": "group_cv"})
    assert stratify_labels(study.protocol, study.targets) == ["murmur", "outcome"]
    study = make_study({"name": "group_cv", "stratify": ["campaign"]})
    assert stratify_labels(study.protocol, study.targets) == ["campaign"]


def test_the_error_of_a_splitter_names_the_key_that_there_is(make_study: Make) -> None:
    cases = simple(["yes"] * 9 + ["no"] * 9)
    study = make_study({"name": "cv10", "stratified": True}, YES_NO)
    with pytest.raises(FoldError, match=r"^protocol\.name: cv10: "):
        assign(study, cases, LISTS)


@pytest.mark.parametrize("column", ["age", "weight"])
@pytest.mark.parametrize("key", ["group", "column"])
def test_a_covariate_is_no_group_and_no_column_of_roles(make_study: Make, key: str, column: str) -> None:
    cases = simple(["yes", "no"] * 6).assign(**{column: [float("nan"), *map(float, range(11))]})
    protocol = (
        {"name": "column", "column": column, "test": ["3.0"]}
        if key == "column"
        else {"name": "group_cv", "group": column}
    )
    with pytest.raises(FoldError, match=f"protocol.{key}: '{column}' is a covariate"):
        assign(make_study(protocol, YES_NO), cases, LISTS)


def test_cases_are_stratified_by_a_covariate_that_some_lack(make_study: Make) -> None:
    cases = simple(["yes", "no"] * 6).assign(old=[float("nan"), 0.0, 1.0] * 4)
    assert len(assign(make_study({"name": "group_cv", "folds": 2, "stratify": ["old"]}, YES_NO), cases, LISTS)) == 24


@pytest.mark.parametrize("header", ["FOLD,Case,role", "Fold,case,Role", "Repeat,fold,CASE,role"])
def test_fixed_reads_columns_in_any_case(make_study: Make, tmp_path: Path, header: str) -> None:
    of_fold = [("c000", "train"), ("c001", "test"), ("c002", "val"), ("c003", "train")]
    prefix = (0, 1) if header.startswith("Repeat") else (1,)
    path = write_csv(tmp_path / "roles.csv", [(*prefix, *row) for row in [*of_fold, of_fold[1]]], header)
    folds = assign(make_study({"name": "fixed", "file": path}, YES_NO), simple(["yes", "no"] * 2), LISTS)
    assert set(folds["fold"]) == {1} and len(folds) == 4


@pytest.mark.parametrize("column", ["folds", "Fold_ID", "fold no"])
def test_fixed_refuses_a_column_that_may_be_meant(make_study: Make, tmp_path: Path, column: str) -> None:
    path = write_csv(tmp_path / "roles.csv", [(0, "c000", "train"), (1, "c001", "test")], f"{column},case,role")
    with pytest.raises(FoldError, match=f"no column 'fold', but '{column}': is 'fold' meant"):
        assign(make_study({"name": "fixed", "file": path}, YES_NO), simple(["yes", "no"] * 2), LISTS)


@pytest.mark.parametrize("digits", [5, 19, 25])
@pytest.mark.parametrize("name", ["cv10", "walker"])
def test_ids_of_any_number_of_digits_are_in_numerical_order(make_study: Make, name: str, digits: int) -> None:
    cases = simple(["yes", "no"] * 30)
    numbers = [str(10**digits + 37 * number) for number in range(len(cases))]
    cases["case"] = cases["subject"] = numbers
    study = make_study({"name": name}, YES_NO)
    first = assign(study, cases, LISTS)
    cases["case"] = cases["subject"] = [str(number) for number in range(len(cases))]
    second = assign(study, cases, LISTS)
    order = dict(zip(numbers, map(str, range(len(numbers))), strict=True))
    keys = ["repeat", "fold", "case"]
    first, second = (
        table.sort_values(keys, ignore_index=True) for table in (first.assign(case=first["case"].map(order)), second)
    )
    pd.testing.assert_frame_equal(first, second)
