"""The models of a study: every range, every reference, every key; messages name the key and the value."""

import copy
import importlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from auscult import datasets, features, networks
from auscult.config import base, command_line, dataset, fusion, protocols, study, systems, targets
from auscult.config.study import Study
from auscult.pretraining import methods

HEADS = {
    "present": {"label": "murmur", "positive": ["Present"], "train_on": {"column": "audible", "positive": ["yes"]}},
    "unknown": {"label": "murmur", "positive": ["Unknown"]},
}
STUDY = {
    "description": "every part of a study",
    "dataset": {"name": "made", "adapter": "folder", "root": "somewhere", "options": {"labels": {"murmur": []}}},
    "targets": {
        "murmur": {
            "label": "murmur",
            "classes": ["Present", "Unknown", "Absent"],
            "weights": [5, 3, 1],
            "heads": ["present", "unknown"],
            "referral": {"classes": ["Present"], "label": "outcome", "positive": ["Abnormal"]},
        }
    },
    "protocol": {"name": "group_cv"},
    "leak": {"allow": False},
    "tasks": {"present": {"heads": {"present": HEADS["present"]}}, "unknown": {"heads": {"unknown": HEADS["unknown"]}}},
    "systems": {
        "small": {
            "tasks": ["present", "unknown"],
            "front_end": {"name": "band1k"},
            "network": {"name": "dbresnet"},
            "inference": {"pool": {"present": {"recordings": "max"}}},
        },
    },
    "inner_folds": {},
    "fusion": {"systems": ["small"], "booster": {}, "tuning": {}},
}
TAUGHT = copy.deepcopy(STUDY)
TAUGHT["systems"]["taught"] = {
    **STUDY["systems"]["small"],
    "network": {"name": "dbresnet", "pretraining": "views"},
    "training": {"teacher": {"system": "small"}},
}
TAUGHT["pretrainings"] = {
    "views": {"method": {"name": "clocs"}, "front_end": {"name": "band1k"}, "network": {"name": "dbresnet"}}
}
OTHERS = copy.deepcopy(STUDY)
OTHERS["extra_training"] = [
    {
        "dataset": {"name": "far", "adapter": "folder", "root": "far"},
        "heads": {"present": {"column": "ill", "words": {"yes": "Present", "no": "Absent"}}},
    }
]
RHYTHM = {"label": "rhythm", "kind": "multilabel", "classes": ["af", "lbbb", "pvc"]}
PROTOCOLS = {
    "group_cv": {},
    "cv10": {},
    "walker": {},
    "m2d3": {},
    "fixed": {"file": "roles.csv"},
    "column": {"column": "fold", "val": ["9"], "test": ["10"]},
}
SMALL = "systems.small"
TEACHER = "systems.taught.training.teacher"
REMOVED = object()


def with_value(path: str, value: Any) -> dict:
    """STUDY with `value` at a dotted path (missing levels are made), or without what stands there.

    A path in the system `taught`, or in its pre-training, is one of TAUGHT.
    """
    values = copy.deepcopy(TAUGHT if path.startswith(("systems.taught", "pretrainings")) else STUDY)
    at = values
    *parents, last = path.split(".")
    for key in parents:
        at = at.setdefault(key, {})
    if value is REMOVED:
        del at[last]
    else:
        at[last] = value
    return values


def problems(values: dict) -> list[tuple[str, str]]:
    """(dotted key, message) of every problem; [] when the study is fine."""
    try:
        Study.model_validate(values)
    except ValidationError as error:
        return [(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]
    return []


def refused(values: dict) -> str:
    found = problems(values)
    assert len(found) == 1, found
    return f"{found[0][0]}: {found[0][1]}"


def test_the_full_study_is_fine_and_cannot_be_changed() -> None:
    study = Study.model_validate(STUDY)
    assert Study.model_validate(study.model_dump()) == study
    with pytest.raises(ValidationError, match="frozen"):
        study.systems["small"].training.epochs = 3
    assert study.targets["murmur"].class_weights() == [5, 3, 1]
    assert targets.Target(label="x", classes=["a", "b"], heads=["h"]).class_weights() == [1, 1]


# ---------------------------------------------------------------- keys


def levels(values: Any, path: tuple = ()) -> Iterator[tuple[tuple, list[str]]]:
    """(path, keys) of every model in a dumped study: not of dictionaries whose keys are names or options."""
    if isinstance(values, dict):
        if path[-1:] not in [
            ("targets",),
            ("tasks",),
            ("heads",),
            ("systems",),
            ("pretrainings",),
            ("pool",),
            ("options",),
            ("settings",),
            ("ensembles",),
            ("external",),
        ]:
            yield path, list(values)
        for key, value in values.items():
            if key not in ("options", "settings"):
                yield from levels(value, (*path, key))


FULL = Study.model_validate(TAUGHT).model_dump()
LEVELS = {".".join(path) or "study": (path, keys) for path, keys in levels(FULL)}


def test_yaml_reads_every_key_as_text() -> None:
    """A key such as `on` would be a truth value, and no study could have it without quotation marks."""
    parts = [base, command_line, dataset, fusion, protocols, study, systems, targets]
    plug_ins = {"networks": networks, "pretraining.methods": methods, "datasets": datasets}
    parts += [
        importlib.import_module(f"auscult.{folder}.{name}")
        for folder, package in plug_ins.items()
        for name in package.names()
    ]
    parts += [importlib.import_module(features.module_of(name)) for name in features.names()]
    models = [each for part in parts for each in vars(part).values() if isinstance(each, type)]
    keys = {key for model in models if issubclass(model, BaseModel) for key in model.model_fields}
    assert len(keys) > 200
    assert {key for key in keys if yaml.safe_load(f"{key}: 1") != {key: 1}} == set()


def test_every_model_is_among_the_levels() -> None:
    models = {
        model
        for part in (dataset, fusion, protocols, study, systems, targets)
        for model in vars(part).values()
        if isinstance(model, type) and issubclass(model, base.Strict) and model.__module__ == part.__name__
    }
    elsewhere = {
        protocols._RandomDraw,
        protocols.CV10,
        protocols.Walker,
        protocols.M2D3,
        protocols.Fixed,
        protocols.Column,
    }
    elsewhere |= {systems.Ensemble, systems.OtherDatasets, targets.TargetClasses}
    elsewhere |= {dataset.ExtraTraining, dataset.OtherLabel}
    found = {frozenset(keys) for _, keys in LEVELS.values()}
    assert found == {frozenset(model.model_fields) for model in models - elsewhere}


@pytest.mark.parametrize("level", LEVELS)
def test_an_unknown_key_is_refused_at_every_level(level: str) -> None:
    path, _ = LEVELS[level]
    key = ".".join((*path, "nonsense"))
    assert problems(with_value(key, 1)) == [(tagged(key), "Extra inputs are not permitted")]


def tagged(key: str) -> str:
    return key.replace("protocol.", "protocol.group_cv.")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_refuses_an_unknown_key(name: str) -> None:
    protocol = {"name": name, **PROTOCOLS[name]}
    assert problems(with_value("protocol", protocol)) == []
    assert refused(with_value("protocol", {**protocol, "nonsense": 1})).startswith(f"protocol.{name}.nonsense: Extra")


@pytest.mark.parametrize(
    "key",
    [
        *("description", "dataset", "targets", "protocol", "tasks", "systems", "protocol.name"),
        *("dataset.name", "dataset.adapter", "dataset.root", "targets.murmur.label", "targets.murmur.classes"),
        *("targets.murmur.heads", "targets.murmur.referral.label", "tasks.present.heads", f"{SMALL}.tasks"),
        *(f"{SMALL}.front_end", f"{SMALL}.front_end.name", f"{SMALL}.network", "fusion.systems"),
    ],
)
def test_a_required_key_that_is_missing(key: str) -> None:
    assert any(where in (key, "protocol") for where, _ in problems(with_value(key, REMOVED)))


# ---------------------------------------------------------------- ranges

COUNTS = [
    *("dataset.rate_hz", "dataset.shards", "fusion.latents", "fusion.booster.rounds", "protocol.repeats"),
    "fusion.tuning.trials",
    *(f"{SMALL}.training.{key}" for key in ("epochs", "batch", "crops", "patience", "seeds", "augment.band_mask")),
    *(f"{SMALL}.inference.{key}" for key in ("passes", "batch", "pool.present.k")),
]
POSITIVE = [
    *("dataset.short_s", f"{SMALL}.segment.seconds", f"{SMALL}.segment.hop_s", f"{SMALL}.training.learning_rate"),
    *(f"{SMALL}.training.augment.time_mask_s", "fusion.booster.learning_rate", f"{SMALL}.training.gradient_norm"),
    *(
        "fusion.logistic.c",
        "fusion.logits.c",
        "fusion.tuning.minutes",
        "fusion.booster.min_child_weight",
        "fusion.booster.reg_lambda",
    ),
]
NOT_NEGATIVE = [
    *(f"{SMALL}.training.augment.{key}" for key in ("mixup", "cutmix", "mix_from", "time_masks", "gain")),
    *(f"{SMALL}.training.augment.{key}" for key in ("band_masks", "noise")),
    *(f"{SMALL}.training.augment.time_shift_s", f"{SMALL}.training.weight_decay"),
]
SEEDS = ["protocol.seed", f"{SMALL}.training.seed", "fusion.booster.seed", "evaluation.seed"]
RANGES = [
    *((key, [1, 1000], [0, -1, 1.5, 10**9, "many", None]) for key in COUNTS),
    *((key, [0.001, 7], [0, -1, float("nan"), float("inf"), "long"]) for key in POSITIVE),
    *((key, [0, 3], [-1, float("nan"), float("inf"), "some"]) for key in NOT_NEGATIVE),
    *((key, [0, 2**31 - 1], [-1, 2**31, 0.5]) for key in SEEDS),
    ("protocol.folds", [2, 1000], [1, 0, 1001, 10**9]),
    ("fusion.tuning.folds", [2, 10], [1, 0]),
    ("inner_folds.folds", [2, 10], [1, 0, 10**9]),
    ("inner_folds.seeds", [1, 3], [0, 1.5, 10**9]),
    ("inner_folds.repeats", [1, 3], [0, 1.5]),
    ("inner_folds.val", [0.01, 0.99], [0, 1]),
    ("inner_folds.seed", [0, 2**31 - 1], [-1, 2**31]),
    ("protocol.val", [0.01, 0.99], [0, 1, -0.1, float("nan")]),
    (f"{SMALL}.training.warmup", [0, 0.99], [-0.1, 1, float("nan")]),
    (f"{SMALL}.training.moving_average", [0, 0.99], [-0.1, 1, float("nan")]),
    (f"{SMALL}.training.augment.cutmix_share", [0, 1], [-0.1, 1.1]),
    ("fusion.embeddings", [1, 64], [0, 1.5]),
    ("fusion.booster.max_depth", [1, 8], [0, 9]),
    ("fusion.booster.subsample", [0.1, 1], [0, 1.1]),
    ("fusion.booster.colsample", [0.1, 1], [0, 1.1]),
    ("evaluation.draws", [100], [99, 10**9]),
    *((f"{SMALL}.segment.{key}", [0.001, 86_400], [1e-9, 1e9]) for key in ("seconds", "hop_s")),
    (f"{SMALL}.training.labels", [0.01, 1], [0, 1.1, -0.1, float("nan")]),
    (f"{SMALL}.training.encoder_rate", [0.01, 1], [0, 1.1, -0.1, float("nan")]),
    (f"{SMALL}.training.head_epochs", [0, 3], [-1, 0.5]),
    (f"{TEACHER}.negatives", [1, 1000], [0, -1, 1.5]),
    (f"{TEACHER}.temperature", [0.5, 4], [0, -1, float("nan"), float("inf")]),
    *((f"{TEACHER}.{key}", [0, 2], [-1, float("nan")]) for key in ("weight", "label_weight", "contrast")),
]
CHOICES = {
    "dataset.channels": "stereo",
    "dataset.sample_format": "int8",
    "targets.murmur.kind": "binary",
    "tasks.present.heads.present.kind": "regression",
    f"{SMALL}.segment.of": "subject",
    f"{SMALL}.training.optimiser": "sgd",
    f"{TEACHER}.loss": "both",
    f"{SMALL}.training.schedule": "step",
    f"{SMALL}.training.sampling": "all",
    f"{SMALL}.training.balance": "both",
    f"{SMALL}.training.select": "f1",
    f"{SMALL}.training.patch_mix": "pixels",
    f"{SMALL}.training.precision": "float16",
    f"{SMALL}.inference.pool.present.segments": "median",
    f"{SMALL}.inference.pool.present.recordings": "median",
    "fusion.missing_site": "mean",
    "evaluation.choose_by": "cost",
    "fusion.booster.weigh": "median",
    "fusion.logistic.weigh": "median",
    "fusion.logits.weigh": "median",
    "fusion.tuning.objective": "auroc",
}


@pytest.mark.parametrize(("key", "good", "bad"), RANGES, ids=[key for key, *_ in RANGES])
def test_ranges(key: str, good: list, bad: list) -> None:
    for value in good:
        values = with_value(key, value)
        if key.endswith("training.labels"):  # a share of them needs a study without inner folds
            values |= {"inner_folds": None, "fusion": None}
        assert problems(values) == []
    for value in bad:
        assert tagged(key) in [where for where, _ in problems(with_value(key, value))], value


@pytest.mark.parametrize(("key", "value"), CHOICES.items())
def test_choices(key: str, value: str) -> None:
    assert key in [where for where, message in problems(with_value(key, value)) if "Input should be" in message]


def test_every_number_and_choice_of_a_study_is_in_the_tables() -> None:
    """A new key with a number in it must be added to RANGES."""
    ranged = {key for key, *_ in RANGES}
    numbers = {
        ".".join((*path, key))
        for path, keys in LEVELS.values()
        for key in keys
        if type(at(FULL, (*path, key))) in (int, float)
    }
    # a number that several parts of a study have is tried in one of them
    tried_once = {key if key.startswith(TEACHER) else re.sub(r"^\w+\.(taught|views)", SMALL, key) for key in numbers}
    assert tried_once - ranged == set()


def at(values: Any, path: tuple) -> Any:
    for key in path:
        values = values[key]
    return values


@pytest.mark.parametrize("name", ["Small", "1st", "a-b", "a b", "", "a/b", "../a"])
@pytest.mark.parametrize("level", ["targets", "tasks", "systems", "tasks.present.heads", f"{SMALL}.inference.pool"])
def test_names_are_plain_words(level: str, name: str) -> None:
    value = next(iter(at(STUDY, tuple(level.split("."))).values()))
    values = copy.deepcopy(STUDY)
    at(values, tuple(level.split(".")))[name] = value
    assert f"{level}.{name}.[key]" in [where for where, _ in problems(values)]


@pytest.mark.parametrize(
    "key", ["targets", "tasks", "systems", "tasks.present.heads", f"{SMALL}.tasks", "fusion.systems"]
)
def test_what_may_not_be_empty(key: str) -> None:
    empty = type(at(STUDY, tuple(key.split("."))))()
    assert key in [where for where, message in problems(with_value(key, empty)) if "at least 1 item" in message]


@pytest.mark.parametrize(
    ("key", "twice"),
    [
        ("targets.murmur.decisions", ["cost", "cost"]),
        ("fusion.systems", ["small", "small"]),
        ("fusion.fit_on", ["train", "train"]),
        ("fusion.features", ["latents", "latents"]),
        ("fusion.learners", ["logistic", "logistic"]),
        ("evaluation.subgroups", ["site", "site"]),
        ("protocol", {"name": "m2d3", "lists": [1, 1]}),
        ("protocol", {"name": "walker", "seeds": [3, 3]}),
    ],
)
def test_nothing_is_named_twice(key: str, twice: Any) -> None:
    assert refused(with_value(key, twice)).endswith("is named twice")


# ---------------------------------------------------------------- what must fit together


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("targets.murmur.classes", ["Present", "Present", "Absent"], "names a class twice"),
        ("targets.murmur.classes", ["Present"], "targets.murmur.classes: List should have at least 2 items"),
        ("targets.murmur.weights", [5, 3], "targets.murmur: Value error, weights: 2 weights for 3 classes"),
        ("targets.murmur.weights", [5, 3, 0], "targets.murmur.weights.2: Input should be greater than 0"),
        ("targets.murmur.referral.classes", ["Loud"], "referral.classes: ['Loud'] not among the classes ['Present'"),
        ("targets.murmur.referral.classes", [], "targets.murmur.referral.classes: List should have at least 1 item"),
        ("targets.murmur.referral.positive", [], "targets.murmur.referral.positive: List should have at least 1 item"),
        ("targets.murmur.heads", ["present"], "heads: needs one multiclass head, or a binary head for each of ['Pre"),
        ("targets.murmur.heads", [], "targets.murmur.heads: needs one multiclass head"),
        (
            "targets.murmur.heads",
            ["present", "loud"],
            "targets.murmur.heads: no system trains all of ['present', 'loud']",
        ),
        ("targets.murmur.heads", ["unknown", "present"], "'unknown' stands for the class 'Present': its label must be"),
        ("targets.murmur.label", "outcome", "'present' stands for the class 'Present': its label must be 'outcome'"),
        ("tasks.present.heads.present.positive", ["Unknown"], "and its positive ['Present']"),
        ("tasks.present.heads.present.positive", [], "a binary head needs `positive`, and no `classes`"),
        ("tasks.present.heads.present.classes", ["a", "b"], "a binary head needs `positive`, and no `classes`"),
        (
            "tasks.present.heads.present.kind",
            "multiclass",
            "a multiclass head needs at least two `classes`, and no `pos",
        ),
        ("tasks.present.heads.present.train_on", {"column": "audible"}, "train_on: needs `positive` for a binary head"),
        ("leak", {"allow": True}, "leak: Value error, because: give the reason why the leak is allowed"),
        ("leak", {"allow": True, "because": "  "}, "because: give the reason why the leak is allowed"),
        (f"{SMALL}.tasks", ["present", "loud"], f"{SMALL}.tasks: 'loud' is not one of ['present', 'unknown']"),
        (f"{SMALL}.tasks", ["present", "present", "unknown"], "the head 'present' is in two of its tasks"),
        (
            f"{SMALL}.inference.pool",
            {"loud": {}},
            f"{SMALL}.inference.pool: 'loud' is not one of ['present', 'unknown']",
        ),
        (
            "systems.winner",
            STUDY["systems"]["small"],
            "systems: `winner` is the name of what `snakemake predict` applies; choose another name",
        ),
        (
            "systems.chosen",
            STUDY["systems"]["small"],
            "systems: `chosen` is the name of a row of the tables; choose another name",
        ),
        (
            "fusion",
            {"systems": ["small"], "fit_on": ["inner_folds"], "features": ["latents"]},
            "`latents` are not used with inner_folds; add another block",
        ),
        (
            "fusion",
            {"systems": ["small"], "learners": ["logistic"], "blend": True},
            "fusion: Value error, blend: needs the learner xgboost; add xgboost to learners",
        ),
        ("fusion.systems", ["large"], "fusion.systems: 'large' is not one of ['small']"),
        ("protocol", {"name": "column", "column": "f", "val": ["1"], "test": ["2", "1"]}, "test: '1' is in `val` too"),
        (
            "protocol",
            {"name": "column", "column": "f", "val": ["1"], "test": []},
            "protocol.column.test: List should have",
        ),
        ("protocol", {"name": "cv10", "val": 0.8, "test": 0.2}, "val: 0.8 and test 0.2 leave no training case"),
        ("protocol", {"name": "walker", "val": 0.6, "test": 0.5}, "val: 0.6 and test 0.5 leave no training case"),
        ("protocol", {"name": "walker", "seeds": []}, "protocol.walker.seeds: List should have at least 1 item"),
        ("protocol", {"name": "m2d3", "lists": [4]}, "protocol.m2d3.lists.0: Input should be 1, 2 or 3"),
    ],
)
def test_parts_that_do_not_fit_together(key: str, value: Any, words: str) -> None:
    assert words in refused(with_value(key, value))


OF_CASES = {"of": "case", "seconds": 90.0}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("training.augment", {"time_masks": 1}, "training.augment: is for windows of recordings"),
        ("training.augment", {"mixup": 0.2}, "training.augment: is for windows of recordings"),
        ("training.patch_mix", "labels", "training.patch_mix: is for windows of recordings"),
        ("training.resident", False, "training.resident: is for windows of recordings, and segment.of is `case`; set"),
        ("training.teacher", {"system": "other"}, "training.teacher: is for windows of recordings"),
        ("network.pretraining", "views", "network.pretraining: is for windows of recordings"),
        ("inference.pool", {"present": {"recordings": "noisy_or"}}, "inference.pool.present.recordings: with segment"),
    ],
)
def test_what_windows_of_cases_do_not_have(key: str, value: Any, words: str) -> None:
    values = with_value(f"{SMALL}.segment", OF_CASES)
    assert problems(values) == []
    first, second = key.split(".")
    values["systems"]["small"].setdefault(first, {})[second] = value
    assert words in refused(values)


def test_neither_a_teacher_nor_a_pre_training_reads_cases() -> None:
    values = copy.deepcopy(TAUGHT)
    values["pretrainings"]["views"]["segment"] = OF_CASES
    assert "segment.of: a pre-training reads windows of recordings" in refused(values)
    values = copy.deepcopy(TAUGHT)
    teacher = values["systems"]["taught"]["training"]["teacher"]["system"]
    values["systems"][teacher]["segment"] = OF_CASES
    assert f"{teacher!r} reads cases, not recordings; choose another system" in refused(values)


def test_embeddings_are_of_encoders() -> None:
    values = with_value("fusion.features", ["probabilities", "embeddings"])
    values["systems"]["small"]["front_end"] = {"name": "encoder", "settings": {"file": "a.onnx"}}
    assert problems(values) == []
    fused = Study.model_validate(values)
    assert fused.fused_encoders("small") == ["small"]
    values["systems"] |= dict.fromkeys(("again", "plain", "far"), values["systems"]["small"])
    values["systems"]["plain"] = {**values["systems"]["plain"], "front_end": {"name": "band1k"}}
    far = {"name": "encoder", "settings": {"file": "b.onnx"}}
    values["systems"]["far"] = {**values["systems"]["far"], "front_end": far}
    values["ensembles"] = {"all": {"systems": ["plain", "small", "again", "far"]}}
    assert Study.model_validate(values).fused_encoders("all") == ["small", "far"]
    values["fusion"]["features"] = ["probabilities"]
    assert Study.model_validate(values).fused_encoders("all") == []


PAIR = {"small": STUDY["systems"]["small"], "other": STUDY["systems"]["small"]}
OTHER = STUDY["systems"]["small"]


def selected(by: str) -> dict:
    """The small system with another choice of the epoch."""
    return OTHER | {"training": {**OTHER.get("training", {}), "select": by}}


@pytest.mark.parametrize(
    ("systems", "ensembles", "words"),
    [
        (PAIR, {"pair": {"systems": ["small", "other"]}}, ""),
        (PAIR, {"pair": {"systems": ["small"]}}, "ensembles.pair.systems: List should have at least 2 items"),
        (PAIR, {"pair": {"systems": ["small", "small"]}}, "'small' is named twice"),
        (
            PAIR,
            {"pair": {"systems": ["small", "lost"]}},
            "ensembles.pair.systems: 'lost' is not one of",
        ),
        (PAIR, {"small": {"systems": ["small", "other"]}}, "ensembles.small: a system has this name"),
        (PAIR, {"chosen": {"systems": ["small", "other"]}}, "`chosen` is the name of a row of the tables"),
        (
            PAIR | {"other": OTHER | {"inference": {}}},
            {"pair": {"systems": ["small", "other"]}},
            "in inference.pool",
        ),
        (
            PAIR | {"other": OTHER | {"inference": {**OTHER["inference"], "passes": 7}}},
            {"pair": {"systems": ["small", "other"]}},
            "ensembles.pair: 'small' and 'other' differ in inference.passes",
        ),
        (
            PAIR | {"other": OTHER | {"tasks": ["present"]}},
            {"pair": {"systems": ["small", "other"]}},
            "in tasks",
        ),
        (PAIR, {"pair": {"systems": ["small", "other"], "weigh": "validation"}}, ""),
        (PAIR, {"pair": {"systems": ["small", "other"], "weigh": "best"}}, "should be 'equal' or 'validation'"),
        (PAIR, {"pair": {"systems": ["small", "other"], "mean": True}}, "Extra inputs are not permitted"),
        (
            PAIR | {"other": selected("loss")},
            {"pair": {"systems": ["small", "other"], "weigh": "validation"}},
            "ensembles.pair.weigh: `validation` needs the same training.select, not `last`, in all its systems; "
            "'other' has 'loss'",
        ),
        (
            PAIR | {"other": selected("test")},
            {"pair": {"systems": ["small", "other"]}},
            "ensembles.pair: test cases choose the epoch of 'other'; leave it out",
        ),
    ],
)
def test_ensembles(systems: dict, ensembles: dict, words: str) -> None:
    values = with_value("systems", systems) | {"ensembles": ensembles}
    assert words in refused(values) if words else problems(values) == []


def test_an_ensemble_may_be_fused() -> None:
    values = with_value("systems", PAIR) | {"ensembles": {"pair": {"systems": ["small", "other"]}}}
    values["fusion"] = {**STUDY["fusion"], "systems": ["pair"]}
    assert problems(values) == []


def test_an_epoch_chosen_by_test_cases_serves_nothing_else() -> None:
    assert problems(with_value("systems", PAIR | {"other": selected("test")})) == []
    assert "not counting training.select: test" in refused(with_value("systems", {"small": selected("test")}))
    values = with_value("systems", PAIR | {"other": selected("test")})
    values["fusion"] = {**STUDY["fusion"], "systems": ["other"]}
    assert "fusion.systems: test cases choose the epoch of 'other'; leave it out" in refused(values)


def test_what_bagging_cannot_stand_beside() -> None:
    bag = {"inner_folds": {"bag": True}}
    plain = with_value("fusion.features", ["probabilities"]) | bag
    assert problems(plain) == []
    words = "fusion.features: another number of networks of 'small' scores the test cases"
    assert words in refused(with_value("fusion.features", ["probabilities", "uncertainty"]) | bag)
    other = with_value("systems", PAIR | {"other": selected("test")})["systems"]
    assert "systems.other.training.select: with `test`" in refused(plain | {"systems": other})
    weighed = {"systems": PAIR, "ensembles": {"both": {"systems": list(PAIR), "weigh": "validation"}}}
    assert problems({**plain, **weighed, "inner_folds": {}}) == []
    for inner in ({"bag": True}, {"repeats": 2}):
        assert "ensembles.both.weigh: `validation` compares" in refused({**plain, **weighed, "inner_folds": inner})


@pytest.mark.parametrize(
    ("seeds", "inner", "is_equal"),
    [(1, {}, True), (5, {}, False), (5, {"seeds": 5}, True), (1, {"repeats": 2}, False), (2, {"repeats": 2}, True)],
)
def test_a_second_stage_reads_the_uncertainty_of_as_many_networks_as_score_the_test_cases(
    seeds: int, inner: dict, is_equal: bool
) -> None:
    values = with_value("systems.small.training", {"seeds": seeds}) | {"inner_folds": inner}
    values["fusion"] |= {"fit_on": ["inner_folds"], "features": ["probabilities", "uncertainty"]}
    if is_equal:
        assert problems(values) == []
    else:
        assert "another number of networks of 'small'" in refused(values)
    values["fusion"]["features"] = ["probabilities"]
    assert problems(values) == []


def test_the_last_epoch_needs_inner_folds_to_choose_thresholds() -> None:
    values = with_value("systems.small.training", {"select": "last"})
    values["fusion"]["fit_on"] = ["inner_folds"]
    assert problems(values) == []
    for fit_on in ("validation", "train"):
        fusion = {**values["fusion"], "fit_on": ["inner_folds", fit_on]}
        message = f"`{fit_on}` needs validation cases, on which 'small' is trained too"
        assert message in refused({**values, "fusion": fusion})
    assert "and the row chosen need inner_folds" in refused({**values, "inner_folds": None, "fusion": None})


@pytest.mark.parametrize("label", ["murmur", "outcome"])
def test_a_head_of_several_classes_learns_the_label_that_its_target_scores(label: str) -> None:
    values = with_value("targets.murmur.heads", ["m"])
    classes = values["targets"]["murmur"]["classes"]
    values["tasks"] = {"all": {"heads": {"m": {"label": label, "kind": "multiclass", "classes": classes}}}}
    values |= {"targets": {"murmur": values["targets"]["murmur"]}, "fusion": None, "extra_training": []}
    values["systems"] = {"small": {**values["systems"]["small"], "tasks": ["all"], "inference": {}}}
    values |= {"ensembles": {}, "external": {}}
    found = problems(values)
    assert found == [] if label == "murmur" else "must be the target's, 'murmur'" in found[0][1]


def test_a_share_of_labels_is_refused_where_more_than_networks_would_read_all() -> None:
    values = with_value("systems.small.training.labels", 0.5)
    assert "only the networks would learn from a share" in refused(values)


def test_an_ensemble_with_inner_folds_has_as_many_networks_of_each_system() -> None:
    values = with_value("systems.small.training.seeds", 2)
    values["systems"]["other"] = STUDY["systems"]["small"]
    values |= {"ensembles": {"both": {"systems": ["small", "other"]}}, "fusion": None}
    assert "all need the same training.seeds ({'small': 2, 'other': 1})" in refused(values)
    assert problems(values | {"inner_folds": None}) == []


def test_two_tasks_of_a_system_with_the_same_head() -> None:
    values = with_value("tasks.again", {"heads": {"present": HEADS["present"]}})
    assert problems(values) == []  # as long as no system trains both
    values["systems"]["small"]["tasks"].append("again")
    assert "systems.small.tasks: the head 'present' is in two of its tasks" in refused(values)


def with_rhythm(**target: Any) -> dict:
    """A second target, multilabel, with its own system."""
    values = with_value("tasks.rhythm", {"heads": {"rhythm": RHYTHM}})
    values["systems"]["ecg"] = {**STUDY["systems"]["small"], "tasks": ["rhythm"], "inference": {}}
    values["targets"]["rhythm"] = {**RHYTHM, "heads": ["rhythm"], "decisions": ["reference"], **target}
    return values


def test_a_multilabel_target() -> None:
    study = Study.model_validate(with_rhythm())
    assert list(study.targets_of(study.systems["ecg"])) == ["rhythm"]
    assert list(study.targets_of(study.systems["small"])) == ["murmur"]
    assert list(study.heads_of(study.systems["small"])) == ["present", "unknown"]
    assert study.heads_of(study.systems["ecg"])["rhythm"].outputs == 3
    words = "targets.rhythm.heads: label and classes of head 'rhythm' must be the target's"
    assert words in refused(with_rhythm(classes=["lbbb", "af", "pvc"]))
    assert "targets.rhythm.heads: needs one multiclass head" in refused(with_rhythm(kind="multiclass"))
    alone = with_rhythm()
    del alone["targets"]["murmur"]
    assert "fusion: needs a multiclass target" in refused(alone)
    both = with_rhythm()
    both["systems"]["listener"] = {**both["systems"]["small"], "tasks": ["rhythm"], "inference": {}}
    both["fusion"]["systems"] = ["small", "listener"]
    assert "fusion.systems: 'listener' serves no multiclass target; leave it out" in refused(both)


def test_a_multiclass_head_serves_a_target_alone_and_has_no_positive() -> None:
    head = {"label": "murmur", "kind": "multiclass", "classes": ["Present", "Unknown", "Absent"]}
    values = with_value("tasks", {"all": {"heads": {"murmur": head}}})
    values["targets"]["murmur"]["heads"] = ["murmur"]
    values["systems"]["small"].update(tasks=["all"], inference={})
    assert problems(values) == []
    head["train_on"] = {"column": "audible", "positive": ["yes"]}
    assert "train_on: needs `positive` for a binary head, and has none for others" in refused(values)
    head["train_on"] = {"column": "audible"}
    assert problems(values) == []
    values["targets"]["murmur"]["classes"] = ["Absent", "Unknown", "Present"]
    assert "label and classes of head 'murmur' must be the target's" in refused(values)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("given", "names"), [("a", ["a"]), ("a,b", ["a", "b"]), ("a,,b,", ["a", "b"]), (["a", "b"], ["a", "b"])]
)
def test_studies_of_the_command_line(given: Any, names: list[str]) -> None:
    read = command_line.Settings.model_validate({"studies": given})
    assert read.studies == names
    assert (read.root, read.tracking.uri) == (None, "sqlite:///results/mlflow.db")


@pytest.mark.parametrize("values", [{}, {"studies": ""}, {"studies": []}, {"studies": ","}, {"studies": 5}])
def test_some_study_must_be_named(values: dict) -> None:
    with pytest.raises(ValidationError, match="studies"):
        command_line.Settings.model_validate(values)


# ---------------------------------------------------------------- other data sets


def with_others(path: str, value: Any) -> dict:
    """OTHERS with `value` at a dotted path below its extra data set."""
    values = copy.deepcopy(OTHERS)
    at = values["extra_training"][0]
    *parents, last = path.split(".")
    for key in parents:
        at = at[key]
    at[last] = value
    return values


def test_extra_training_data_are_accepted() -> None:
    assert problems(OTHERS) == []
    assert [each.name for each in Study.model_validate(OTHERS).other_datasets()] == ["far"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("dataset.name", "made", "dataset.name: 'made' is the study's own data set"),
        ("dataset.rate_hz", 2000, "dataset.rate_hz: 2000 is not the study's 4000"),
        ("dataset.channels", "all", "dataset.channels: 'all' is not the study's 'mean'"),
        ("heads", {"presence": OTHERS["extra_training"][0]["heads"]["present"]}, "heads: 'presence' is not one of"),
        ("heads.present.words", {}, "at least 1 item"),
        ("heads.present.words", {"yes": "a|b"}, "separates several labels"),
        ("heads.present.words", {"yes": "Presnt"}, "heads.present.words: 'Presnt' is not one of ['Absent', 'Present'"),
        ("heads.present.words", {"yes": "audible"}, "'audible' is not one of"),
        ("heads.present.nonsense", 1, "Extra inputs"),
        ("nonsense", 1, "Extra inputs"),
    ],
)
def test_extra_training_data_that_do_not_fit_are_refused(path: str, value: Any, message: str) -> None:
    assert message in refused(with_others(path, value))


def test_words_of_a_head_with_classes_are_its_classes() -> None:
    values = copy.deepcopy(OTHERS)
    head = {"label": "murmur", "kind": "multiclass", "classes": ["Present", "Absent"]}
    values["tasks"]["more"] = {"heads": {"sound": head}}
    label = {"column": "ill", "words": {"yes": "Present", "no": "absent"}}
    values["extra_training"][0]["heads"] = {"sound": label}
    assert "heads.sound.words: 'absent' is not one of ['Absent', 'Present']" in refused(values)
    label["words"]["no"] = "Absent"
    assert problems(values) == []


def test_a_teacher_does_not_answer_for_other_data_sets() -> None:
    values = {**copy.deepcopy(OTHERS), "systems": TAUGHT["systems"], "pretrainings": TAUGHT["pretrainings"]}
    assert "the teacher of 'taught' does not answer for other data sets" in refused(values)


@pytest.mark.parametrize("key", ["rate_hz", "channels"])
def test_an_encoder_is_pre_trained_on_frames_of_the_study(key: str) -> None:
    value = {"rate_hz": 16000, "channels": "all"}[key]
    values = copy.deepcopy(TAUGHT)
    values["pretrainings"]["views"]["train_on"] = {
        "datasets": [{"name": "far", "adapter": "folder", "root": "far", key: value}]
    }
    assert f"pretrainings.views.train_on.datasets.0.{key}: {value!r} is not the study's" in refused(values)


@pytest.mark.parametrize(("own", "other", "same"), [("circor", "circor", True), ("circor", "folder", False)])
def test_ids_mean_the_same_subject_in_parts_of_one_release(own: str, other: str, same: bool) -> None:
    values = {"name": "x", "root": "x"}
    first, second = (dataset.Dataset(adapter=adapter, **values) for adapter in (own, other))
    assert first.has_ids_of(second) is same
    assert not second.model_copy(update={"adapter": "folder"}).has_ids_of(
        second.model_copy(update={"adapter": "folder"})
    )


def test_a_data_set_is_named_once_and_read_from_memory() -> None:
    values = copy.deepcopy(OTHERS)
    values["extra_training"] *= 2
    assert "the data set 'far' is named twice; join its heads in one entry" in refused(values)
    values = copy.deepcopy(OTHERS)
    values["systems"]["small"]["training"] = {"resident": False}
    assert "set systems.small.training.resident: true" in refused(values)


def test_words_of_external_labels_are_classes_of_the_target() -> None:
    label = {"column": "ill", "words": {"yes": "Present", "no": "Absent"}}
    assert problems({**STUDY, "external": {"folder": {"murmur": label}}}) == []
    assert "external.folder: 'murmurs' is not one of" in refused({**STUDY, "external": {"folder": {"murmurs": label}}})
    label = {"column": "ill", "words": {"yes": "present"}}
    assert "external.folder.murmur.words: 'present' is" in refused({**STUDY, "external": {"folder": {"murmur": label}}})
