"""Features of the second stage: named columns per case, found by id, without labels."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from auscult.config.fusion import Fusion
from auscult.config.systems import Head
from auscult.datasets.base import Columns, Manifest
from auscult.fusion.covariates import case_covariates, own_name
from auscult.fusion.features import (
    Inputs,
    by_site,
    case_features,
    fit_components,
    fit_reduction,
    probability_columns,
    reduced,
    reduced_block,
    statistics_by_site,
    stems,
    taken_by,
    uncertainty_columns,
)
from auscult.heads.outputs import output_names
from tests.names import NAMES, distinct

NAN = np.nan
MEASURES = ["variance_present", "entropy_present", "information_present"]
HEADS = {"present": Head(label="murmur", positive=["Present"])}
RECORDINGS = pd.DataFrame(
    [("r1", "a", "AV"), ("r2", "a", "MV"), ("r3", "a", "AV"), ("r4", "b", "MV")],
    columns=["recording", "case", "site"],
).assign(path=["r1.wav", "r2.wav", "r3.wav", "r4.wav"], seconds=2.0, rate_hz=10, frames=20)
CASES = pd.DataFrame(
    [("a", "s1", "Present", 6.0), ("b", "s2", "Absent", NAN), ("silent", "s3", "", 7.0)],
    columns=["case", "subject", "murmur", "age_months"],
)
STATISTICS = pd.DataFrame({"present": 1.0, "rms": [0.1, 0.2, 0.3, 0.4]}, index=["r1", "r2", "r3", "r4"])


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(CASES, RECORDINGS, pd.DataFrame(), Columns([], ["murmur"], ["age_months"], []))


def without_sites(manifest: Manifest) -> Manifest:
    return replace(manifest, recordings=manifest.recordings.assign(site=""))


DESCRIPTORS = pd.DataFrame({"higuchi_fd": [1.5, 1.25, 1.75, 2.0]}, index=STATISTICS.index)
ADVENTITIOUS = pd.DataFrame({"tone_100": [3.0, 4.0, 5.0, 6.0]}, index=STATISTICS.index)
TABLES = {"statistics": STATISTICS, "descriptors": DESCRIPTORS, "adventitious": ADVENTITIOUS}


def features(manifest, which, cases=("a", "b", "silent"), missing="nan"):
    entropies = dict.fromkeys(["entropy_present", "information_present"], 0.3)
    outputs = pd.DataFrame({"role": "test", "case": cases, "p_present": 0.1, "variance_present": 0.2, **entropies})
    outputs["max|present"] = [{"a": 0.5, "b": 0.4, "silent": NAN}[case] for case in cases]
    recordings = RECORDINGS.assign(
        role="test", p_present=[0.1, 0.2, 0.5, 0.4], variance_present=[0.0, 0.1, 0.2, 0.3], **entropies
    )
    settings = Fusion(systems=["small"], features=which, missing_site=missing)
    blocks = case_features(settings, HEADS, Inputs(outputs, recordings, manifest, TABLES, {}), "test")
    return pd.concat([pd.DataFrame(index=list(cases)), *blocks.values()], axis=1)


def same(a: pd.DataFrame, row: str, expected: dict) -> None:
    pd.testing.assert_series_equal(
        a.loc[row, list(expected)], pd.Series(expected), check_names=False, check_dtype=False
    )


def test_column_names(murmur_study):
    study = murmur_study()
    system = study.systems["small"]
    assert probability_columns(study.heads_of(system)) == ["p_present", "p_unknown"]
    assert uncertainty_columns(study.heads_of(system)) == [
        *("variance_present", "variance_unknown"),
        *("entropy_present", "information_present", "entropy_unknown", "information_unknown"),
    ]


def test_by_site_takes_the_mean_of_repeats():
    table = by_site(RECORDINGS.assign(p=[0.1, 0.2, 0.5, 0.4]), ["p"], ["AV", "MV", "PV"])
    assert list(table) == ["p@AV", "p@MV", "p@PV"]
    same(table, "a", {"p@AV": 0.3, "p@MV": 0.2, "p@PV": NAN})
    same(table, "b", {"p@AV": NAN, "p@MV": 0.4, "p@PV": NAN})


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0]])
def test_statistics_by_site_take_the_last_repeat(manifest, order):
    shuffled = replace(manifest, recordings=RECORDINGS.iloc[order])
    table = statistics_by_site(shuffled, STATISTICS.iloc[order], "nan")
    assert list(table) == ["present@AV", "rms@AV", "present@MV", "rms@MV"]
    same(table, "a", {"present@AV": 1, "rms@AV": 0.3, "present@MV": 1, "rms@MV": 0.2})
    same(table, "b", {"present@AV": 0, "rms@AV": NAN, "present@MV": 1, "rms@MV": 0.4})


def test_missing_sites_as_zeros(manifest):
    table = statistics_by_site(manifest, STATISTICS, "zero")
    same(table, "b", {"present@AV": 0, "rms@AV": 0, "present@MV": 1, "rms@MV": 0.4})


@pytest.mark.parametrize(("missing", "rms"), [("nan", NAN), ("zero", 0.0)])
def test_a_case_without_recordings_misses_every_site(manifest, missing, rms):
    row = features(manifest, ["statistics"], missing=missing)
    same(row, "silent", {"present@AV": 0, "rms@AV": rms, "present@MV": 0, "rms@MV": rms})


def test_statistics_without_sites_are_means(manifest):
    table = statistics_by_site(without_sites(manifest), STATISTICS, "nan")
    same(table, "a", {"present": 1, "rms": 0.2})


@pytest.mark.parametrize(
    ("block", "columns"),
    [
        ("probabilities", ["p_present", "p_present_max", "p_present@AV", "p_present@MV"]),
        ("uncertainty", [*MEASURES, *(f"{name}@{site}" for name in MEASURES for site in ("AV", "MV"))]),
        ("statistics", ["present@AV", "rms@AV", "present@MV", "rms@MV"]),
        ("pooled_statistics", ["rms_mean", "rms_min", "rms_max"]),
        ("descriptors", ["higuchi_fd_mean", "higuchi_fd_max"]),
        ("adventitious", ["tone_100_mean", "tone_100_max"]),
        ("adventitious_of_file", ["tone_100_of_file_mean"]),
        ("latents", []),
    ],
)
def test_blocks(manifest, block, columns):
    assert list(features(manifest, [block])) == columns


@options(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["one.wav", "./one.wav", "a/../one.wav", "two.wav", ""]), min_size=4, max_size=4))
def test_numbers_of_a_file_are_means_over_all_recordings_that_are_cut_from_it(paths):
    recordings = RECORDINGS.assign(path=paths)
    manifest = Manifest(CASES, recordings, pd.DataFrame(), Columns([], ["murmur"], ["age_months"], []))
    table = features(manifest, ["adventitious_of_file"])
    files = [
        "one.wav" if path.endswith("one.wav") else path or name
        for path, name in zip(paths, ADVENTITIOUS.index, strict=True)
    ]
    file_of, tones = dict(zip(recordings["recording"], files, strict=True)), ADVENTITIOUS["tone_100"]
    of_file = {
        name: np.mean([tones[other] for other in file_of if file_of[other] == file_of[name]]) for name in file_of
    }
    for case, names in recordings.groupby("case")["recording"]:
        assert table.loc[case, "tone_100_of_file_mean"] == pytest.approx(np.mean([of_file[name] for name in names]))
    assert table.loc["silent"].isna().all()


@pytest.mark.parametrize(
    ("blocks", "tables"),
    [
        (["probabilities", "pooled_statistics", "covariates"], ["statistics"]),
        (["adventitious_of_file"], ["adventitious"]),
        (["adventitious", "adventitious_of_file", "descriptors"], ["descriptors", "adventitious"]),
        (["probabilities"], []),
    ],
)
def test_only_the_tables_that_the_blocks_are_made_of(blocks, tables):
    assert Fusion(systems=["small"], features=blocks).tables_of(TABLES) == tables


def test_descriptors_are_averaged_and_maximised_over_a_cases_recordings(manifest):
    table = features(manifest, ["descriptors"])
    mine = DESCRIPTORS.loc[["r1", "r2", "r3"], "higuchi_fd"]
    assert len(mine) > 1 and mine.mean() < mine.max()
    same(table, "a", {"higuchi_fd_mean": mine.mean(), "higuchi_fd_max": mine.max()})
    assert table.loc["silent"].isna().all()


def test_statistics_are_pooled_over_a_cases_recordings(manifest):
    table = features(manifest, ["pooled_statistics"])
    same(table, "a", {"rms_mean": 0.2, "rms_min": 0.1, "rms_max": 0.3})
    assert table.loc["silent"].isna().all()


def test_the_largest_probability_of_any_recording(manifest):
    table = features(manifest, ["probabilities"])
    same(table, "a", {"p_present": 0.1, "p_present_max": 0.5, "p_present@AV": 0.3})
    same(table, "silent", {"p_present": 0.1, "p_present_max": NAN})


def test_covariates_are_a_block(manifest):
    table = features(manifest, ["covariates"])
    assert {"age_months", "seconds", "site_AV"} <= set(table)
    same(table, "b", {"age_months": NAN, "recordings": 1, "site_AV": 0})


def test_rows_follow_the_cases_by_id(manifest):
    everything = ["probabilities", "uncertainty", "covariates", "statistics", "pooled_statistics", "descriptors"]
    table = features(manifest, everything)
    turned = features(manifest, everything, cases=("silent", "b", "a"))
    pd.testing.assert_frame_equal(table, turned.loc[table.index])
    assert table.index.tolist() == ["a", "b", "silent"] and table.columns.is_unique
    pd.testing.assert_frame_equal(features(manifest, everything, cases=("b",)), table.loc[["b"]])
    assert (table.dtypes == np.float32).all()


def test_no_label_no_group_no_id_is_among_them(manifest):
    everything = ["probabilities", "uncertainty", "covariates", "statistics", "pooled_statistics", "descriptors"]
    table = features(manifest, everything)
    blind = replace(manifest, cases=CASES.drop(columns=["murmur", "subject"]))
    pd.testing.assert_frame_equal(features(blind, everything), table)
    assert not [column for column in table if {"murmur", "subject", "case"} & set(column.split("@"))]


def test_a_data_set_without_sites(manifest):
    table = features(without_sites(manifest), ["probabilities", "covariates", "statistics"])
    assert "rms" in table and not [column for column in table if "@" in column]


def test_latents_are_reduced_on_the_fit_rows_alone():
    rng = np.random.default_rng(0)
    fit, other = (pd.DataFrame(rng.standard_normal((n, 6)), index=[f"{n}-{k}" for k in range(n)]) for n in (20, 5))
    components = fit_components(fit, 3)
    fitted, applied = (reduced(components, part, "latent_present") for part in (fit, other))
    assert list(fitted) == list(applied) == ["latent_present_0", "latent_present_1", "latent_present_2"]
    assert fitted.index.equals(fit.index) and applied.index.equals(other.index)
    pd.testing.assert_frame_equal(reduced(components, other.iloc[:1], "latent_present"), applied.iloc[:1])
    np.testing.assert_allclose(fitted, PCA(3, random_state=0).fit_transform(fit.to_numpy()), atol=1e-9)
    assert fitted.mean().abs().max() < 1e-9  # centred by the fit rows
    assert (np.diff(fitted.var()) < 0).all()


def test_latents_of_few_rows_or_none():
    few = pd.DataFrame(np.random.default_rng(0).standard_normal((3, 6)), index=list("abc"))
    components = fit_components(few, 5)
    assert reduced(components, few, "latent_present").shape == (3, 3)
    assert reduced(components, pd.DataFrame(), "latent_present").shape == (0, 3)


@pytest.mark.parametrize("seed", range(4))
def test_embeddings_are_means_over_the_recordings_of_a_case_reduced_on_the_fit_cases_alone(manifest, seed):
    rng = np.random.default_rng(seed)
    names = list(rng.permutation([f"r{n}" for n in range(30)]))
    recordings = pd.DataFrame({"recording": names, "case": [f"c{n}" for n in rng.integers(0, 12, 30)]})
    vectors = pd.DataFrame(rng.standard_normal((30, 6)), index=sorted(names))
    roles = pd.DataFrame({"case": [f"c{n}" for n in range(14)], "role": ["val", "test"] * 7})
    inputs = Inputs(roles, recordings, replace(manifest, recordings=recordings), {}, {}, {"bird": vectors})
    settings = Fusion(systems=["bird"], features=["embeddings"], embeddings=2)
    components = fit_reduction(settings, inputs, ["embeddings"], "val")
    means = {
        role: {
            case: vectors.loc[recordings.loc[recordings["case"] == case, "recording"]].mean()
            for case in sorted(set(roles.loc[roles["role"] == role, "case"]) & set(recordings["case"]))
        }
        for role in ("val", "test")
    }
    model = PCA(2, random_state=0).fit(pd.DataFrame(means["val"]).T.to_numpy())
    for role, by_case in means.items():
        block = reduced_block(components, inputs, "embeddings", role)
        assert list(block) == ["embedding_bird_0", "embedding_bird_1"] and block.index.tolist() == list(by_case)
        np.testing.assert_allclose(block, model.transform(pd.DataFrame(by_case).T.to_numpy()), atol=1e-6)


EVERYTHING = ["probabilities", "uncertainty", "covariates", "statistics", "pooled_statistics", "descriptors"]


@options(max_examples=150, deadline=None)
@given(classes=distinct(2, 4), sites=distinct(2, 2), own=distinct(1, 6), is_binary=st.booleans())
def test_no_name_of_a_class_site_or_covariate_is_another_features(classes, sites, own, is_binary):
    if set(own) & {"case", "subject"}:
        return  # refused by the data set
    heads = HEADS if is_binary else {"a": Head(label="murmur", kind="multiclass", classes=classes)}
    outputs = output_names(heads)
    columns = [*(f"p_{name}" for name in outputs), *(f"variance_{name}" for name in outputs)]
    columns += [f"{measure}_{name}" for name in heads for measure in ("entropy", "information")]
    values = {name: 0.01 * number for number, name in enumerate(columns)}
    maxima = {f"max|{name}": values[f"p_{name}"] + 0.001 for name in outputs}
    cases = pd.DataFrame({"case": ["a", "b"], "subject": ["s", "t"]} | {name: float(k) for k, name in enumerate(own)})
    recordings = RECORDINGS.assign(site=[sites[0], sites[1], sites[0], sites[1]])
    manifest = Manifest(cases, recordings, pd.DataFrame(), Columns([], [], own, []))
    inputs = Inputs(
        pd.DataFrame({"role": "test", "case": ["a", "b"]} | values | maxima),
        recordings.assign(role="test", **values),
        *(manifest, TABLES, {}),
    )
    blocks = case_features(Fusion(systems=["small"], features=EVERYTHING), heads, inputs, "test")
    table = pd.concat(blocks.values(), axis=1)
    assert table.columns.is_unique
    is_taken = taken_by(columns, [name for numbers in TABLES.values() for name in numbers])
    for number, name in enumerate(own):
        assert (table[own_name(manifest, name, is_taken)] == number).all()
    for name in outputs:  # the features of a class are those of its own column
        assert np.allclose(table[f"p_{name}"], values[f"p_{name}"])
        assert np.allclose(table[f"{stems(columns[: len(outputs)])[f'p_{name}']}_max"], maxima[f"max|{name}"])


@given(own=distinct(1, 5), site=NAMES)
def test_names_of_covariates_do_not_depend_on_the_sites(own, site):
    if set(own) & {"case", "subject"}:
        return  # refused by the data set
    cases = pd.DataFrame({"case": ["a"], "subject": ["s"]} | dict.fromkeys(own, 1.0))
    columns = Columns([], [], own, [])
    tables = [
        case_covariates(Manifest(cases, RECORDINGS[:1].assign(case="a", site=name), pd.DataFrame(), columns))
        for name in (site, "")
    ]
    assert all(table.columns.is_unique for table in tables)
    assert set(tables[0]) - set(tables[1]) == {f"site_{site}"}


def test_ordinary_names_stay():
    assert stems(["p_present", "p_unknown"]) == {"p_present": "p_present", "p_unknown": "p_unknown"}
    assert stems(["p_a", "p_a_max"]) == {"p_a": "p_a'", "p_a_max": "p_a_max"}
