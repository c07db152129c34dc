"""Loading study files: the most similar name for a misspelt one, defaults filled in, a line per problem."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auscult import datasets, features, networks
from auscult.config.study import Study
from auscult.studies import ConfigError, load_settings, load_study
from tests.names import NAMES, distinct

STUDIES = Path(__file__).parents[1] / "config" / "studies"
SMALL_STUDY = Path(__file__).with_name("small_study.yaml")
STUDY = yaml.safe_load(SMALL_STUDY.read_text(encoding="utf-8"))
SMALL = "systems.small"
OPTIONS = ("options", "settings")
NAMED = ("targets", "tasks", "heads", "systems", "pool")


@pytest.fixture
def load(tmp_path: Path):
    """`load(values, root)`: write values (or text, or bytes) to x.yaml and load it."""

    def load(values: Any, root: str | None = None) -> Study:
        text = yaml.safe_dump(values) if isinstance(values, dict) else values
        (tmp_path / "x.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return load_study("x", tmp_path, root)

    load.file = tmp_path / "x.yaml"
    return load


def message_of_error(load, values: Any) -> str:
    """Return the message of the error, without the file at the start of each line."""
    with pytest.raises(ConfigError) as error:
        load(values)
    lines = str(error.value).splitlines()
    assert lines[0].startswith(f"{load.file}: ")
    return str(error.value).replace(f"{load.file}: ", "")


def with_value(path: str, value: Any) -> dict:
    values = copy.deepcopy(STUDY)
    parent = values
    *parents, last_key = path.split(".")
    for key in parents:
        parent = parent.setdefault(key, {})
    parent[last_key] = value
    return values


def every_key(values: Any, path: tuple = ()) -> list[tuple]:
    """Return the paths of all keys of a loaded study that are not names chosen by the user."""
    paths = []
    if isinstance(values, dict):
        for key, value in values.items():
            if path[-1:] not in [(name,) for name in NAMED]:
                paths.append((*path, key))
            paths += every_key(value, (*path, key))
    return paths


def numbers_in(values: Any, path: tuple = ()) -> list[tuple]:
    """Return the paths of all numbers of a loaded study."""
    if isinstance(values, dict | list):
        items = values.items() if isinstance(values, dict) else enumerate(values)
        return [found for key, value in items for found in numbers_in(value, (*path, key))]
    return [path] if isinstance(values, int | float) and not isinstance(values, bool) else []


# ---------------------------------------------------------------- the studies of the project


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_study_of_the_project_loads(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources/birdnet.tflite").write_bytes(b"stands for the file that a user brings")
    monkeypatch.chdir(tmp_path)
    study = load_study(file.stem, STUDIES)
    assert Study.model_validate(study.model_dump()) == study
    assert len(study.description) > 20


def test_the_studies_that_the_documentation_names_exist() -> None:
    assert {"demo", "circor", "circor_cpu", "walker", "m2d3"} <= {file.stem for file in STUDIES.glob("*.yaml")}


@pytest.mark.parametrize(("name", "group"), [("breath_by_source", "source"), ("breath_by_clip", "case")])
def test_looser_folds_of_breath_have_its_residual_network_alone(name: str, group: str) -> None:
    strict, loose = load_study("breath", STUDIES), load_study(name, STUDIES)
    for part in ("dataset", "targets", "tasks", "evaluation"):
        assert getattr(strict, part) == getattr(loose, part)
    assert loose.systems == {"residual": strict.systems["residual"]}
    assert loose.protocol == strict.protocol.model_copy(update={"group": group}) and loose.leak.allow


def test_folds_by_recording_of_cinc2016_have_the_same_system() -> None:
    strict, loose = load_study("cinc2016", STUDIES), load_study("cinc2016_by_recording", STUDIES)
    for part in ("dataset", "targets", "tasks", "systems", "evaluation"):
        assert getattr(strict, part) == getattr(loose, part)
    assert loose.protocol == strict.protocol.model_copy(update={"group": "case"})


@pytest.mark.parametrize(
    ("folds", "name"),
    [
        *(("circor_cpu", name) for name in ("circor_441", "m2d3_cpu", "walker_cpu")),
        ("circor_outside", "circor_441_outside"),
        ("circor_cpc", "circor_441_cpc"),
    ],
)
def test_other_splits_have_the_same_system(folds: str, name: str) -> None:
    own, other = load_study(folds, STUDIES), load_study(name, STUDIES)
    changed = {"description", "protocol", "leak", "external"}
    assert own.model_dump(exclude=changed) == other.model_dump(exclude=changed) and own.protocol != other.protocol


def test_the_epoch_that_test_cases_choose_stands_beside_the_same_training() -> None:
    systems = load_study("lungs_official", STUDIES).systems
    for name in ("compact", "ast"):
        leaky = systems[f"{name}_test_epoch"]
        plain = leaky.training.model_copy(update={"select": systems[name].training.select})
        assert leaky.model_copy(update={"training": plain}) == systems[name]


def test_defaults_of_plug_ins_are_filled_in(load) -> None:
    values = copy.deepcopy(STUDY)
    values["dataset"]["options"] = {"subjects": 5}
    values["systems"]["small"]["network"] = {"name": "dbresnet"}
    values["systems"]["small"]["front_end"] = {"name": "band1k", "settings": {"bands": 20}}
    study = load(values)
    options = datasets.adapter("simulate").Options
    assert study.dataset.options == options(subjects=5).model_dump()
    system = study.systems["small"]
    preset = features.preset("band1k")
    assert system.front_end.settings == {**preset.model_dump(), "bands": 20}
    assert set(system.front_end.settings) == set(type(preset).model_fields)
    assert system.network.options["stem_kernel"] == 7
    assert len(system.network.options) > 5


def test_a_default_that_is_written_out_changes_nothing(load) -> None:
    plain = load(STUDY)
    assert load(plain.model_dump(mode="json")) == plain


def test_root_points_to_a_copy(load) -> None:
    assert load(STUDY).dataset.root == STUDY["dataset"]["root"]
    study_of_copy = load(STUDY, root="/a/copy")
    assert study_of_copy.dataset.root == "/a/copy"
    assert study_of_copy.model_copy(update={"dataset": None}) == load(STUDY).model_copy(update={"dataset": None})


# ---------------------------------------------------------------- unknown names


@pytest.mark.parametrize(("name", "nearest"), [("dem", "demo"), ("circor_gpu", "circor_cpu"), ("Walker", "walker")])
def test_an_unknown_study(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_study(name, STUDIES)
    assert str(error.value).startswith(
        f"there is no study {name!r} (did you mean {nearest!r}?); studies in {STUDIES}: "
    )
    assert "circor_441, circor_441_cpc, circor_441_outside, circor_band, circor_cpc, circor_cpu, " in str(error.value)


@pytest.mark.parametrize("name", ["", "zzz", "../studies/demo", "demo.yaml/"])
def test_a_study_name_unlike_any(name: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no study {name!r}"):
        load_study(name, STUDIES)


def full_study() -> dict:
    return load_study(SMALL_STUDY.stem, SMALL_STUDY.parent).model_dump(mode="json")


@pytest.mark.parametrize("path", every_key(full_study()), ids=lambda path: ".".join(path))
def test_the_error_for_a_misspelt_key_names_the_right_one(load, path: tuple) -> None:
    """Every key at every level, options of plug-ins too, gets an x at its end."""
    values = full_study()
    parent = values
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1] + "x"] = parent.pop(path[-1])
    lines = message_of_error(load, values).splitlines()
    if path == ("protocol", "name"):  # without the protocol's name its keys are unknown
        assert lines == ["protocol: name: Field required"]
        return
    line = next(line for line in lines if "unknown key" in line)
    key = ".".join(path) + "x"
    for part in OPTIONS:
        key = key.replace(f".{part}.", f".{part}: ")
    assert line.startswith(
        f"{key.replace('protocol.', 'protocol.group_cv.')}: unknown key (did you mean {path[-1]!r}?)"
    )
    assert path[-1] in line.split("; known keys: ")[1].split(", ")


@pytest.mark.parametrize(
    ("protocol", "wrong", "nearest"),
    [
        ({"name": "cv10"}, "stratify", "stratified"),
        ({"name": "walker"}, "seed", "seeds"),
        ({"name": "m2d3"}, "list", "lists"),
        ({"name": "fixed", "file": "x.csv"}, "groups", "group"),
        ({"name": "column", "column": "fold", "val": ["1"], "test": ["2"]}, "tests", "test"),
    ],
)
def test_a_misspelt_key_of_every_protocol(load, protocol: dict, wrong: str, nearest: str) -> None:
    message = message_of_error(load, with_value("protocol", {**protocol, wrong: 1}))
    assert f"protocol.{protocol['name']}.{wrong}: unknown key (did you mean {nearest!r}?); known keys: " in message


def test_the_error_for_a_key_unlike_any_lists_all_keys(load) -> None:
    message = message_of_error(load, with_value("qqq", 1))
    assert message.startswith(
        "qqq: unknown key; known keys: dataset, description, ensembles, evaluation, external, extra_training, fusion,"
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "dataset.adapter",
            "simulat",
            "dataset.adapter: 'simulat' is not one of breath_phase, challenge2021, cinc2016, circor, folder, icbhi, "
            "ptbxl, simulate, yaseen (did you mean 's",
        ),
        ("dataset.adapter", "base", "dataset.adapter: 'base' is not one of"),
        (
            f"{SMALL}.front_end.name",
            "band",
            f"{SMALL}.front_end.name: 'band' is not one of band1k, encoder, fbank, planes9, reference, samples (did",
        ),
        (
            f"{SMALL}.network.name",
            "resnet",
            f"{SMALL}.network.name: 'resnet' is not one of ast, case_attention, clocs, cnn8",
        ),
        (
            "protocol.name",
            "groupcv",
            "protocol: name: 'groupcv' is not one of group_cv, cv10, walker, m2d3, fixed, column (",
        ),
        (
            "targets.murmur.decisions",
            ["reference", "cots"],
            "targets.murmur.decisions: 'cots' is not one of any_recording, argmax, cost, expected_0, "
            "expected_25, expected_50, expected_75, reference, temperature, tuned_both, tuned_uar, tuned_w_acc "
            "(did you mean 'cost'?)",
        ),
        ("fusion.systems", ["smal"], "fusion.systems: 'smal' is not one of ['small']"),
        (f"{SMALL}.tasks", ["presnt"], f"{SMALL}.tasks: 'presnt' is not one of ['present', 'unknown']"),
    ],
)
def test_a_name_that_does_not_exist(load, key: str, value: Any, message: str) -> None:
    assert message in message_of_error(load, with_value(key, value))


def test_a_decision_rule_of_another_kind_of_target(load) -> None:
    message = "targets.murmur.decisions: a multiclass target cannot be decided by `tuned_f`, only by ['any_recording',"
    assert message in message_of_error(load, with_value("targets.murmur.decisions", ["reference", "tuned_f"]))
    values = with_value("targets.murmur.kind", "multilabel")
    values["targets"] = {"murmur": {**values["targets"]["murmur"], "decisions": ["cost"], "heads": ["m"]}}
    values["targets"]["murmur"].pop("weights", None)
    head = {"label": "murmur", "kind": "multilabel", "classes": values["targets"]["murmur"]["classes"]}
    values["tasks"] = {"all": {"heads": {"m": head}}}
    values["systems"]["small"] |= {"tasks": ["all"], "inference": {}}
    values["fusion"] = None
    message = "a multilabel target cannot be decided by `cost`, only by ['reference', 'tuned_f', 'tuned_f_each']"
    assert message in message_of_error(load, values)


def test_a_system_that_serves_no_target(load) -> None:
    values = with_value("systems.half", {**STUDY["systems"]["small"], "tasks": ["present"], "inference": {}})
    message = "systems.half.tasks: no target has all its heads in ['present']; leave the system out"
    assert message in message_of_error(load, values)


def test_names_of_plug_ins_are_plain() -> None:
    assert {"circor", "folder", "simulate"} <= set(datasets.names())
    assert not {"base", "audio", "download", "__init__"} & set(datasets.names())
    assert "dbresnet" in networks.names()
    assert {"band1k", "reference"} <= set(features.names())
    with pytest.raises(KeyError):
        features.module_of("nothing")


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            f"{SMALL}.training.epochs",
            0,
            f"{SMALL}.training.epochs: Input should be greater than or equal to 1 (it is 0)",
        ),
        (
            "dataset.options.subjects",
            0,
            "dataset.options: subjects: Input should be greater than or equal to 1 (it is 0)",
        ),
        (f"{SMALL}.front_end.settings.bands", 0, f"{SMALL}.front_end.settings: bands: Input should be greater"),
        (
            f"{SMALL}.network.options.dropout",
            1,
            f"{SMALL}.network.options: dropout: Input should be less than 1 (it is 1)",
        ),
        ("targets.murmur.weights", [5, 3], "targets.murmur: weights: 2 weights for 3 classes"),
        ("dataset.channels", "stereo", "dataset.channels: Input should be 'mean' or 'all' (it is 'stereo')"),
        ("leak", {"allow": True}, "leak: because: give the reason why the leak is allowed"),
        ("protocol", "group_cv", "protocol: Input should be a valid dictionary"),
        ("systems.Big One", STUDY["systems"]["small"], "systems.Big One.[key]: String should match pattern"),
        ("systems.chosen", STUDY["systems"]["small"], "(whole file): systems: `chosen` is the name of a row"),
    ],
)
def test_an_invalid_value(load, key: str, value: Any, message: str) -> None:
    text = message_of_error(load, with_value(key, value))
    assert text.startswith(message)
    assert "\n" not in text
    assert len(text) < 200


def test_all_problems_are_in_one_error_with_a_line_each(load) -> None:
    values = with_value("dataset.shards", 0)
    values["protocl"] = values.pop("protocol")
    values["systems"]["small"]["training"]["epocs"] = 3
    lines = message_of_error(load, values).splitlines()
    assert [line.split(": ")[0] for line in sorted(lines)] == [
        "dataset.shards",
        "protocl",
        "protocol",
        f"{SMALL}.training.epocs",
    ]


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "should contain keys and values, contains NoneType"),
        ("- a\n- b\n", "should contain keys and values, contains list"),
        ("just words", "should contain keys and values, contains str"),
        ("a: [1, 2", "not readable as YAML: "),
        ("a: 1\n\tb: 2\n", "not readable as YAML: "),
        ("description: Zoë\n".encode("latin-1"), "not readable as YAML: 'utf-8' codec"),
        ("!!python/object:os.system {}\n", "not readable as YAML: "),
        ("protocol: {name: cv10}\nleak: {}\nprotocol: {name: m2d3}\n", "the key 'protocol' is given twice"),
        ("description: 2024-02-30\n", "not readable as YAML: day is out of range"),
        ("description: 2024-01-01T25:61:00Z\n", "not readable as YAML: "),
        ("a: !!int abc\n", "not readable as YAML: "),
        ("a: 0b_\n", "not readable as YAML: "),
        ("a: " + "{a: " * 3000, "not readable as YAML: "),
        ("systems:\n  a: {}\n  b: {}\n  a: {}\n", "the key 'a' is given twice\n  in "),
        ("1: one\n", "1: Keys should be strings"),
    ],
)
def test_a_file_that_is_not_a_study(load, content: str | bytes, message: str) -> None:
    assert message in message_of_error(load, content)


def test_yaml_merges_still_work(load) -> None:
    text = yaml.safe_dump(STUDY) + "\n"
    values = yaml.safe_load(text)
    training = values["systems"]["small"].pop("training")
    values["systems"]["small"]["training"] = "HERE"
    text = yaml.safe_dump(values).replace("training: HERE", "training: {<<: &base {epochs: 7, batch: 9}, epochs: 8}")
    loaded_training = load(text).systems["small"].training
    assert (loaded_training.epochs, loaded_training.batch) == (8, 9)
    assert training["epochs"] != 8


# ---------------------------------------------------------------- settings


def test_settings() -> None:
    settings = load_settings({"studies": "demo,circor", "root": "somewhere"})
    assert (settings.studies, settings.root) == (["demo", "circor"], "somewhere")
    source = "config/config.yaml or --config"
    for values, message in (
        (
            {"studies": "demo", "rot": "x"},
            f"{source}: rot: unknown key (did you mean 'root'?); known keys: cases, device, form, ",
        ),
        ({"studies": ["demo"], "tracking": {"url": "x"}}, f"{source}: tracking.url: unknown key (did you mean 'uri'?)"),
        ({"study": "demo"}, f"{source}: study: unknown key (did you mean 'studies'?)"),
        ({"studies": ""}, f"{source}: studies: List should have at least 1 item"),
        ({"studies": 5}, f"{source}: studies: Input should be a valid list (it is 5)"),
    ):
        with pytest.raises(ConfigError) as error:
            load_settings(values)
        assert message in str(error.value)


@pytest.mark.parametrize("cases", ["13918,84", [13918, 84], ["13918", "84"]])
def test_cases_as_text_and_as_numbers(cases):
    assert load_settings({"studies": "demo", "cases": cases}).cases == ["13918", "84"]
    assert load_settings({"studies": "demo", "cases": 13918}).cases == ["13918"]


def test_a_study_cannot_have_the_name_of_a_folder_of_results(tmp_path):
    (tmp_path / "cache.yaml").write_text(SMALL_STUDY.read_text())
    with pytest.raises(ConfigError, match="give the study another name"):
        load_study("cache", tmp_path)


# ---------------------------------------------------------------- names


def grades(classes: list, heads: dict | None = None, name: str = "grade") -> dict:
    """Values of a study with one target of one multiclass head; heads: more of its heads."""
    values = copy.deepcopy(STUDY)
    head = {"label": "murmur", "kind": "multiclass", "classes": classes}
    values["tasks"] = {"grades": {"heads": {"grade": head, **(heads or {})}}}
    values["targets"] = {name: {"label": "murmur", "classes": classes, "heads": ["grade"]}}
    values["systems"]["small"] |= {"tasks": ["grades"], "inference": {}}
    values.pop("fusion", None)
    return values


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(classes=distinct(2, 4))
def test_any_text_is_the_name_of_a_class(load, classes: list[str]) -> None:
    assert load(grades(classes)).targets["grade"].classes == classes


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(word=st.sampled_from([*(["yes", "no", "on", "Off", "true", "0", "007", "1.5", "null", "~", "2024-01-31"]), ""]))
@pytest.mark.parametrize("place", ["targets.grade.classes.1", "tasks.grades.heads.grade.classes.1"])
def test_a_word_that_yaml_takes_for_something_else_needs_quotation_marks(load, place: str, word: str) -> None:
    text = yaml.safe_dump(grades(["mild", "severe"]))
    message = message_of_error(load, text.replace("- severe", f"- {word}"))
    assert f"{place}: Input should be a valid string" in message and "put quotation marks round it" in message
    if word:
        assert load(text.replace("- severe", f"- '{word}'")).targets["grade"].classes == ["mild", word]


@pytest.mark.parametrize("option", [True, 7, 1.5, None])
def test_a_folder_of_the_command_line_that_is_read_as_a_number(option: Any) -> None:
    values = {"studies": ["demo"], "recordings": option}
    if option is None:
        assert load_settings(values).recordings is None
        return
    with pytest.raises(ConfigError, match=r"recordings: .*; the command line reads .* write `recordings=./NAME`"):
        load_settings(values)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "an empty cell means that a case has no label"),
        ("a|b", "`|` separates several labels of one cell"),
        (" a", "blanks around a cell are no part of it"),
        ("a\tb", "has a control character"),
    ],
)
def test_a_class_that_no_cell_can_have_is_refused(load, name: str, message: str) -> None:
    assert f"targets.grade.classes.1: {name!r}: {message}"[-len(message) :] in message_of_error(
        load, grades(["x", name])
    )
    values = with_value("dataset", {"name": "x", "adapter": "folder", "root": "x"})
    values["dataset"]["options"] = {"labels": {"murmur": ["x", name]}}
    assert message in message_of_error(load, values)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, head=st.from_regex(r"[a-z][a-z0-9_]{0,4}", fullmatch=True))
def test_two_heads_with_the_same_column_are_refused(load, name: str, head: str) -> None:
    other = {"label": "murmur", "kind": "multiclass", "classes": [name, f"{name}x"]}
    classes = [f"{head}_{name}", "y"]
    message = message_of_error(load, grades(classes, {f"grade_{head}": other}))
    assert f"head 'grade', class {classes[0]!r} and head 'grade_{head}', class {name!r} have the same column" in message
    assert "give one of these heads another name" in message


def test_a_target_with_the_column_of_a_head_is_refused(load) -> None:
    message = message_of_error(load, grades(["b:c", "c"], {}, "p_grade_b"))
    assert "targets.p_grade_b: its class 'c' has the same column as head 'grade', class 'b:c'" in message


@pytest.mark.parametrize("column", ["case", "role"])
def test_a_label_with_the_name_of_a_column_of_the_folds_is_refused(load, column: str) -> None:
    message = message_of_error(load, with_value("targets.murmur.label", column))
    assert f"targets.murmur.label: {column!r} is a column of the folds" in message


def test_labels_of_the_study_itself_are_no_pre_training(load) -> None:
    values = copy.deepcopy(STUDY)
    small = values["systems"]["small"]
    heads = {"ill": {"label": "murmur", "positive": ["Present"]}}
    values["pretrainings"] = {
        "labels": {
            "method": {"name": "supervised", "options": {"heads": heads}},
            "front_end": small["front_end"],
            "network": {key: small["network"][key] for key in ("name", "options") if key in small["network"]},
        }
    }
    assert message_of_error(load, values).startswith("pretrainings.labels.train_on: supervised learns labels of other")
    values["pretrainings"]["labels"]["train_on"] = {
        "datasets": [
            {"name": "far", "adapter": "cinc2016", "root": "far", "rate_hz": STUDY["dataset"].get("rate_hz", 4000)}
        ]
    }
    assert load(values).pretrainings["labels"].other_datasets()[0].options["url"].startswith("https")


@pytest.mark.parametrize(
    ("network", "of", "message"),
    [
        ("compact", "case", "compact reads windows of a recording; set it to recording"),
        ("case_attention", "recording", "case_attention reads windows of a case; set it to case"),
    ],
)
def test_a_network_gets_the_windows_that_it_reads(load, network: str, of: str, message: str) -> None:
    values = copy.deepcopy(STUDY)
    values["systems"]["small"] |= {"network": {"name": network}, "segment": {"of": of}}
    values["systems"]["small"].get("training", {}).pop("augment", None)
    assert message_of_error(load, values) == f"systems.small.segment.of: {message}"
    values["systems"]["small"]["segment"]["of"] = "case" if of == "recording" else "recording"
    load(values)


def test_embeddings_need_an_encoder(load) -> None:
    values = copy.deepcopy(STUDY)
    values["fusion"] = {"systems": ["small"], "features": ["embeddings"]}
    assert message_of_error(load, values).startswith(
        "fusion.features: `embeddings` are vectors of the front end encoder"
    )


def test_a_pre_training_reads_recordings(load) -> None:
    values = copy.deepcopy(STUDY)
    small = values["systems"]["small"]
    network = {"name": "case_attention"}
    values["pretrainings"] = {"views": {"method": {"name": "cpc"}, "front_end": small["front_end"], "network": network}}
    message = "pretrainings.views.network.name: case_attention reads cases, not recordings; take another one"
    assert message_of_error(load, values) == message


def test_the_studies_that_are_judged_on_each_other_have_one_system() -> None:
    a, b = (load_study(name, STUDIES).systems["band"] for name in ("cinc2016", "circor_band"))
    assert a == b


def test_pre_training_on_own_or_other_recordings_is_all_that_two_studies_differ_in() -> None:
    own, outside = (
        load_study(name, STUDIES).model_dump(exclude={"description"}) for name in ("circor_cpc", "circor_outside")
    )
    assert own["pretrainings"]["cpc"].pop("train_on") == "fold"
    assert outside["pretrainings"]["cpc"].pop("train_on")["datasets"][0]["name"] == "cinc2016"
    assert own == outside


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_a_method_that_contrasts_subjects_reads_no_mixed_windows(load, mixing):
    values = copy.deepcopy(STUDY)
    front_end = {"name": "samples", "settings": {"rate_hz": 4000}}
    network = {"name": "clocs", "options": {"widths": [2, 4, 4], "places": 4, "embedding": 8, "stride": 2}}
    views = {"method": {"name": "clocs", "options": {"views": "cmsc"}}, "front_end": front_end, "network": network}
    values["pretrainings"] = {"views": views}
    values["systems"]["ecg"] = copy.deepcopy(values["systems"]["small"]) | {
        "front_end": front_end,
        "network": {**network, "pretraining": "views"},
    }
    load(values)
    views["training"] = {"augment": {mixing: 0.4}}
    assert "pretrainings.views.training.augment: clocs contrasts subjects" in message_of_error(load, values)


@pytest.mark.parametrize("rate_hz", [100, 250, 500])
@pytest.mark.parametrize("name", ["light_transformer", "mamil", "mina"])
def test_samples_and_networks_that_find_beats_have_the_rate_of_the_audio(load, name, rate_hz):
    values = copy.deepcopy(STUDY)
    key = "rate_hz"
    values["dataset"] |= {"rate_hz": rate_hz}
    values["systems"]["small"] |= {
        "front_end": {"name": "samples", "settings": {"rate_hz": rate_hz}},
        "network": {"name": name, "options": {key: rate_hz}},
    }
    values["systems"]["small"]["training"] = {}
    load(values)
    values["systems"]["small"]["network"]["options"][key] = 2 * rate_hz
    message = message_of_error(load, values)
    assert f"{SMALL}.network.options.{key}: it is {2 * rate_hz}, and the samples have {rate_hz} a second" in message
    values["systems"]["small"]["front_end"]["settings"]["rate_hz"] = rate_hz + 1
    message = message_of_error(load, values)
    assert f"{SMALL}.front_end.settings.rate_hz: it is {rate_hz + 1}, and dataset.rate_hz is {rate_hz}" in message


@pytest.mark.parametrize("kernel", [2, 4, 10])
def test_a_kernel_without_a_middle_is_refused(load, kernel):
    values = copy.deepcopy(STUDY)
    values["systems"]["small"]["network"] = {"name": "mobilenet1d", "options": {"kernel": kernel}}
    assert f"a kernel of {kernel} has no middle" in message_of_error(load, values)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"epochs": 3, "head_epochs": 4}, "head_epochs: 4 is more than the 3 epochs"),
        ({"epochs": 3, "augment": {"mixup": 0.4, "mix_from": 3}}, "augment.mix_from: 3 is not one of 3 epochs"),
    ],
)
def test_what_would_never_begin_is_refused(load, training, message):
    values = copy.deepcopy(STUDY)
    values["systems"]["small"]["training"] = training
    assert message in message_of_error(load, values)


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("dataset.rate_hz", "04000", 4000),
        ("systems.small.inference.passes", "010", 10),
        ("protocol.seed", "0777", 777),
        ("evaluation.draws", "0x100", 256),
        ("systems.small.training.epochs", "yes", None),
        ("systems.small.segment.seconds", "1:30", None),
        ("systems.small.segment.seconds", "true", None),
        ("protocol.folds", "1:30", None),
        ("evaluation.draws", "-0100", None),
    ],
)
def test_numbers_are_what_they_look_like(tmp_path, path, text, value):
    """Of YAML 1.1, 04000 is 2048, 1:30 is 90, and yes is 1."""
    values = yaml.safe_load((STUDIES / "demo.yaml").read_text(encoding="utf-8"))
    *parents, last = path.split(".")
    place = values
    for key in parents:
        place = place.setdefault(key, {})
    place[last] = "PLACE"
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(values).replace("PLACE", text))
    if value is None:
        with pytest.raises(ConfigError, match=last):
            load_study("demo", tmp_path)
        return
    found = load_study("demo", tmp_path).model_dump()
    for key in (*parents, last):
        found = found[key]
    assert found == value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), word=st.sampled_from(["yes", "No", "on", "true", "FALSE"]))
def test_a_truth_value_is_no_number_anywhere(load, data, word: str) -> None:
    """YAML reads `yes` and `on` as true, which Python takes for 1; in lists and options of plug-ins too."""
    values = load(STUDY).model_dump(mode="json")
    *parents, last_key = path = data.draw(st.sampled_from(numbers_in(values)))
    parent = values
    for key in parents:
        parent = parent[key]
    parent[last_key] = yaml.safe_load(word)
    message = message_of_error(load, values)
    if "needs a number" in message:  # 1 can be refused for another reason before
        assert ".".join(map(str, path)) in message.replace(": ", ".")


def test_truth_values_in_lists_and_options_of_plug_ins_are_named(load) -> None:
    values = with_value("targets.murmur.weights", [5, True, 1])
    assert "targets.murmur.weights.1: needs a number, not true or false" in message_of_error(load, values)
    values = with_value(f"{SMALL}.front_end.settings", {"bands": True})
    assert f"{SMALL}.front_end.settings: bands: needs a number" in message_of_error(load, values)
