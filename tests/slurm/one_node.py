"""Run a small study on a real Slurm of one node, started here for the test; `make test-slurm`, as root on Debian.

Packages: slurm-wlm, munge. The node pretends a GPU. Fails unless the study finishes through Slurm, a training asked
for a GPU and was run again after it had been killed, and a second run has nothing to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from auscult.datasets import simulate
from tests.workflow.harness import Project, copy_workflow
from tests.workflow.test_reruns import STUDY

CONF = """ClusterName=test
SlurmctldHost=localhost
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmctldPidFile={home}/ctld.pid
SlurmdPidFile={home}/d.pid
SlurmdSpoolDir={home}/spool
StateSaveLocation={home}/state
SlurmUser=root
SlurmdUser=root
SchedulerType=sched/backfill
SelectType=select/cons_tres
GresTypes=gpu
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MinJobAge=3600
NodeName=localhost CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def start(home: Path) -> None:
    """Munge, controller and node daemon; waits until the node is idle."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 - 2000
    for folder in ("spool", "state"):
        (home / folder).mkdir()
    Path("/etc/slurm").mkdir(exist_ok=True)
    Path("/etc/slurm/slurm.conf").write_text(CONF.format(home=home, cpus=os.cpu_count(), memory=memory))
    Path("/etc/slurm/gres.conf").write_text("NodeName=localhost Name=gpu File=/dev/null\n")
    for folder in ("/run/munge", "/var/log/munge"):
        Path(folder).mkdir(exist_ok=True)
        shutil.chown(folder, "munge", "munge")
    subprocess.run(["su", "munge", "-s", "/bin/sh", "-c", "/usr/sbin/munged --force"], check=True)
    subprocess.run(["slurmctld"], check=True)
    time.sleep(2)
    subprocess.run(["slurmd"], check=True)
    for _ in range(30):
        if "idle" in subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True).stdout:
            return
        time.sleep(1)
    raise SystemExit("slurm: the node did not become idle; see /var/log/slurm")


def stop(home: Path) -> None:
    """End the daemons by their process ids."""
    for file in (home / "d.pid", home / "ctld.pid", Path("/run/munge/munged.pid")):
        if file.is_file():
            subprocess.run(["kill", file.read_text().strip()])


def run(project: Project) -> str:
    """The study through Slurm; returns what Snakemake said."""
    command = [Path(sys.executable).parent / "snakemake", "--workflow-profile", "profiles/slurm", "--jobs", "4"]
    command += ["--max-threads", str(os.cpu_count())]
    command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "5"]
    done = subprocess.run(
        [*command, "--config", "studies=tiny"], cwd=project.home, capture_output=True, text=True, timeout=1500
    )
    words = done.stdout + done.stderr
    if done.returncode:
        raise SystemExit(words[-6000:])
    return words


def kill_one_training(seen: list[str]) -> None:
    """Cancel the first training that runs, as a node's failure would."""
    while True:  # a daemon thread: it ends with the run
        fields = "JobID:20,tres-per-job:20,Comment:80"
        listed = subprocess.run(["squeue", "-h", "-t", "R", "-O", fields], capture_output=True, text=True).stdout
        for line in listed.splitlines():
            job, gres, comment = [*line.split(), "", ""][:3]
            if "train" in comment:
                seen.append(f"{comment} asked for {gres}")
                subprocess.run(["scancel", "--signal=KILL", "--full", job])
                return
        time.sleep(1)


def main() -> None:
    """Everything in order; the daemons are stopped whatever happens."""
    home = Path(tempfile.mkdtemp(prefix="slurm-"))
    project = copy_workflow(home / "project")
    options = simulate.Options(subjects=24, seed=3, seconds=(3.0, 4.0), twins=0.0)
    simulate.fetch(project.path("resources/tiny"), options, lambda line: None)
    project.study("tiny", **{**STUDY, "fusion": None, "protocol": {"name": "group_cv", "folds": 2}})
    start(home)
    try:
        killed: list[str] = []
        watcher = threading.Thread(target=kill_one_training, args=(killed,), daemon=True)
        watcher.start()
        words = run(project)
        assert killed, "no training was seen in the queue"
        assert "gpu" in killed[0], f"a training asked for no GPU: {killed[0]}"
        assert project.path("results/tiny/report.html").is_file(), words[-3000:]
        assert "Nothing to be done" in run(project)
        print(f"slurm: the study finished; killed and run again: {killed[0]}")
    finally:
        stop(home)


if __name__ == "__main__":
    main()
