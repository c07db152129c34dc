"""The adapters `ptbxl` and `challenge2021`, and the reader of WFDB records, on generated records."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io

from auscult.datasets import audio, challenge2021, ptbxl
from auscult.datasets.base import Columns, Listing, load
from auscult.datasets.build import build
from auscult.datasets.errors import DatasetError, Unusable

LEADS = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]
STATEMENTS = """,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NORM,normal ECG,1.0,,,NORM,NORM
IMI,inferior infarction,1.0,,,MI,IMI
NDT,non-diagnostic T,1.0,1.0,,STTC,STTC
SR,sinus rhythm,,,1.0,,
PACE,pacemaker,,,1.0,,
"""
HEAD = "ecg_id,patient_id,age,sex,height,weight,report,scp_codes,strat_fold,filename_lr,filename_hr"
ROWS = [
    "1,15.0,56.0,1,,63.0,\"a, b\",\"{'NORM': 100.0, 'SR': 0.0}\",3,records100/00000/00001_lr,records500/00000/00001_hr",
    "2,16.0,300.0,0,170,,,\"{'IMI': 15.0, 'NDT': 0.0}\",10,records100/00000/00002_lr,records500/00000/00002_hr",
    "3,16.0,,0,,,,\"{'PACE': 0.0}\",8,records100/00000/00003_lr,records500/00000/00003_hr",
]


def counts(seed: int = 0, n: int = 1000) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2000, 2000, (n, 12), dtype=np.int16)


def write(path: Path, samples: np.ndarray, rate: int = 100, comments: str = "", suffix: str = ".dat") -> None:
    """A record in format 16: header, and samples as `.dat` or, after 24 bytes, as the `.mat` of the Challenges."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fmt = "16" if suffix == ".dat" else "16+24"
    lines = [f"{path.name} 12 {rate} {len(samples)}"]
    for lead, column in zip(LEADS, samples.T, strict=True):
        total = int(column.astype(np.int64).sum()) % 65536
        lines.append(f"{path.name}{suffix} {fmt} 1000.0(0)/mV 16 0 {column[0]} {total} 0 {lead}")
    path.with_name(f"{path.name}.hea").write_text("\n".join(lines) + "\n" + comments)
    if suffix == ".dat":
        path.with_name(f"{path.name}.dat").write_bytes(samples.astype("<i2").tobytes())
    else:
        scipy.io.savemat(path.with_name(f"{path.name}.mat"), {"val": samples.T}, format="4")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "scp_statements.csv").write_text(STATEMENTS)
    (tmp_path / "ptbxl_database.csv").write_text("\n".join([HEAD, *ROWS]) + "\n")
    for number in (1, 2, 3):
        write(tmp_path / f"records100/00000/0000{number}_lr", counts(number))
    return tmp_path


def read(root: Path):
    return build(ptbxl.ingest(root, ptbxl.Options()), root, "all", 9.0, workers=1, sample_format="float32")


def test_labels_of_every_set(root):
    cases = read(root).cases
    assert cases["superclass"].tolist() == ["NORM", "MI|STTC", "none"]
    assert cases["subclass"].tolist() == ["NORM", "IMI|STTC", "none"]
    assert cases["form"].tolist() == ["none", "NDT", "none"]
    assert cases["rhythm"].tolist() == ["SR", "none", "PACE"]


def test_patients_folds_and_covariates(root):
    manifest = read(root)
    cases = manifest.cases
    assert cases["subject"].tolist() == ["15", "16", "16"]
    assert cases["strat_fold"].tolist() == ["3", "10", "8"]
    np.testing.assert_array_equal(cases["age_years"], [56, 90, np.nan])
    np.testing.assert_array_equal(cases["female"], [1, 0, 0])
    assert manifest.columns.covariates == ["age_years", "female", "height_cm", "weight_kg"]


def test_samples_are_millivolts_and_large_ones_are_not_called_clipped(root):
    manifest = read(root)
    assert manifest.quality.empty
    samples, rate, kind = audio.read(root / "records100/00000/00001_lr.hea")
    np.testing.assert_allclose(samples, counts(1) / 1000)
    assert (rate, kind) == (100, "WFDB")
    assert manifest.recordings["channels"].tolist() == [12, 12, 12]


def test_an_interval_of_a_record(root):
    samples, _, _ = audio.read(root / "records100/00000/00001_lr.hea", 2.0, 4.5)
    np.testing.assert_allclose(samples, counts(1)[200:450] / 1000)


def problem(root: Path, name: str = "00001_lr") -> str:
    with pytest.raises(Unusable) as error:
        audio.read(root / f"records100/00000/{name}.hea")
    return error.value.problem


def test_faults_of_records(root):
    folder = root / "records100/00000"
    header, samples = folder / "00001_lr.hea", folder / "00001_lr.dat"
    text, raw = header.read_text(), samples.read_bytes()
    samples.write_bytes(raw[:-200])
    assert problem(root) == "truncated"
    samples.write_bytes(raw[:100] + bytes([raw[100] ^ 1]) + raw[101:])
    assert problem(root) == "corrupt"
    samples.unlink()
    assert problem(root) == "missing"
    samples.write_bytes(raw)
    header.write_text(text.replace("00001_lr.dat", "../00000/00001_lr.dat"))
    assert problem(root) == "corrupt"
    header.write_text(text.replace("/mV", "/uV", 1))
    assert problem(root) == "units"
    header.write_text("nonsense\n")
    assert problem(root) == "corrupt"
    for leads in ("11", "13", "99999999999999999999"):
        header.write_text(text.replace("00001_lr 12 ", f"00001_lr {leads} ", 1))
        assert problem(root) == "corrupt"
    header.write_text(text.replace(" 1000\n", " 99999999999\n", 1))
    assert problem(root) == "truncated"
    header.write_bytes(b"\xff\xfe\x00")
    assert problem(root) == "corrupt"


def test_a_bad_record_is_dropped_and_the_rest_is_kept(root):
    (root / "records100/00000/00002_lr.dat").unlink()
    manifest = read(root)
    assert manifest.recordings["recording"].tolist() == ["1", "3"]
    assert manifest.quality[["recording", "problem", "action"]].to_numpy().tolist() == [["2", "missing", "dropped"]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{'PACE': 0.0}", "PACE", "row 4, column 'scp_codes': 'PACE' is not a dictionary"),
        (",16.0,300.0", ",,300.0", "row 3, column 'patient_id': '' is not a whole number"),
        ("strat_fold", "fold", "no column 'strat_fold'"),
    ],
)
def test_bad_tables_are_refused(root, old, new, message):
    path = root / "ptbxl_database.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DatasetError, match=message):
        read(root)


def test_the_version_at_500_hz(root):
    write(root / "records500/00000/00001_hr", counts(1, 5000), 500)
    listing = ptbxl.ingest(root, ptbxl.Options(rate_hz=500))
    assert listing.recordings["path"].iloc[0] == "records500/00000/00001_hr.hea"
    assert [path.name for path in ptbxl.files(root, ptbxl.Options(rate_hz=500))][2:] == ["00001_hr.dat", "00001_hr.hea"]


# ---------------------------------------------------------------- challenge2021

CODES = challenge2021.Options(codes={"426783006": "sinus", "164889003": "AF", "164890007": "AF"})


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    write(tmp_path / "g1/A0001", counts(1), 500, "#Age: 74\n#Sex: Male\n#Dx: 59118001,426783006\n", ".mat")
    write(tmp_path / "g1/A0002", counts(2), 500, "# Age: NaN\n# Sex: Female\n# Dx: 164890007,164889003\n", ".mat")
    write(tmp_path / "g1/A0003", counts(3), 500, "#Age: 60\n#Sex: Unknown\n#Dx: 59118001\n", ".mat")
    return tmp_path


@pytest.mark.parametrize("seed", range(4))
def test_comments_of_the_challenges_may_be_in_any_case(challenge, seed):
    options, rng = challenge2021.Options(codes={"59118001": "rbbb"}), np.random.default_rng(seed)
    expected = challenge2021.ingest(challenge, options).cases
    for path in challenge.rglob("*.hea"):
        text = path.read_text()
        for key in ("Age", "Sex", "Dx"):
            text = text.replace(f"{key}:", f"{rng.choice([key.upper(), key.lower()])}:")
        path.write_text(text)
    assert challenge2021.ingest(challenge, options).cases.equals(expected)


@pytest.mark.parametrize("sex", ["Femal", "1", "N", "Other"])
def test_a_sex_that_is_none_is_unknown_and_listed(challenge, sex):
    path = challenge / "g1/A0001.hea"
    path.write_text(path.read_text().replace("Sex: Male", f"Sex: {sex}"))
    listing = challenge2021.ingest(challenge, challenge2021.Options(codes={"59118001": "rbbb"}))
    assert np.isnan(listing.cases.set_index("case").loc["A0001", "female"])
    assert [row[:3] for row in listing.quality] == [("A0001", "sex", "kept")]


@pytest.mark.parametrize(("code", "in_file"), [("059118001", "59118001"), ("59118001", "059118001"), ("0", "0")])
def test_zeros_before_a_code_do_not_matter(challenge, code, in_file):
    path = challenge / "g1/A0003.hea"
    path.write_text(path.read_text().replace("59118001", in_file))
    cases = challenge2021.ingest(challenge, challenge2021.Options(codes={code: "rbbb"})).cases
    assert cases.set_index("case").loc["A0003", "diagnosis"] == "rbbb"


def test_records_of_the_challenges(challenge, tmp_path):
    manifest = build(challenge2021.ingest(challenge, CODES), challenge, "all", 1.0, workers=1, sample_format="float32")
    assert manifest.quality.empty
    assert manifest.cases["diagnosis"].tolist() == ["sinus", "AF", "none"]
    np.testing.assert_array_equal(manifest.cases["age_years"], [74, np.nan, 60])
    np.testing.assert_array_equal(manifest.cases["female"], [0, 1, np.nan])
    samples, rate, _ = audio.read(challenge / "g1/A0002.hea")
    np.testing.assert_allclose(samples, counts(2) / 1000)
    assert rate == 500
    manifest.write(tmp_path / "out")
    assert not load(tmp_path / "out").subjects_known


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#Dx:", "#Dg:", "A0001.hea: no line `# Dx: <codes>`"),
        ("Age: 74", "Age: old", "A0001.hea: the line `# Age: old`"),
    ],
)
def test_bad_headers_are_refused(challenge, old, new, message):
    path = challenge / "g1/A0001.hea"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=message):
        challenge2021.ingest(challenge, CODES)


@pytest.mark.real
@pytest.mark.skipif(not os.environ.get("AUSCULT_REAL_PTBXL"), reason="AUSCULT_REAL_PTBXL is not set")
def test_the_real_records():
    root = Path(os.environ["AUSCULT_REAL_PTBXL"])
    manifest = read(root)
    assert manifest.quality.empty
    sets = manifest.cases["superclass"].str.get_dummies("|").sum().to_dict()
    assert sets == {"NORM": 1044, "STTC": 551, "MI": 527, "CD": 474, "HYP": 279, "none": 47}
    assert manifest.cases["subject"].nunique() == 2226


@pytest.mark.parametrize("seed", range(4))
def test_leads_come_by_name_and_in_millivolts(tmp_path: Path, seed: int) -> None:
    """The same ECG with its leads in any order and in another unit of voltage."""
    rng, samples = np.random.default_rng(seed), counts(seed)
    write(tmp_path / "a", samples)
    order = rng.permutation(12)
    gain, unit = [("1000.0", "mV"), ("1.0", "uV"), ("1000000.0", "V")][seed % 3]
    write(tmp_path / "b", samples[:, order])
    header = (tmp_path / "b.hea").read_text().splitlines()
    for place, source in enumerate(order):
        header[1 + place] = header[1 + place].rsplit(" ", 1)[0].replace("1000.0(0)/mV", f"{gain}(0)/{unit}")
        header[1 + place] += f" {LEADS[source]}"
    (tmp_path / "b.hea").write_text("\n".join(header) + "\n")
    first, second = (audio.read(tmp_path / f"{name}.hea")[0] for name in "ab")
    np.testing.assert_allclose(second, first, rtol=1e-9)


NAMES = [lambda lead: f"D{lead}" if lead in ("I", "II", "III") else lead, lambda lead: f"Lead {lead}".replace(" ", "_")]


@pytest.mark.parametrize("seed", range(4))
def test_leads_come_by_name_in_other_writing_and_the_right_way_up(tmp_path: Path, seed: int) -> None:
    rng, samples = np.random.default_rng(seed), counts(seed)
    write(tmp_path / "a", samples)
    order, name = rng.permutation(12), NAMES[seed % 2]
    turned = int(rng.integers(12))
    other = samples.copy()
    other[:, turned] *= -1
    write(tmp_path / "b", other[:, order])
    header = (tmp_path / "b.hea").read_text().splitlines()
    for place, source in enumerate(order):
        sign = "-" if source == turned else ""
        header[1 + place] = header[1 + place].rsplit(" ", 1)[0] + f" {sign}{name(LEADS[source])}"
    (tmp_path / "b.hea").write_text("\n".join(header) + "\n")
    first, second = (audio.read(tmp_path / f"{name}.hea")[0] for name in "ab")
    np.testing.assert_allclose(second, first, rtol=1e-9)


def edited(tmp_path: Path, old: str, new: str, count: int = -1) -> Path:
    """A record without checksums whose header has one text replaced."""
    write(tmp_path / "a", counts())
    lines = (tmp_path / "a.hea").read_text().splitlines()
    lines = [lines[0], *(" ".join([*line.split()[:3], "16", "0"]) for line in lines[1:])]
    names = [
        f"{line} 0 {_sum} 0 {lead}" for line, lead, _sum in zip(lines[1:], LEADS, counts().sum(0) % 65536, strict=True)
    ]
    (tmp_path / "a.hea").write_text("\n".join([lines[0], *names]).replace(old, new, count) + "\n")
    return tmp_path / "a.hea"


@pytest.mark.parametrize("rate", ["62.5", "62.4725", "1e2", "abc", "nan", "-100", "0x64", "100.5/250"])
def test_a_rate_that_would_be_taken_for_another_makes_the_record_unusable(tmp_path: Path, rate: str) -> None:
    with pytest.raises(Unusable, match="the rate in Hz has to be a whole number"):
        audio.read(edited(tmp_path, " 100 1000", f" {rate} 1000", 1))


@pytest.mark.parametrize(
    ("gain", "count", "problem"), [("0/mV", 1, "the gain 0"), ("nan/mV", 1, "'nan/mV'"), ("1,000/mV", 5, "'1,000/mV'")]
)
def test_a_gain_that_is_no_number_makes_the_record_unusable(
    tmp_path: Path, gain: str, count: int, problem: str
) -> None:
    with pytest.raises(Unusable, match=problem):
        audio.read(edited(tmp_path, "1000.0(0)/mV", gain, count))


@pytest.mark.parametrize("gain", ["200/mV", "200", "200(0)/mV", "200(0.5)/mV", "2e2/mV", "200(-12)", "200(0)/"])
@pytest.mark.parametrize("rate", ["100", "100.0", "100/360", "100/360(10)"])
def test_gains_and_rates_as_they_are_published_are_read(tmp_path: Path, gain: str, rate: str) -> None:
    path = edited(tmp_path, "1000.0(0)/mV", gain)
    path.write_text(path.read_text().replace(" 100 1000", f" {rate} 1000", 1))
    samples, hz, _ = audio.read(path)
    assert samples.shape == (1000, 12) and hz == 100


@pytest.mark.parametrize("unit", ["mmHg", "adu", "g", "mVolt2"])
def test_leads_of_an_ecg_are_voltages(tmp_path: Path, unit: str) -> None:
    with pytest.raises(Unusable, match=f"leads of an ECG in {unit}, which is no voltage"):
        audio.read(edited(tmp_path, "/mV", f"/{unit}"))


@pytest.mark.parametrize(
    ("unit", "factor"), [("microvolts", 1e-3), ("Volts", 1e3), ("\u00b5V", 1e-3), ("MV", 1.0), ("millivolt", 1.0)]
)
def test_units_may_be_written_out(tmp_path: Path, unit: str, factor: float) -> None:
    samples = audio.read(edited(tmp_path, "/mV", f"/{unit}"))[0]
    np.testing.assert_allclose(samples, counts() / 1000 * factor)


def test_a_record_of_several_segments_is_unusable(tmp_path: Path) -> None:
    write(tmp_path / "a", counts())
    (tmp_path / "m.hea").write_text("m/2 12 100 2000\na 1000\na 1000\n")
    with pytest.raises(Unusable, match="several segments"):
        audio.read(tmp_path / "m.hea")


@pytest.mark.parametrize("stated", [17, 300, 999])
def test_a_header_that_states_fewer_samples_than_there_are_is_reported(tmp_path: Path, stated: int) -> None:
    write(tmp_path / "a", counts())
    text = (tmp_path / "a.hea").read_text().splitlines()
    lines = [f"a 12 100 {stated}", *(" ".join(line.split()[:3]) for line in text[1:])]
    (tmp_path / "a.hea").write_text("\n".join(lines) + "\n")
    facts = audio.inspect(tmp_path / "a.hea", None, None, 0.1, False, "float32")
    assert facts.frames == stated
    assert (
        dict(facts.problems)["length"]
        == f"the file has {1000 - stated} samples of each lead more than the header states"
    )


@pytest.mark.parametrize("rows", [[1], [0, 2], [0, 1]])
def test_records_that_a_cut_table_lost_are_listed(root: Path, rows: list[int]) -> None:
    lines = [line for number, line in enumerate(ROWS) if number not in rows]
    (root / "ptbxl_database.csv").write_text("\n".join([HEAD, *lines]) + "\n")
    table = read(root).quality
    assert table["recording"].tolist() == [f"0000{number + 1}_lr" for number in rows]
    assert set(table["problem"]) == {"unlisted"}


@pytest.mark.parametrize("seed", range(4))
def test_a_lead_that_is_there_twice_makes_the_record_unusable(tmp_path: Path, seed: int) -> None:
    write(tmp_path / "a", counts())
    one, other = np.random.default_rng(seed).permutation(12)[:2]
    text = (tmp_path / "a.hea").read_text().splitlines()
    text[1 + one] = text[1 + one].rsplit(" ", 1)[0] + f" {LEADS[other]}"
    (tmp_path / "a.hea").write_text("\n".join(text) + "\n")
    with pytest.raises(Unusable, match=r"the lead .* is there twice"):
        audio.read(tmp_path / "a.hea")


@pytest.mark.parametrize(
    "codes",
    ["{'NROM': 100.0}", "{'norm': 100.0, 'IMI': 1.0}", "{' IMI': 1.0}", "'NORM'", "['NORM']", "[['NORM']]", "[{}]"],
)
def test_statements_that_the_release_does_not_have_are_refused(root: Path, codes: str) -> None:
    path = root / "ptbxl_database.csv"
    path.write_text(path.read_text().replace("{'PACE': 0.0}", codes))
    with pytest.raises(DatasetError, match=r"ptbxl_database\.csv: row 4, column 'scp_codes': "):
        read(root)


def test_a_statement_that_is_listed_twice_is_refused(root: Path) -> None:
    with (root / "scp_statements.csv").open("a") as file:
        file.write("NORM,again,1.0,,,MI,IMI\n")
    with pytest.raises(DatasetError, match=r"scp_statements\.csv: row 7: 'NORM' is listed twice"):
        read(root)


@pytest.mark.parametrize("patient", ["15.5", "1e30", ""])
def test_a_patient_is_a_whole_number(root: Path, patient: str) -> None:
    path = root / "ptbxl_database.csv"
    path.write_text(path.read_text().replace("1,15.0,", f"1,{patient},"))
    with pytest.raises(DatasetError, match=r"row 2, column 'patient_id': .* is not a whole number"):
        read(root)


@pytest.mark.parametrize("codes", ["426783006;270492004", "sinus", "426783006, sinus", "²"])
def test_diagnoses_are_codes(tmp_path: Path, codes: str) -> None:
    write(tmp_path / "a", counts(), comments=f"#Age: 50\n#Sex: Male\n#Dx: {codes}\n", suffix=".mat")
    with pytest.raises(DatasetError, match=r"a\.hea: the line `# Dx` should be SNOMED codes"):
        challenge2021.ingest(tmp_path, challenge2021.Options(codes={"426783006": "sinus"}))


def test_two_records_of_one_name_are_refused(challenge):
    (path,) = sorted(challenge.rglob("*.hea"))[:1]
    other = challenge / "other"
    other.mkdir()
    (other / path.name).write_text(path.read_text())
    with pytest.raises(DatasetError, match="has the same name, and both are one case"):
        challenge2021.ingest(challenge, CODES)


@pytest.mark.parametrize("codes", ["", "Unknown", "nan", " , "])
def test_a_record_without_a_diagnosis_has_no_label(challenge, codes):
    for path in challenge.rglob("*.hea"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(f"# Dx: {codes}" if "Dx" in line else line for line in lines) + "\n")
    assert set(challenge2021.ingest(challenge, CODES).cases["diagnosis"]) == {""}


def test_channels_that_are_no_leads_may_share_a_name(tmp_path: Path):
    write(tmp_path / "a", counts())
    text = (tmp_path / "a.hea").read_text()
    for lead in LEADS:
        text = text.replace(f" 0 {lead}\n", " 0 EEG\n")
    (tmp_path / "a.hea").write_text(text.replace("/mV", "/V"))
    samples = audio.read(tmp_path / "a.hea")[0]
    np.testing.assert_allclose(samples, counts() / 1000.0)  # and no voltage of an ECG


@pytest.mark.parametrize("suffix", ["-hea", ".hea"])
def test_a_record_in_a_store_of_large_files_is_read(tmp_path: Path, suffix: str):
    """Header and samples are links, to other names in other folders."""
    root = tmp_path / "release"
    write(root / "store/one/key", counts())
    (root / "store/two").mkdir()
    (root / "store/one/key.dat").rename(root / "store/two/key-dat")
    header = (root / "store/one/key.hea").read_text().replace("key", "a")
    (root / "store/one/key.hea").unlink()
    (root / f"store/one/key{suffix}").write_text(header)
    (root / "a.hea").symlink_to(f"store/one/key{suffix}")
    (root / "a.dat").symlink_to("store/two/key-dat")
    listing = Listing(
        pd.DataFrame({"case": ["a"], "subject": ["a"]}),
        pd.DataFrame(
            {"recording": ["a"], "case": ["a"], "site": [""], "path": ["a.hea"], "onset_s": None, "offset_s": None}
        ),
        Columns(),
    )
    manifest = build(listing, root, "all", 1.0, 1, "float32")
    assert len(audio.read(root / manifest.recordings["path"][0])[0]) == 1000
