"""What goes wrong at night: killed jobs, a killed Snakemake, a full disk, damaged files, MLflow away. Each time a rerun
finishes, with the same tables bit by bit. Every test prints a row of docs/reliability.md (pytest -s)."""

import copy
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from auscult.datasets import simulate
from tests.workflow.harness import Project, copy_workflow
from tests.workflow.test_reruns import STUDY

pytestmark = pytest.mark.slow
RULES = [
    *(
        "ingest",
        "cache_audio",
        "extract_features",
        "describe",
        "assign_folds",
        "audit_folds",
        "count_groups",
        "init_tracking",
        "train",
    ),
    *("infer", "aggregate", "fuse", "decide", "make_tables", "plot", "report", "track"),
]
TIMES = ["train_s", "epoch_s"]  # the columns that no two runs share
MIB = [1, 2, 3, 4, 6]


def fresh(home: Path) -> Project:
    """A study with everything in it, not run yet."""
    project = copy_workflow(home)
    options = simulate.Options(subjects=24, seed=3, seconds=(3.0, 4.0), twins=0.0)
    simulate.fetch(project.path("resources/tiny"), options, lambda line: None)
    study = copy.deepcopy(STUDY) | {"protocol": {"name": "group_cv", "folds": 2, "val": 0.4}}
    study["fusion"]["features"] = ["probabilities", "statistics"]
    project.study("tiny", **study)
    return project


def tables(project: Project) -> list:
    """What must not differ."""
    home = project.path("results/tiny")
    board = pd.read_csv(home / "tables/leaderboard.csv", dtype=str).drop(columns=TIMES)
    return [(home / "predictions.csv").read_bytes(), (home / "scores.csv").read_bytes(), board.to_csv()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> list:
    project = fresh(tmp_path_factory.mktemp("undisturbed"))
    project.run()
    return tables(project)


def survived(project: Project, undisturbed: list, fault: str, tries: int) -> None:
    """The rerun finishes, says the same, leaves nothing half, and then has nothing to do."""
    project.run()
    assert tables(project) == undisturbed
    left = [path for path in project.path("results").rglob(".*") if path.is_file() and path.name != ".lock"]
    assert [path for path in left if path.name not in (".snakemake_timestamp",)] == []
    assert project.run().jobs == {}
    print(f"| {fault} | {tries} | {tries} |")


def jobs_of(project: Project, rule: str) -> list[int]:
    """Processes that run a rule's script."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        script = words[1] if len(words) > 1 else ""
        if "python" in words[0] and script.startswith(str(project.home)) and script.endswith(f".{rule}.py"):
            found.append(int(path.parts[2]))
    return found


def test_a_killed_job_of_every_rule(tmp_path, undisturbed):
    project, chance = fresh(tmp_path / "project"), random.Random(0)

    def kill(rule: str, killed: list[str]) -> None:
        while not killed:
            for pid in jobs_of(project, rule)[:1]:
                time.sleep(chance.choice([0.0, 0.3, 1.0]))
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(rule)
                except ProcessLookupError:  # it had ended
                    killed.append("")
            time.sleep(0.005)

    tries = 0
    for rule in RULES:
        killed: list[str] = []
        watcher = threading.Thread(target=kill, args=(rule, killed), daemon=True)
        watcher.start()
        command = [Path(sys.executable).parent / "snakemake", "--until", rule, "--cores", "2"]
        done = subprocess.run([*command, "--config", "studies=tiny"], cwd=project.home, capture_output=True, text=True)
        watcher.join(timeout=1)
        assert killed, f"no job of {rule} was seen:\n{(done.stdout + done.stderr)[-2000:]}"
        assert not killed[0] or done.returncode != 0, rule
        tries += bool(killed[0])
    assert tries >= len(RULES) - 3
    survived(project, undisturbed, "`kill -9` of a job, of every rule once", tries)


def test_a_killed_snakemake(tmp_path, undisturbed):
    project, chance, tries = fresh(tmp_path / "project"), random.Random(1), 6
    for _ in range(tries):
        command = [Path(sys.executable).parent / "snakemake", "--cores", "2", "--config", "studies=tiny"]
        run = subprocess.Popen(
            command, cwd=project.home, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(6, 14))
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    survived(project, undisturbed, "`kill -9` of Snakemake with all its jobs, at any moment", tries)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk(tmp_path, undisturbed):
    project = fresh(tmp_path / "project")
    results = project.path("results")
    results.mkdir()
    full = 0
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MIB[0]}m", "tmpfs", results], check=True)
    try:
        for size in MIB:
            subprocess.run(["mount", "-o", f"remount,size={size}m", results], check=True)
            command = [Path(sys.executable).parent / "snakemake", "--cores", "2", "--config", "studies=tiny"]
            done = subprocess.run(command, cwd=project.home, capture_output=True, text=True)
            full += done.returncode != 0
        assert full >= 3
        subprocess.run(["mount", "-o", "remount,size=200m", results], check=True)
        survived(project, undisturbed, "a full disk, at different steps", full)
    finally:
        subprocess.run(["umount", results], check=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Project:
    project = fresh(tmp_path_factory.mktemp("finished"))
    project.run()
    return project


HARMS = {
    "cut": lambda raw: raw[: len(raw) // 2],
    "empty": lambda raw: b"",
    "flipped": lambda raw: raw[:50] + bytes([raw[50] ^ 255]) + raw[51:],
}


@pytest.mark.parametrize("kind", ["audio", "band1k"])
def test_a_damaged_shard(finished, undisturbed, kind):
    """A job that meets it names it; once it is deleted, it is made again. One that is made anew is never half."""
    for harm in HARMS.values():
        (path,) = finished.path(f"results/cache/tiny/{kind}").glob("shard-000.h5")
        path.write_bytes(harm(path.read_bytes()))
        shutil.rmtree(finished.path("results/tiny"))
        shutil.rmtree(
            finished.path(f"results/cache/tiny/{'band1k' if kind == 'audio' else 'none'}"), ignore_errors=True
        )
        words = finished.run(fails=True).output
        assert "shard-000.h5: damaged" in words and "delete it and run snakemake again" in words
        path.unlink()
        finished.run()
        assert tables(finished) == undisturbed
    print(f"| a shard of {kind} cut, emptied, a byte flipped | {len(HARMS)} | {len(HARMS)} |")


def test_mlflow_away(finished, undisturbed):
    """Locked, deleted, no database at all, of another version: the study ends, and a later run completes the store."""
    store = finished.path("results/mlflow.db")

    def run_anew(written: bool) -> None:
        shutil.rmtree(finished.path("results/tiny"))
        finished.run()
        assert tables(finished) == undisturbed
        assert f'"written": {str(written).lower()}' in finished.path("results/tiny/tracked.json").read_text()

    lock = sqlite3.connect(store, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    run_anew(written=False)
    lock.rollback()
    lock.close()
    assert "track" in finished.run().jobs
    store.unlink()
    run_anew(written=True)
    for harm in (lambda: store.write_bytes(b"no database"), lambda: _older(store)):
        harm()
        run_anew(written=False)
        store.unlink()
        assert "track" in finished.run().jobs
    print("| MLflow's store locked, deleted, no database, of another version | 4 | 4 |")


def _older(store: Path) -> None:
    with sqlite3.connect(store) as database:
        database.execute("UPDATE alembic_version SET version_num = '000000000000'")


def test_two_snakemakes(tmp_path, undisturbed):
    project = fresh(tmp_path / "project")
    command = [Path(sys.executable).parent / "snakemake", "--cores", "2", "--config", "studies=tiny"]
    first = subprocess.Popen(command, cwd=project.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not project.path("results/tiny/.lock").is_file():
        time.sleep(0.05)
    time.sleep(0.5)
    first.send_signal(signal.SIGSTOP)  # or it might be done before the second looks
    assert "another Snakemake is running it" in project.run(fails=True).output
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    survived(project, undisturbed, "two Snakemakes on one study", 1)
