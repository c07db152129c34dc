"""Options of networks on disk: the same study with and without the memory, whatever the memory contains."""

import json
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml

from auscult import network_options
from auscult.studies import ConfigError, load_study

STUDIES = Path(__file__).parents[1] / "config" / "studies"


def entries(memory: Path) -> list[dict]:
    return list(json.loads(memory.read_text())["entries"].values())


def validated(options: dict, model):
    return model.model_validate(options)


@pytest.mark.parametrize("name", ["demo", "circor_cpu", "circor_pretraining", "ecg"])
def test_the_study_is_the_same(tmp_path, name):
    memory = tmp_path / "options.json"
    studies = [load_study(name, STUDIES, None, file) for file in (None, memory, memory)]
    assert studies[0] == studies[1] == studies[2]
    assert memory.is_file()


def test_pytorch_is_loaded_once(tmp_path):
    code = (
        "import sys; from pathlib import Path; from auscult.studies import load_study; "
        f"load_study('demo', Path({str(STUDIES)!r}), None, Path({str(tmp_path / 'm.json')!r})); "
        "print('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(STUDIES.parents[1] / "workflow")}
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    assert [run.stdout.strip() for run in runs] == ["True", "False"]


def test_other_options_and_other_code_are_read_anew(tmp_path, monkeypatch):
    memory = tmp_path / "options.json"
    values = yaml.safe_load((STUDIES / "demo.yaml").read_text(encoding="utf-8"))
    file = tmp_path / "demo.yaml"
    for widths in ([16, 32, 64], [8, 16, 32]):
        values["systems"]["small"]["network"]["options"]["widths"] = widths
        file.write_text(yaml.safe_dump(values))
        assert load_study("demo", tmp_path, None, memory).systems["small"].network.options["widths"] == widths
    values["systems"]["small"]["network"]["options"] = {"widht": [1]}
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match="widht: unknown key"):
        load_study("demo", tmp_path, None, memory)
    assert len(entries(memory)) == 2
    monkeypatch.setattr(network_options, "code_digest", lambda files: "other")
    load_study("demo", STUDIES, None, memory)
    assert len(entries(memory)) == 3


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_memory_is_written_again(tmp_path, seed):
    memory, rng = tmp_path / "options.json", random.Random(seed)
    expected = load_study("demo", STUDIES, None, memory)
    text = bytearray(memory.read_bytes())
    place = rng.randrange(len(text))
    flipped = text.copy()
    flipped[place] ^= 1 << rng.randrange(8)
    memory.write_bytes([text[:place], flipped, flipped, b"[1]", b'{"a": 1}'][seed % 5])
    assert load_study("demo", STUDIES, None, memory) == expected
    assert len(entries(memory)) == 1


def test_the_memory_does_not_grow_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(network_options, "MOST_ENTRIES", 3)
    memory = tmp_path / "options.json"
    for blocks in range(1, 6):
        options = {"widths": [8] * blocks}
        network_options.network_facts("compact", options, partial(validated, options), memory)
    kept = [len(entry["options"]["widths"]) for entry in entries(memory)]
    assert kept == [3, 4, 5]
