"""Devices by lock file, with pretended GPUs."""

import random
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import torch

from auscult.training import device as module
from auscult.training.device import MemoryFull, device, seed_everything
from auscult.training.job import Resources

HOLD = """
import sys, time
from pathlib import Path
from auscult.training.device import device
from auscult.training.job import Resources
with device(Resources(Path(sys.argv[1]), 1, int(sys.argv[2])), count=1):
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


def acquire(locks, networks_per_gpu=1, **options):
    return device(Resources(locks, 1, networks_per_gpu), wait_s=0.01, **options)


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
        [sys.executable, "-c", HOLD, str(tmp_path), "1"],
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


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize(("count", "each"), [(1, 1), (1, 4), (2, 3), (4, 2)])
def test_networks_share_gpus(tmp_path, count, each):
    """A GPU is full before the next one is used; after n on each there is no place left."""
    with ExitStack() as stack:
        taken = [stack.enter_context(acquire(tmp_path, each, count=count)).index for _ in range(count * each)]
        assert taken == [number for number in range(count) for _ in range(each)]
        with pytest.raises(AssertionError, match="all devices are busy"):
            stack.enter_context(acquire(tmp_path, each, count=count))
    with acquire(tmp_path, each, count=count) as torch_device:
        assert torch_device.index == 0


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_network_frees_its_place_on_a_shared_gpu(tmp_path, seed):
    command = [sys.executable, "-c", HOLD, str(tmp_path), "3"]
    holders = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)}) for _ in range(3)
    ]
    try:
        assert all(holder.stdout.readline() == b"acquired\n" for holder in holders)
        with pytest.raises(AssertionError, match="busy"), acquire(tmp_path, 3, count=1):
            pass
        killed = random.Random(seed).choice(holders)
        killed.kill()
        killed.wait(10)
        with acquire(tmp_path, 3, count=1) as torch_device:
            assert torch_device.index == 0
    finally:
        for holder in holders:
            holder.kill()
            holder.stdout.close()
            holder.wait(10)


@pytest.mark.parametrize(("each", "key"), [(1, "training.batch"), (4, "networks_per_gpu")])
def test_a_full_memory_says_what_to_lower(tmp_path, each, key):
    with pytest.raises(MemoryFull, match=key), acquire(tmp_path, each, count=1):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_without_a_gpu_the_cpu_is_free_for_all(tmp_path):
    with acquire(tmp_path / "locks", count=0) as first, acquire(tmp_path / "locks", count=0) as second:
        assert first == second == torch.device("cpu")
    assert not (tmp_path / "locks").exists()


def test_threads_are_bounded(tmp_path):
    with device(Resources(tmp_path, 2), count=0):
        assert torch.get_num_threads() == 2
    with device(Resources(tmp_path, 0), count=0):
        assert torch.get_num_threads() == 1


def test_seed_everything():
    seed_everything(3, deterministic=True)
    first = torch.rand(4)
    seed_everything(3, deterministic=False)
    assert torch.equal(torch.rand(4), first)
