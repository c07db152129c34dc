"""Covariates of a manifest like that of CirCor, computed by hand; columns that must not be among them."""

import numpy as np
import pandas as pd
import pytest

from auscult.datasets import circor
from auscult.datasets.base import Columns, Manifest
from auscult.features.covariates import DOCUMENTED, covariates, site_names

NAN = float("nan")
MEASURED = ["bmi", "body_surface_area"]
SITES = ["site_AV", "site_MV", "site_PV", "site_Phc", "site_TV"]
EIGHTEEN = [*circor.COVARIATES, *MEASURED, "seconds", "recordings", "sites", *SITES, "seconds_per_recording", "repeats"]
# age_months, female, male, height_cm, weight_kg, pregnant
PEOPLE = {
    "2530": [72.0, 1.0, 0.0, 100.0, 16.0, 0.0],
    "9979": [NAN, 0.0, 1.0, NAN, 30.0, 0.0],
    "9983": [180.0, 1.0, 0.0, 160.0, NAN, 1.0],
    "13918": [0.5, 0.0, 1.0, 50.0, 4.5, NAN],
}
# recording: case, site, seconds
HEARD = {
    "2530_AV": ("2530", "AV", 10.0),
    "2530_MV_1": ("2530", "MV", 20.0),
    "2530_MV_2": ("2530", "MV", 6.5),
    "2530_PV": ("2530", "PV", 8.0),
    "9979_TV": ("9979", "TV", 5.25),
    "9983_Phc": ("9983", "Phc", 30.0),
    "9983_AV": ("9983", "AV", 12.0),
}


@pytest.fixture
def manifest() -> Manifest:
    cases = pd.DataFrame.from_dict(PEOPLE, orient="index", columns=circor.COVARIATES).rename_axis("case").reset_index()
    labels = {label: [f"{label}-{i}" for i in range(len(cases))] for label in circor.LABELS}
    cases = cases.assign(subject=[f"s{case}" for case in cases["case"]], day=["1", "2", "1", "2"], **labels)
    recordings = pd.DataFrame(
        [
            {"recording": name, "case": case, "subject": f"s{case}", "site": site, "rate_hz": rate, "frames": s * rate}
            for (name, (case, site, s)), rate in zip(HEARD.items(), [4000, 2000] * 4, strict=False)
        ]
    ).assign(murmur_audible="audible")
    columns = Columns(["day"], circor.LABELS, circor.COVARIATES, ["murmur_audible"])
    return Manifest(cases, recordings, pd.DataFrame(), columns)


def with_tables(manifest: Manifest, cases: pd.DataFrame, recordings: pd.DataFrame | None = None) -> Manifest:
    return Manifest(
        cases, manifest.recordings if recordings is None else recordings, manifest.quality, manifest.columns
    )


def test_circor_has_eighteen(manifest: Manifest) -> None:
    table = covariates(manifest)
    assert list(table.columns) == EIGHTEEN
    assert len(EIGHTEEN) == 18
    assert (table.dtypes == np.float64).all()
    assert sorted(table.index) == sorted(PEOPLE)


def test_values_computed_by_hand(manifest: Manifest) -> None:
    table = covariates(manifest)
    expected = {
        # persons, BMI, m², seconds, recordings, sites, AV, MV, PV, Phc, TV, mean seconds, repeats
        "2530": [*PEOPLE["2530"], 16.0, 2 / 3, 44.5, 4, 3, 1, 1, 1, 0, 0, 11.125, 1],
        "9979": [*PEOPLE["9979"], NAN, NAN, 5.25, 1, 1, 0, 0, 0, 0, 1, 5.25, 0],
        "9983": [*PEOPLE["9983"], NAN, NAN, 42.0, 2, 2, 1, 0, 0, 1, 0, 21.0, 0],
        "13918": [*PEOPLE["13918"], 18.0, 0.25, 0, 0, 0, 0, 0, 0, 0, 0, NAN, 0],
    }
    for case, values in expected.items():
        np.testing.assert_allclose(table.loc[case], values, rtol=1e-12)


def test_mosteller() -> None:
    """170 cm and 70 kg: the formula's usual example is 1.82 m²."""
    people = pd.DataFrame({"case": ["a"], "subject": ["a"], "height_cm": [170.0], "weight_kg": [70.0]})
    recordings = pd.DataFrame(columns=["recording", "case", "site", "rate_hz", "frames"])
    table = covariates(Manifest(people, recordings, pd.DataFrame(), Columns(covariates=["height_cm", "weight_kg"])))
    assert table.at["a", "body_surface_area"] == pytest.approx(1.818, abs=1e-3)
    assert table.at["a", "bmi"] == pytest.approx(24.22, abs=5e-3)


@pytest.mark.parametrize("column", ["height_cm", "weight_kg"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_impossible_sizes_give_no_index(manifest: Manifest, column: str, value: float) -> None:
    table = covariates(with_tables(manifest, manifest.cases.assign(**{column: value})))
    assert table[MEASURED].isna().all(axis=None)
    assert (table[column] == value).all()


def test_no_label_group_or_id_is_among_them(manifest: Manifest) -> None:
    table = covariates(manifest)
    forbidden = {"case", "subject", "day", "recording", "murmur_audible", "campaign", *circor.LABELS}
    assert not forbidden & set(table.columns)
    changed = manifest.cases.assign(**dict.fromkeys(["subject", "day", *circor.LABELS], "changed"))
    pd.testing.assert_frame_equal(covariates(with_tables(manifest, changed)), table)


def test_the_order_of_rows_is_irrelevant(manifest: Manifest) -> None:
    table = covariates(manifest)
    cases, recordings = (part.sample(frac=1, random_state=3) for part in (manifest.cases, manifest.recordings))
    pd.testing.assert_frame_equal(covariates(with_tables(manifest, cases, recordings)), table)
    assert table.index.is_monotonic_increasing


def test_a_data_set_without_sites_or_covariates(manifest: Manifest) -> None:
    bare = Manifest(manifest.cases, manifest.recordings.assign(site=""), manifest.quality, Columns())
    assert site_names(bare) == []
    table = covariates(bare)
    assert list(table.columns) == ["seconds", "recordings", "sites", "seconds_per_recording", "repeats"]
    assert table.at["2530", "seconds"] == 44.5


def test_derived_covariates_are_documented(manifest: Manifest) -> None:
    derived = [name for name in covariates(manifest) if name not in circor.COVARIATES and name not in SITES]
    assert set(derived) == set(DOCUMENTED)
