"""The packed winner as an MLflow model in a folder, loadable and servable anywhere."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

from auscult.features.encoder_file import PACKAGE_OF
from auscult.heads.outputs import class_columns
from auscult.prediction.pack import read
from auscult.prediction.rows import covariate_column, example
from auscult.provenance import LIBRARY, write_text

PACKAGES = (
    *("antropy", "h5py", "librosa", "mlflow", "numba", "numpy", "pandas", "pydantic", "pyyaml", "rich", "safetensors"),
    *("scikit-learn", "scipy", "soundfile", "soxr", "threadpoolctl", "torch", "xgboost"),
)


def save(pack: Path, folder: Path, card: str) -> None:
    """Write the MLflow model `folder` (replaced if it is there) of a pack: signature, example, requirements, code.

    card: the model card, Markdown.
    """
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
        pip_requirements=[f"{name}=={metadata.version(name).split('+')[0]}" for name in _packages(pack)],
    )
    write_text(folder / "README.md", card)


def _packages(pack: Path) -> list[str]:
    """The packages that a pack needs: those of the formats of its encoders too."""
    suffixes = {path.suffix for path in pack.glob("encoders/*")}
    return [*PACKAGES, *(package for suffix, package in PACKAGE_OF.items() if suffix in suffixes)]
