"""Harmed inputs end in a result or in a clear error: never in a crash, a hang, much memory or a path outside."""

import json
import os
import subprocess
import sys

import pytest

from tests.fuzz.inputs import KINDS, TOP


def tried(kind: str, count: int, seed: int) -> dict[str, int]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TOP), str(TOP / "workflow")])}
    words = [sys.executable, "-m", "tests.fuzz.inputs", kind, str(count), str(seed)]
    done = subprocess.run(words, cwd=TOP, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_harmed_inputs(kind):
    found = tried(kind, 150, seed=1)
    assert sum(found.values()) == 150 and found["error"] > 15


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_thousand_harmed_inputs(kind):
    assert sum(tried(kind, 15_000, seed=2).values()) == 15_000
