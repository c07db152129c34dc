"""Cases worth hearing: against a selection written differently, on random predictions."""

import numpy as np
import pandas as pd
import pytest

from auscult.listening.cases import EACH, ListeningError, chosen_cases

CLASSES = ["Present", "Unknown", "Absent"]
EVERY = {"a", "b", "c", *(f"c{k:02d}" for k in range(40))}


def predictions(seed: int, n: int = 40, repeats: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    tables = []
    for repeat in range(repeats):
        p = rng.dirichlet([1, 1, 1], n)
        table = pd.DataFrame({"case": [f"c{k:02d}" for k in rng.permutation(n)], "repeat": repeat})
        table[[f"p_{name}" for name in CLASSES]] = p
        table["prediction"] = np.array(CLASSES)[p.argmax(axis=1)]
        table["label"] = rng.choice([*CLASSES, ""], n)
        table["uncertainty"] = -(p * np.log(p)).sum(axis=1)
        tables.append(table.assign(target="murmur"))
    table = pd.concat(tables, ignore_index=True)
    return pd.concat([table.assign(system="chosen"), table.assign(system="small", prediction="Absent")])


@pytest.mark.parametrize("seed", range(10))
def test_errors_detections_and_the_least_sure(murmur_study, seed):
    table = predictions(seed)
    found = chosen_cases(murmur_study().targets, table, [], EVERY)
    rows = [row for row in table[table["system"] == "chosen"].to_dict("records") if row["label"]]
    for name in CLASSES:
        for reason, wanted, sign in (("miss", False, 1), ("hit", True, -1)):
            of_kind = [row for row in rows if row["label"] == name and (row["prediction"] == name) is wanted]
            expected = [row["case"] for row in sorted(of_kind, key=lambda row: sign * row[f"p_{name}"])[:EACH]]
            of_reason = found[(found["reason"] == reason) & (found["of_class"] == name)]
            assert of_reason["case"].tolist() == expected
    unsure = sorted(rows, key=lambda row: -row["uncertainty"])[:EACH]
    assert found.loc[found["reason"] == "unsure", "case"].tolist() == [row["case"] for row in unsure]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_table_and_later_repeats_do_not_matter(murmur_study, seed):
    targets, table = murmur_study().targets, predictions(seed, repeats=2)
    found = chosen_cases(targets, table, ["c03"], EVERY)
    pd.testing.assert_frame_equal(found, chosen_cases(targets, table.sample(frac=1, random_state=seed), ["c03"], EVERY))
    pd.testing.assert_frame_equal(found, chosen_cases(targets, table[table["repeat"] == 0], ["c03"], EVERY))


def test_cases_that_are_asked_for_come_first(murmur_study):
    found = chosen_cases(murmur_study().targets, predictions(0), ["c07", "c39"], EVERY)
    assert found["case"].tolist()[:2] == ["c07", "c39"] and (found["reason"].iloc[:2] == "asked").all()
    with pytest.raises(ListeningError, match="cases: there is no test case 'c99' in this study"):
        chosen_cases(murmur_study().targets, predictions(0), ["c07", "c99"], EVERY)


def test_cases_with_several_classes(rhythm_study):
    table = pd.DataFrame(
        {"case": ["a", "b", "c"], "label": ["af|pvc", "af", "lbbb"], "prediction": ["af", "pvc", "lbbb|pvc"]}
    ).assign(target="rhythm", system="chosen", repeat=0, uncertainty=[0.1, 0.2, 0.3], p_af=0.5, p_lbbb=0.5, p_pvc=0.5)
    found = chosen_cases(rhythm_study().targets if callable(rhythm_study) else rhythm_study.targets, table, [], EVERY)
    pairs = set(zip(found["case"], found["reason"], found["of_class"], strict=True))
    assert {("a", "hit", "af"), ("a", "miss", "pvc"), ("b", "miss", "af"), ("c", "hit", "lbbb")} <= pairs


@pytest.mark.parametrize("labels", ["", "Absent"])
def test_one_class_or_no_labels(murmur_study, labels):
    found = chosen_cases(murmur_study().targets, predictions(1).assign(label=labels), [], EVERY)
    assert found.empty if not labels else set(found["of_class"]) == {"Absent", ""}


@pytest.mark.parametrize("seed", range(3))
def test_cases_without_a_recording_only_where_asked_for(murmur_study, seed):
    table = predictions(seed)
    silent = set(np.random.default_rng(seed).choice(sorted(set(table["case"])), 20, replace=False))
    found = chosen_cases(murmur_study().targets, table, sorted(silent)[:1], EVERY - silent)
    assert set(found.loc[found["reason"] != "asked", "case"]).isdisjoint(silent)
    assert found.loc[found["reason"] == "asked", "case"].tolist() == sorted(silent)[:1]


def test_a_case_of_a_later_repeat_can_be_asked_for(murmur_study):
    table = predictions(0, repeats=2)
    table = table[(table["case"] != "c11") | (table["repeat"] == 1)]
    found = chosen_cases(murmur_study().targets, table, ["c11"], EVERY)
    assert found.loc[found["reason"] == "asked", "case"].tolist() == ["c11"]
