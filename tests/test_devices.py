"""Devices: a GPU that PyTorch cannot use stops a run before its first job, unless the CPU is asked for."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from auscult import devices
from auscult.devices import DeviceError, any_gpu, gpus_of_driver, networks_per_gpu, usable_gpus

CARD = "NVIDIA H200, 570.1"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """`machine(driver, torch_sees, build)`: what nvidia-smi and PyTorch answer."""

    def set_up(driver: list[str], torch_sees: list[str], build: str | None = "12.8", error: str | None = None) -> None:
        def init() -> None:
            if error:
                raise RuntimeError(error)

        cuda = SimpleNamespace(
            is_available=lambda: bool(torch_sees) and os.environ.get("CUDA_VISIBLE_DEVICES") != "",
            device_count=lambda: len(torch_sees),
            get_device_name=lambda number: torch_sees[number],
            init=init,
        )
        fake = SimpleNamespace(cuda=cuda, version=SimpleNamespace(cuda=build), __version__="2.13.0")
        monkeypatch.setitem(__import__("sys").modules, "torch", fake)
        tool = tmp_path / "nvidia-smi"
        tool.write_text("#!/bin/sh\n" + ("\n".join(f"echo '{line}'" for line in driver) if driver else "exit 9"))
        tool.chmod(tool.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(devices, "gpus_of_driver", lambda *_: gpus_of_driver(tmp_path / "dev"))
        monkeypatch.setattr(devices, "any_gpu", lambda: any_gpu(tmp_path / "dev"))

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return set_up


def test_gpus_that_pytorch_opens_are_used(machine):
    machine([CARD, CARD], ["H200", "H200"])
    assert usable_gpus("auto") == ["H200", "H200"]


def test_no_gpu_anywhere_is_the_cpu(machine):
    machine([], [])
    assert usable_gpus("auto") == []


@pytest.mark.parametrize(
    ("build", "error", "reason"),
    [
        (None, None, "this build of PyTorch is for CPUs only; install one for CUDA"),
        (
            "12.8",
            "The NVIDIA driver on your system is too old (found version 11040)",
            "driver on your system is too old",
        ),
        ("12.8", None, "are its device files readable"),
    ],
)
def test_a_gpu_that_pytorch_cannot_use_stops_with_the_reason(machine, build, error, reason):
    machine([CARD], [], build, error)
    with pytest.raises(
        DeviceError, match=rf"NVIDIA H200, 570\.1\) that PyTorch 2\.13\.0 cannot use: .*{reason}.*"
    ) as caught:
        usable_gpus("auto")
    assert "--config device=cpu" in str(caught.value)
    assert usable_gpus("cpu") == [] and os.environ["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_gpus_that_the_user_hides_are_no_error(machine, monkeypatch, hidden):
    machine([CARD], [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert usable_gpus("auto") == []


def test_device_files_show_a_gpu_without_its_tool(machine, tmp_path):
    machine([], [])
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm", "tty0"):
        (tmp_path / "dev" / name).touch()
    assert gpus_of_driver(tmp_path / "dev") == [str(tmp_path / "dev/nvidia0")]
    with pytest.raises(DeviceError, match="nvidia0"):
        usable_gpus("auto")


@pytest.mark.parametrize("name", ["nvidia0", "kfd", "nvhost-gpu", "nvgpu", "dxg"])
def test_device_files_of_any_gpu_ask_pytorch(machine, tmp_path, name):
    """AMD's, a Jetson's and WSL's GPUs too: PyTorch says whether it can use them."""
    machine([], ["a GPU"])
    assert usable_gpus("auto") == []
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / name).touch()
    assert usable_gpus("auto") == ["a GPU"]


def test_without_a_gpu_pytorch_is_not_loaded():
    code = "import sys; from auscult.devices import usable_gpus; print(usable_gpus('cpu'), 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "workflow"}
    )
    assert done.stdout.strip() == "[] False", done.stderr


def test_this_machine_has_an_answer():
    assert isinstance(gpus_of_driver(Path("/dev")), list)


@pytest.mark.parametrize(
    ("setting", "gibibytes", "expected"),
    [
        (None, [139], 4),
        (None, [24], 1),
        (None, [80], 2),
        (None, [80, 24], 1),
        (None, [8], 1),
        (6, [8], 6),
        (1, [139], 1),
    ],
)
def test_networks_that_share_a_gpu(monkeypatch, setting, gibibytes, expected):
    cuda = SimpleNamespace(
        device_count=lambda: len(gibibytes),
        get_device_properties=lambda number: SimpleNamespace(total_memory=gibibytes[number] * 2**30),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert networks_per_gpu(setting) == expected
