"""What a study made in its folds, from the inputs of the rule that packs its winner."""

from pathlib import Path

from auscult.prediction.pack import FoldResults, Model
from common import fold_of, inner_of, read_rows, with_inner
from network_job import member_of


def folds_made(snakemake) -> dict[tuple[str, str], FoldResults]:
    """What a study made in every fold of its systems and ensembles."""
    inputs, made = snakemake.input, {}
    fused = {tuple(path.split("/")[-3:-1]): Path(path) for path in inputs.fused}
    for (unit, fold), cases, recordings in zip(snakemake.params.pairs, inputs.cases, inputs.recordings, strict=True):
        models = [
            (Model(system, task, folder.name, *fold_of(fold), member_of(folder.name), inner_of(folder.name)), folder)
            for system, task, folder in [
                (*words, Path(path)) for *words, path in snakemake.params.networks[f"{unit}/{fold}"]
            ]
        ]
        inner = with_inner(cases, recordings, [path for path in inputs.inner if f"/{unit}/{fold}i" in path])
        path = fused.get((unit, fold))
        stages = (read_rows(path), path.parent / "models") if path else (None, None)
        made[unit, fold] = FoldResults(models, *inner, *stages)
    return made
