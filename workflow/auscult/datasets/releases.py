"""The raw files of a data set before any rule has run: which there are, and what they contain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auscult.config.dataset import Dataset
from auscult.datasets import adapter
from auscult.datasets.base import DatasetError, raw_digest
from auscult.provenance import digest


@dataclass(frozen=True)
class Release:
    """A data set as it lies on the disk. `generated`: the workflow makes its files by itself, so that none need exist.

    `files` is empty for a generated data set, and where nothing has been downloaded yet.
    """

    dataset: Dataset
    generated: bool
    files: list[Path]


def find(dataset: Dataset) -> Release:
    """The raw files that the data set's adapter would read."""
    module = adapter(dataset.adapter)
    if getattr(module, "GENERATED", False):
        return Release(dataset, True, [])
    try:
        return Release(dataset, False, module.files(Path(dataset.root), module.Options.model_validate(dataset.options)))
    except FileNotFoundError:
        return Release(dataset, False, [])


def require(release: Release, folder: str) -> None:
    """Raise DatasetError where a release is not there, even if results of other recordings are.

    folder: name of the data set below results/datasets.
    """
    if not release.files and not release.generated:
        raise DatasetError(
            f"data set {folder}: no recordings below {release.dataset.root}: point to them with `--config studies=… "
            "root=DIR`, or, for a public release, run `snakemake download --config studies=…`"
        )


def require_all(found: dict[str, Release]) -> None:
    """`require` every release, by the folder of its data set."""
    for folder, release in found.items():
        require(release, folder)


def state(release: Release, digests: Path) -> str:
    """A digest of the files' contents, or of the options that generate them.

    digests: the file that keeps the digests of single files, so that only changed ones are read again.
    """
    if release.generated:
        return digest([release.dataset.adapter, release.dataset.options])
    if not release.files:
        return "nothing there"
    return raw_digest(release.files, Path(release.dataset.root), digests)
