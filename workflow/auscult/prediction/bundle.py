"""The packed winner as an MLflow model in a folder, loadable and servable anywhere."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

from auscult.heads.outputs import class_columns
from auscult.prediction.pack import read
from auscult.prediction.rows import covariate_column, example
from auscult.provenance import LIBRARY

PACKAGES = (
    *("antropy", "h5py", "librosa", "mlflow", "numba", "numpy", "pandas", "pydantic", "pyyaml", "rich", "safetensors"),
    *("scikit-learn", "scipy", "soundfile", "soxr", "threadpoolctl", "torch", "xgboost"),
)


def save(pack: Path, folder: Path) -> None:
    """Write the MLflow model `folder` (replaced if it is there) of a pack: signature, example, requirements, code."""
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, Schema

    packed = read(pack)
    shutil.rmtree(folder, ignore_errors=True)
    covariates = [ColSpec("double", covariate_column(name), required=False) for name in packed.covariates]
    inputs = [
        ColSpec("string", "case"),
        ColSpec("binary", "audio"),
        ColSpec("string", "site", required=False),
        *covariates,
    ]
    classes = dict.fromkeys(
        column for name in packed.winners for column in class_columns(packed.study.targets[name].classes)
    )
    outputs = [
        *(ColSpec("string", name) for name in ("target", "case", "prediction")),
        *(ColSpec("double", name, required=False) for name in classes),
        *(ColSpec("double", name) for name in ("agreement", "uncertainty")),
        ColSpec("string", "refer"),
        ColSpec("long", "recordings"),
        ColSpec("string", "problems"),
    ]
    save_model(
        folder,
        python_model=str(LIBRARY / "prediction" / "served.py"),
        artifacts={"pack": str(pack)},
        code_paths=[str(LIBRARY)],
        signature=ModelSignature(Schema(inputs), Schema(outputs)),
        input_example=example(packed),
        pip_requirements=[f"{name}=={metadata.version(name).split('+')[0]}" for name in PACKAGES],
    )
    shutil.copyfile(pack / "card.md", folder / "README.md")
