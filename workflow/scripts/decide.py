"""Decide every test case by every variant of a study, and score the variants on inner or validation cases."""

from auscult.config.protocols import group_of
from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.decisions.predictions import FoldOutputs, predict
from auscult.folds.units import with_units
from auscult.plan.names import NetworkName
from auscult.provenance import write_text
from auscult.result_tables import read_rows
from common import begin, by_fold, fold_outputs, folder_of

begin(snakemake)
fused = {key: read_rows(path) for key, path in by_fold(snakemake.input.fused).items()}
outputs = []
for (unit, fold), tables in fold_outputs(snakemake.input).items():
    name = NetworkName.parse(fold)
    outputs.append(FoldOutputs(unit, name.repeat, name.fold, *tables, fused.get((unit, fold))))
study = Study.model_validate(snakemake.params.study)
manifest = with_units(load(folder_of(snakemake.input.manifest)), group_of(study.protocol))
predictions, scores = predict(study, manifest, outputs)
write_text(snakemake.output.predictions, predictions.to_csv(index=False))
write_text(snakemake.output.scores, scores.to_csv(index=False))
