"""A team's tracking: a real MLflow server on PostgreSQL; sixteen jobs at once, and a server that is killed midway."""

import copy
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from auscult import tracking
from auscult.datasets import simulate
from tests.test_tracking import WRITE, complete, runs
from tests.workflow.harness import copy_workflow
from tests.workflow.test_reruns import STUDY

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BIN is None or os.geteuid() != 0, reason="no PostgreSQL here, or not root (Debian: apt-get install postgresql)"
    ),
]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Iterator[str]:
    """Address of a PostgreSQL that lives as long as this module."""
    home, port = Path("/tmp") / f"auscult-postgresql-{os.getpid()}", free_port()
    home.mkdir()
    shutil.chown(home, "postgres", "postgres")

    def as_postgres(*words: str) -> None:
        subprocess.run(["runuser", "-u", "postgres", "--", *words], check=True, cwd="/", stdout=subprocess.DEVNULL)

    as_postgres(str(BIN / "initdb"), "-D", f"{home}/data", "--auth=trust")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {home}"
    as_postgres(str(BIN / "pg_ctl"), "-D", f"{home}/data", "-l", f"{home}/log", "-o", options, "-w", "start")
    yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    as_postgres(str(BIN / "pg_ctl"), "-D", f"{home}/data", "-m", "immediate", "stop")
    shutil.rmtree(home)


class Server:
    """`mlflow server` that can be killed and started again at the same address."""

    def __init__(self, database: str, home: Path) -> None:
        self.database, self.home, self.port = database, home, free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # it looks for uvicorn there
        words = ["server", "--host", "127.0.0.1", "--port", str(self.port), "--backend-store-uri", self.database]
        with (self.home / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).parent / "mlflow", *words, "--artifacts-destination", str(self.home / "files")],
                env=os.environ | {"PATH": path},
                cwd=self.home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(240):
            try:
                if requests.get(f"{self.address}/health", timeout=5).ok:
                    return
            except requests.RequestException:
                time.sleep(0.5)
        raise AssertionError((self.home / "server.log").read_text()[-3000:])

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(database, tmp_path) -> Iterator[Server]:
    server = Server(database, tmp_path)
    server.start()
    yield server
    server.kill()


def test_sixteen_jobs_at_once(server, tmp_path):
    assert tracking.initialise(server.address, "study", tmp_path / "artifacts")
    command = [sys.executable, "-c", WRITE, server.address, str(tmp_path / "artifacts")]
    path = {"PYTHONPATH": str(Path(tracking.__file__).parents[1])}
    with ThreadPoolExecutor(16) as pool:
        done = list(
            pool.map(lambda n: subprocess.run([*command, str(n)], env=path, capture_output=True, text=True), range(16))
        )
    assert all(one.returncode == 0 and "tracking:" not in one.stderr for one in done), done[0].stderr
    found = runs(server.address)
    assert len(found) == 17
    assert all(found[f"train/small/task r0f{n}"].data.metrics["train_loss"] == pytest.approx(1 / 3) for n in range(16))
    assert complete(server.address, tmp_path)
    assert list((tmp_path / "files").rglob("report.html"))  # kept by the server, not beside the study
    assert not list((tmp_path / "artifacts").rglob("report.html"))


def test_a_study_outlives_its_server(server, tmp_path):
    """The server dies when the first network is trained; the study ends without it, a later run completes the store."""
    project = copy_workflow(tmp_path / "project")
    options = simulate.Options(subjects=24, seed=3, seconds=(3.0, 4.0), twins=0.0)
    simulate.fetch(project.path("resources/tiny"), options, lambda line: None)
    project.study("tiny", **copy.deepcopy(STUDY) | {"protocol": {"name": "group_cv", "folds": 2, "val": 0.4}})
    settings = project.path("config/config.yaml")
    settings.write_text(re.sub(r"uri: .*", f"uri: {server.address}", settings.read_text()))

    def kill_when_trained() -> None:
        while not list(project.path("results").glob("tiny/networks/*/*/*/manifest.json")):
            time.sleep(0.1)
        server.kill()

    watcher = threading.Thread(target=kill_when_trained, daemon=True)
    watcher.start()
    project.run()
    watcher.join(timeout=1)
    assert not watcher.is_alive()
    tracked = project.path("results/tiny/tracked.json")
    assert project.path("results/tiny/report.html").is_file() and not json.loads(tracked.read_text())["written"]
    server.start()
    assert set(project.run().jobs) == {"track"}
    assert json.loads(tracked.read_text())["written"]
    from mlflow import MlflowClient

    client = MlflowClient(server.address)
    found = client.search_runs([client.get_experiment_by_name("tiny").experiment_id], max_results=500)
    keys = {run.data.tags[tracking.KEY] for run in found}
    assert {"study", "system/small", "train/small/outcome r0f0", "train/small/outcome r0f1"} <= keys
