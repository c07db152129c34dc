"""The keys of config/config.yaml, which `--config` can change too."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from auscult.config.base import Name, Strict


class Tracking(Strict):
    """The tracking store of MLflow."""

    uri: str = Field(default="sqlite:///results/mlflow.db", description="Address of a database or of an MLflow server.")


class Settings(Strict):
    """The keys of config/config.yaml. `--config` on the command line sets the same keys."""

    studies: list[str] = Field(
        min_length=1, description="Studies to run: names of files in config/studies, as a list or as text `a,b`."
    )
    root: str | None = Field(
        default=None, description="Folder of the raw release; replaces the study's `dataset.root`."
    )
    recordings: str | None = Field(
        default=None,
        description="Folder with new recordings for `snakemake predict`, or labelled ones for `snakemake validate` and "
        "`snakemake plan`.",
    )
    name: Name | None = Field(default=None, description="Name of the study that `snakemake plan` writes.")
    form: str | None = Field(
        default=None,
        description="Adapter that reads the new recordings, such as `folder`; default: the adapter of the study's data "
        "set.",
    )
    system: str | None = Field(
        default=None,
        description="System or ensemble whose best variant `predict` and `bundle` use; default: the study's winner.",
    )
    cases: list[str] = Field(
        default=[], description="Cases that the listening page has besides its own choice, as a list or as text `a,b`."
    )
    device: Literal["auto", "cpu"] = Field(
        default="auto", description="`auto`: a GPU where there is one; `cpu`: no GPU, whatever this machine has."
    )
    networks_per_gpu: int | None = Field(
        default=None,
        ge=1,
        description="How many networks train or score on a GPU at the same time; default: one for each 32 GiB of its "
        "memory, at most 8. A cluster gives each job a GPU of its own.",
    )
    tracking: Tracking = Tracking()

    @model_validator(mode="before")
    @classmethod
    def _lists_from_text(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        if isinstance(values.get("cases"), int):  # YAML reads the id of a single case as a number
            values["cases"] = str(values["cases"])
        for key in ("studies", "cases"):
            if isinstance(values.get(key), str):
                values[key] = [name for name in values[key].split(",") if name]
        if isinstance(values.get("cases"), list):
            values["cases"] = [str(case) for case in values["cases"]]
        return values
