"""Devices by lock file, with pretended GPUs."""

import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import torch

from auscult.training import device as module
from auscult.training.device import device, seed_everything

HOLD = """
import sys, time
from pathlib import Path
from auscult.training.device import device
with device(Path(sys.argv[1]), 1, count=1):
    print("acquired", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def _no_waiting(monkeypatch):
    def busy(seconds):
        raise AssertionError("all devices are busy")

    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=busy))


def acquire(locks, **options):
    return device(locks, 1, wait_s=0.01, **options)


def test_two_holders_get_two_devices_and_the_third_waits(tmp_path):
    got, leave = [], threading.Event()

    def third():
        with acquire(tmp_path, count=2) as torch_device:
            got.append(torch_device)
            leave.wait(10)

    waiting = threading.Thread(target=third)
    with acquire(tmp_path, count=2) as first:
        with acquire(tmp_path, count=2) as second:
            assert {first, second} == {torch.device("cuda", 0), torch.device("cuda", 1)}
            waiting.start()
            waiting.join(0.2)
            assert not got
        for _ in range(500):
            if got:
                break
            waiting.join(0.01)
        assert got == [second]  # the one that came free
        leave.set()
    waiting.join(10)
    assert not waiting.is_alive()


@pytest.mark.usefixtures("_no_waiting")
def test_a_device_is_given_back_after_an_error(tmp_path):
    with pytest.raises(BlockingIOError), acquire(tmp_path, count=1):
        raise BlockingIOError  # an error like that of a busy lock, but of the job's own
    with acquire(tmp_path, count=1) as torch_device:
        assert torch_device == torch.device("cuda", 0)


@pytest.mark.usefixtures("_no_waiting")
def test_a_killed_holder_frees_its_device(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    try:
        assert holder.stdout.readline() == b"acquired\n"
        with acquire(tmp_path, count=2) as torch_device:
            assert torch_device.index == 1
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        with acquire(tmp_path, count=2) as torch_device:
            assert torch_device.index == 0
    finally:
        holder.kill()
        holder.stdout.close()
        holder.wait(10)


@pytest.mark.usefixtures("_no_waiting")
def test_jobs_that_see_different_devices_do_not_clash(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with acquire(tmp_path, count=2) as first, acquire(tmp_path, count=2) as second:
        assert (first.index, second.index) == (0, 1)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
        with acquire(tmp_path, count=2) as third:
            assert third.index == 0
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,4")
        with acquire(tmp_path, count=2) as third:
            assert third.index == 1


def test_without_a_gpu_the_cpu_is_free_for_all(tmp_path):
    with acquire(tmp_path / "locks", count=0) as first, acquire(tmp_path / "locks", count=0) as second:
        assert first == second == torch.device("cpu")
    assert not (tmp_path / "locks").exists()


def test_threads_are_bounded(tmp_path):
    with device(tmp_path, 2, count=0):
        assert torch.get_num_threads() == 2
    with device(tmp_path, 0, count=0):
        assert torch.get_num_threads() == 1


def test_seed_everything():
    seed_everything(3, deterministic=True)
    first = torch.rand(4)
    seed_everything(3, deterministic=False)
    assert torch.equal(torch.rand(4), first)
