"""What a study made in its folds, from the inputs of the rule that packs its winner."""

from pathlib import Path

from auscult.plan.names import NetworkName
from auscult.prediction.pack import FoldResults, Model
from common import by_fold, fold_outputs, read_rows


def folds_made(snakemake) -> dict[tuple[str, str], FoldResults]:
    """What a study made in every fold of its systems and ensembles."""
    made, fused = {}, by_fold(snakemake.input.fused)
    for (unit, fold), tables in fold_outputs(snakemake.input).items():
        models = []
        for system, task, folder in snakemake.params.networks[f"{unit}/{fold}"]:
            name = NetworkName.parse(Path(folder).name)
            model = Model(system, task, str(name), name.repeat, name.fold, name.seed or 0, name.inner)
            models.append((model, Path(folder)))
        path = fused.get((unit, fold))
        stages = (read_rows(path), path.parent / "models") if path else (None, None)
        made[unit, fold] = FoldResults(models, *tables, *stages)
    return made
