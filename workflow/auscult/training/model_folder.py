"""The folder of a trained network: its files, whether it is up to date, and the record of its training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from auscult.progress import note
from auscult.provenance import file_digest, write_json, write_text

if TYPE_CHECKING:
    from torch import nn

FILES = ("weights.safetensors", "config.json", "history.csv", "manifest.json")
RECORD = ("parameters", "multiply_adds", "epochs", "val_score", "seconds", "device")
"""Keys of manifest.json that tables and the report show."""


class DamagedModel(Exception):
    """The weights of a model are not those that its training wrote."""


def is_up_to_date(folder: Path, digest: str) -> bool:
    """Whether the folder has a complete model with this slice digest (see `slices`), whose weights are undamaged."""
    try:
        facts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if facts["slice_digest"] != digest or not all((folder / name).is_file() for name in FILES):
            return False
        if facts["weights_sha256"] == file_digest(folder / "weights.safetensors"):
            return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    note(f"{folder / 'weights.safetensors'}: damaged, it is not what the training wrote: trained again")
    return False


def checked_weights(folder: Path) -> str:
    """SHA-256 of the weights in a model folder. Raises DamagedModel if it is not that of manifest.json."""
    path = folder / "weights.safetensors"
    digest = file_digest(path)
    expected = json.loads((folder / "manifest.json").read_text(encoding="utf-8")).get("weights_sha256")
    if expected != digest:
        raise DamagedModel(f"{path}: damaged, it is not what the training wrote: delete {folder} and run again")
    return digest


def write_weights(folder: Path, network: nn.Module, config: dict[str, Any], history: list[dict]) -> None:
    """Write weights, configuration and history; an old manifest goes before its weights are replaced."""
    # torch takes seconds to load, and jobs import this file that may find nothing to do
    from safetensors.torch import save_file

    from auscult.training.checkpoint import HISTORY, on_cpu

    temporary = folder / ".weights.safetensors"
    save_file(on_cpu(network.state_dict()), temporary)
    (folder / "manifest.json").unlink(missing_ok=True)
    temporary.replace(folder / "weights.safetensors")
    write_json(folder / "config.json", config)
    write_text(folder / "history.csv", pd.DataFrame(history, columns=HISTORY).to_csv(index=False))


def renew(folder: Path) -> None:
    """Set the time stamps of the model's files to now, so that Snakemake takes them for new; the contents stay."""
    for name in FILES:
        (folder / name).touch()


def copy_model(source: Path, folder: Path) -> None:
    """Copy a model into another folder, which is made where it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(source / name, folder / name)


def read_trainings(folders: list[Path]) -> pd.DataFrame:
    """The records of trainings, a row per model folder `…/<system>/<task>/<network>`.

    Columns: `system, task, network, parameters, multiply_adds, epochs, val_score, seconds, device`.
    """
    rows = []
    for folder in folders:
        facts = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        names = dict(zip(("system", "task", "network"), folder.parts[-3:], strict=True))
        rows.append(names | {key: facts[key] for key in RECORD})
    return pd.DataFrame(rows)
