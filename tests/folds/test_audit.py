"""The audit: every leak between two roles is found and counted, and stops a study that does not allow leaks."""

import os
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auscult.config.study import Study
from auscult.datasets import circor
from auscult.datasets.base import Columns, Manifest
from auscult.datasets.build import build
from auscult.folds.audit import COLUMNS, LeakError
from auscult.folds.planned import FoldError
from auscult.result_tables import read_rows
from tests.folds.studies import assign, audit, leaks, mark, refuse_leaks

LISTS = Path(__file__).resolve().parents[2] / "resources" / "splits"
YES_NO = {"sound": ["yes", "no"]}
ROLES = ["train"] * 4 + ["val"] * 4 + ["test"] * 4 + ["unused"] * 2
CASES = [f"c{i:02d}" for i in range(len(ROLES))]
FIRST = {"train": 0, "val": 4, "test": 8, "unused": 12}
NAN = float("nan")
PAIRS = list(combinations(["train", "val", "test"], 2))

Make = Callable[..., Study]
ANYWHERE = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def study(make_study: Make) -> Study:
    return make_study({"name": "group_cv"}, YES_NO)


def clean(**columns: list[str]) -> Manifest:
    """14 cases that share nothing, with two recordings each; `columns` are further group columns."""
    cases = pd.DataFrame({"case": CASES, "subject": [f"s{c}" for c in CASES], "sound": ["yes", "no"] * 7, **columns})
    recordings = pd.DataFrame(
        [(f"{case}_{i}", case, f"hash-{case}-{i}", f"{case}_{i}.wav", NAN, NAN) for case in CASES for i in range(2)],
        columns=["recording", "case", "sha256", "path", "onset_s", "offset_s"],
    )
    return Manifest(cases, recordings, pd.DataFrame(), Columns(groups=list(columns), labels=["sound"]))


def table(repeat: int = 0, fold: int = 0, roles: list[str] = ROLES) -> pd.DataFrame:
    return pd.DataFrame({"repeat": repeat, "fold": fold, "case": CASES, "role": roles})


def set_subject(manifest: Manifest, case: str, subject: str) -> None:
    manifest.cases.loc[manifest.cases["case"] == case, "subject"] = subject


def rows(findings: pd.DataFrame) -> list[tuple]:
    return [tuple(row) for row in findings.itertuples(index=False)]


def test_clean_folds_have_no_finding(study: Study) -> None:
    findings = audit(study, clean(), table())
    assert list(findings.columns) == COLUMNS
    assert findings.empty
    assert mark(study, findings) == ""
    refuse_leaks(study, findings)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_twins_across_two_roles_are_found(study: Study, first: str, second: str) -> None:
    manifest = clean()
    a, b = FIRST[first], FIRST[second]
    set_subject(manifest, CASES[b], f"s{CASES[a]}")
    set_subject(manifest, CASES[b + 2], f"s{CASES[a + 1]}")
    set_subject(manifest, CASES[a + 2], f"s{CASES[a]}")  # a third of the first pair, in the first role
    findings = audit(study, manifest, table(1, 3))
    assert rows(findings) == [(1, 3, "shared_subject", f"{first}+{second}", 2, f"{CASES[b]} {CASES[b + 2]}")]


def copies_of(*pairs: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["recording", "other", "kind"])


@ANYWHERE
@given(
    st.sampled_from(PAIRS),
    st.sampled_from(["identical", "near_identical"]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.randoms(),
)
def test_copies_across_two_roles_are_found_whichever_recordings_they_are(study, roles, kind, a, b, random):
    first, second = (CASES[FIRST[role] + number] for role, number in zip(roles, (a, b), strict=True))
    pair = [f"{first}_{random.randrange(2)}", f"{second}_{random.randrange(2)}"]
    random.shuffle(pair)
    findings = audit(study, clean(), table(), copies_of((*pair, kind)))
    assert rows(findings) == [(0, 0, f"{kind}_audio", "+".join(roles), 1, second)]
    with pytest.raises(LeakError, match=f"{kind}_audio"):
        refuse_leaks(study, findings)


def test_a_copy_of_a_copy_is_a_copy_and_one_within_a_role_is_no_finding(study: Study) -> None:
    chain = copies_of(("c00_0", "c12_0", "near_identical"), ("c08_1", "c12_0", "near_identical"))  # c12 is unused
    assert rows(audit(study, clean(), table(), chain)) == [(0, 0, "near_identical_audio", "train+test", 1, "c08")]
    assert audit(study, clean(), table(), copies_of(("c00_0", "c01_1", "identical"))).empty


@ANYWHERE
@given(st.sampled_from(PAIRS), st.floats(0, 10), st.floats(0.1, 5), st.floats(0, 10), st.floats(0.1, 5), st.booleans())
def test_intervals_of_one_file_leak_where_they_overlap(study, roles, start_a, length_a, start_b, length_b, is_dotted):
    first, second = (CASES[FIRST[role]] for role in roles)
    manifest = clean()
    for case, start, length, path in (
        (first, start_a, length_a, "audio/day.wav"),
        (second, start_b, length_b, "./audio/day.wav" if is_dotted else "audio/day.wav"),
    ):
        row = manifest.recordings["recording"] == f"{case}_0"
        manifest.recordings.loc[row, ["path", "onset_s", "offset_s"]] = [path, start, start + length]
    overlap = start_a < start_b + length_b and start_b < start_a + length_a
    findings = audit(study, manifest, table())
    finding = "overlapping_intervals" if overlap else "shared_file"
    assert rows(findings) == [(0, 0, finding, "+".join(roles), 1, second)]
    if overlap:
        with pytest.raises(LeakError, match=finding):
            refuse_leaks(study, findings)
    else:
        refuse_leaks(study, findings)


def test_a_complete_file_overlaps_every_interval_of_it(study: Study) -> None:
    manifest = clean()
    manifest.recordings.loc[manifest.recordings["recording"].isin(["c00_0", "c09_1"]), "path"] = "day.wav"
    manifest.recordings.loc[manifest.recordings["recording"] == "c09_1", ["onset_s", "offset_s"]] = [7.0, 8.0]
    assert rows(audit(study, manifest, table())) == [(0, 0, "overlapping_intervals", "train+test", 1, "c09")]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_identical_audio_across_two_roles_is_found(study: Study, first: str, second: str) -> None:
    manifest = clean()
    a, b = CASES[FIRST[first]], CASES[FIRST[second] + 1]
    hashes = manifest.recordings.set_index("recording")["sha256"]
    manifest.recordings.loc[manifest.recordings["case"] == b, "sha256"] = [hashes[f"{a}_1"], "another"]
    findings = audit(study, manifest, table())
    assert rows(findings) == [(0, 0, "identical_audio", f"{first}+{second}", 1, b)]
    assert mark(study, findings) == f"identical_audio {first}+{second}: 1"
    with pytest.raises(LeakError, match="identical_audio"):
        refuse_leaks(study, findings)


def test_a_subject_in_three_roles_is_found_in_every_pair(study: Study) -> None:
    manifest = clean()
    for case in ("c04", "c05", "c08"):
        set_subject(manifest, case, "sc00")
    findings = audit(study, manifest, table()).set_index("roles")
    assert findings["count"].to_dict() == {"train+val": 2, "train+test": 1, "val+test": 1}
    assert findings["ids"].to_dict() == {"train+val": "c04 c05", "train+test": "c08", "val+test": "c08"}


def test_folds_are_audited_each_by_itself(study: Study) -> None:
    manifest = clean()
    set_subject(manifest, "c08", "sc00")
    folds = pd.concat([table(0, 0), table(0, 1, ROLES[8:12] + ROLES[4:8] + ROLES[:4] + ROLES[12:]), table(1, 0)])
    findings = audit(study, manifest, folds)
    assert [row[:3] + row[4:] for row in rows(findings)] == [
        (0, 0, "shared_subject", 1, "c08"),
        (0, 1, "shared_subject", 1, "c00"),
        (1, 0, "shared_subject", 1, "c08"),
    ]
    assert mark(study, findings) == "shared_subject train+test: 3"


def test_unused_cases_and_one_role_share_nothing(study: Study) -> None:
    manifest = clean()
    set_subject(manifest, "c12", "sc00")
    set_subject(manifest, "c13", "sc08")
    set_subject(manifest, "c01", "sc00")
    manifest.recordings.loc[manifest.recordings["case"].isin(["c12", "c00"]), "sha256"] = "same"
    assert audit(study, manifest, table()).empty


def test_cases_without_recordings_are_no_trouble(study: Study) -> None:
    manifest = clean()
    set_subject(manifest, "c08", "sc00")
    few = manifest.recordings[~manifest.recordings["case"].isin(["c00", "c08"])]
    assert len(audit(study, Manifest(manifest.cases, few, manifest.quality, manifest.columns), table())) == 1


def test_other_groups_are_counted_and_leak_only_if_the_protocol_groups_by_them(make_study: Make, study: Study) -> None:
    days = [f"d{i}" for i in range(len(CASES))]
    days[9] = days[10] = days[0]
    days[1] = days[5] = ""  # unknown: not the same day
    manifest = clean(day=days)
    findings = audit(study, manifest, table())
    assert rows(findings) == [(0, 0, "shared_day", "train+test", 2, "c09 c10")]
    assert leaks(study, findings).empty
    assert mark(study, findings) == ""
    refuse_leaks(study, findings)
    by_day = make_study({"name": "group_cv", "group": "day"}, YES_NO)
    assert mark(by_day, findings) == "shared_day train+test: 2"
    with pytest.raises(LeakError, match="shared_day train"):
        refuse_leaks(by_day, findings)
    set_subject(manifest, "c08", "sc00")  # a shared subject is a leak, whatever the protocol's group is
    assert "shared_subject train+test: 1" in mark(by_day, audit(by_day, manifest, table()))


def test_refuse_leaks_lists_every_leak_unless_the_study_allows_it(make_study: Make, study: Study) -> None:
    manifest = clean()
    set_subject(manifest, "c08", "sc00")
    set_subject(manifest, "c05", "sc00")
    findings = audit(study, manifest, pd.concat([table(0, 0), table(2, 1)]))
    with pytest.raises(LeakError) as caught:
        refuse_leaks(study, findings)
    text = str(caught.value)
    assert text.count("\n  repeat") == len(findings) == 6
    assert "repeat 2 fold 1: shared_subject train+test: 1 cases (c08)" in text
    assert "group_cv" in text
    assert "leak: {allow: true, because:" in text
    allowed = make_study({"name": "group_cv"}, YES_NO, leak={"allow": True, "because": "to compare"})
    refuse_leaks(allowed, findings)
    expected = "shared_subject train+test: 2; shared_subject train+val: 2; shared_subject val+test: 2"
    assert mark(allowed, findings) == expected


@pytest.mark.parametrize(
    ("finding", "advice"),
    [
        ("shared_subject", "use the protocol group_cv"),
        ("identical_audio", "give the copies of a recording"),
        ("near_identical_audio", "give the copies of a recording"),
        ("overlapping_intervals", "give the cases of one file one subject"),
        ("weights_heard", "start from weights that"),
    ],
)
def test_the_error_says_what_to_do_about_this_leak(study: Study, finding: str, advice: str) -> None:
    findings = pd.DataFrame([(0, 0, finding, "train+test", 1, "c1")], columns=COLUMNS)
    with pytest.raises(LeakError) as caught:
        refuse_leaks(study, findings)
    text = str(caught.value).partition("To do: ")[2]
    assert text.startswith(advice) and text.count("; ") == 1  # the other way is to allow it


def test_unknown_subjects_get_one_row(study: Study, tmp_path: Path) -> None:
    clean_manifest = clean()
    set_subject(clean_manifest, "c08", "sc00")
    manifest = Manifest(
        clean_manifest.cases,
        clean_manifest.recordings,
        clean_manifest.quality,
        clean_manifest.columns,
        subjects_known=False,
    )
    findings = audit(study, manifest, pd.concat([table(0, 0), table(0, 1)]))
    assert findings["finding"].tolist() == ["shared_subject", "shared_subject", "subjects_unknown"]
    assert findings.iloc[-1].tolist() == ["", "", "subjects_unknown", "", len(CASES), ""]
    expected = "subjects unknown; shared_subject train+test: 2"
    assert mark(study, findings) == expected
    findings.to_csv(tmp_path / "audit.csv", index=False)
    assert mark(study, pd.read_csv(tmp_path / "audit.csv")) == expected
    alone = Manifest(
        clean().cases, clean_manifest.recordings, clean_manifest.quality, clean_manifest.columns, subjects_known=False
    )
    findings = audit(study, alone, table())
    assert mark(study, findings) == "subjects unknown"
    refuse_leaks(study, findings)


@pytest.mark.parametrize(
    ("protocol", "key"),
    [
        ({"name": "group_cv"}, r"protocol\.folds .*protocol\.val.*protocol\.seed"),
        ({"name": "walker"}, r"protocol\.seeds"),
        ({"name": "m2d3"}, r"protocol\.lists"),
        ({"name": "column", "column": "day", "val": ["1"], "test": ["2"]}, r"protocol\.val or protocol\.test"),
    ],
)
def test_a_class_without_training_case_stops_naming_keys(make_study: Make, protocol: dict, key: str) -> None:
    manifest = clean()
    manifest.cases.loc[:3, "sound"] = ["no", "no", "", "no"]
    with pytest.raises(FoldError, match=f"fold 2 of repeat 0: no training case is sound=yes; .*{key}.* targets"):
        audit(make_study(protocol, YES_NO), manifest, table(0, 2))


@pytest.mark.parametrize("role", ["val", "test"])
def test_a_class_without_validation_or_test_case_is_counted(make_study: Make, role: str) -> None:
    manifest = clean()
    targets = {"sound": ["yes", "no"], "phase": ["in", "out", "pause"]}
    manifest.cases["phase"] = ["in", "out", "pause", ""] * 3 + ["in"] * 2
    three_cases = slice(FIRST[role], FIRST[role] + 3)
    manifest.cases.loc[three_cases, "sound"] = "no"
    manifest.cases.loc[three_cases, "phase"] = "out"
    study = make_study({"name": "group_cv"}, targets)
    manifest.cases.loc[FIRST[role] + 3, "sound"] = ""
    findings = audit(study, manifest, table())
    assert rows(findings) == [(0, 0, "class_absent", role, 3, "sound=yes phase=in phase=pause")]
    assert mark(study, findings) == ""
    refuse_leaks(study, findings)


def test_classes_of_a_multilabel_target_are_looked_for_one_by_one(make_study: Make) -> None:
    manifest = clean()
    manifest.cases["sound"] = ["AF|PVC", "", "SR", "AF"] + ["AF|SR", "SR|PVC"] * 2 + ["AF|SR"] * 6
    study = make_study({"name": "group_cv"}, {"sound": ["SR", "AF", "PVC"]}, kind="multilabel")
    assert rows(audit(study, manifest, table())) == [(0, 0, "class_absent", "test", 1, "sound=PVC")]


def test_the_order_of_rows_is_irrelevant(study: Study) -> None:
    manifest = clean(day=["a", "b"] * 7)
    set_subject(manifest, "c08", "sc00")
    set_subject(manifest, "c11", "sc05")
    set_subject(manifest, "c10", "sc05")
    manifest.recordings.loc[[0, 9, 18, 22], "sha256"] = "same"
    folds = pd.concat([table(0, 0), table(0, 1), table(1, 0)])
    findings = audit(study, manifest, folds)
    assert set(findings["finding"]) == {"shared_subject", "identical_audio", "shared_day"}
    for seed in range(3):
        cases, recordings, shuffled = (
            part.sample(frac=1, random_state=seed) for part in (manifest.cases, manifest.recordings, folds)
        )
        again = audit(study, Manifest(cases, recordings, manifest.quality, manifest.columns), shuffled)
        pd.testing.assert_frame_equal(again, findings)


@pytest.mark.real
@pytest.mark.skipif(not os.environ.get("AUSCULT_REAL_DATA"), reason="AUSCULT_REAL_DATA is not set")
def test_published_lists_leak_on_the_real_patients(make_study: Make) -> None:
    root = Path(os.environ["AUSCULT_REAL_DATA"])
    manifest = build(circor.ingest(root, circor.Options()), root, "mean", 4.0, workers=2)
    if len(manifest.cases) != 501:
        pytest.skip(f"{len(manifest.cases)} patients, not the 501 that the counts are of")
    study = make_study({"name": "m2d3"})
    folds = assign(study, manifest.cases, LISTS)
    assert sorted(set(folds["repeat"])) == [1, 2]  # list 1 has no test case here
    findings = audit(study, manifest, folds)
    shared = findings[(findings["finding"] == "shared_subject") & (findings["roles"] == "train+test")]
    assert shared.set_index("repeat")["count"].to_dict() == {1: 14, 2: 6}
    assert (shared["ids"].str.split().str.len() == shared["count"]).all()
    assert "identical_audio" not in set(findings["finding"])
    with pytest.raises(LeakError, match="shared_subject train"):
        refuse_leaks(study, findings)
    grouped = make_study({"name": "group_cv", "folds": 5})
    findings = audit(grouped, manifest, assign(grouped, manifest.cases, LISTS))
    assert mark(grouped, findings) == ""


@ANYWHERE
@given(st.sampled_from(PAIRS), st.randoms(), st.booleans())
def test_copies_are_found_whatever_recordings_are_called(tmp_path, study, roles, random, are_numbers):
    """The table of copies goes through its file: ids that are numbers alone, with or without zeros, stay texts."""
    manifest, numbers = clean(), random.sample(range(1000), 2 * len(CASES))
    names = [f"{number:03}" if are_numbers else str(number) for number in numbers]
    manifest.recordings["recording"] = names
    first, second = (names[2 * FIRST[role] + random.randrange(2)] for role in roles)
    copies_of((first, second, "near_identical")).to_csv(tmp_path / "copies.csv", index=False)
    findings = audit(study, manifest, table(), read_rows(tmp_path / "copies.csv"))
    assert rows(findings) == [(0, 0, "near_identical_audio", "+".join(roles), 1, CASES[FIRST[roles[1]]])]


def test_a_copy_that_the_data_set_does_not_have_is_no_silent_loss(study):
    with pytest.raises(FoldError, match=r"copies\.csv names a recording"):
        audit(study, clean(), table(), copies_of(("c00_0", "gone", "identical")))
