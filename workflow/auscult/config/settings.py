"""config/config.yaml, and what `--config` may change."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from auscult.config.base import Strict


class Tracking(Strict):
    """Where MLflow writes."""

    uri: str = "sqlite:///results/mlflow.db"


class Settings(Strict):
    """config/config.yaml, and what `--config` may change."""

    studies: list[str] = Field(min_length=1, description="Names of files in config/studies; or `a,b`.")
    root: str | None = Field(default=None, description="Folder of the raw release in place of the study's own.")
    recordings: str | None = Field(default=None, description="Folder of new recordings for `snakemake predict`.")
    form: str | None = Field(
        default=None, description="Adapter that reads them, as `folder`; default: that of the study's data set."
    )
    system: str | None = Field(
        default=None, description="System whose best variant `predict` and `bundle` take; default: the study's winner."
    )
    tracking: Tracking = Tracking()

    @model_validator(mode="before")
    @classmethod
    def _split(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("studies"), str):
            values = {**values, "studies": [s for s in values["studies"].split(",") if s]}
        return values
