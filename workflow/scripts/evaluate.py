"""Decide every judged case by every variant of a study, and score the variants on validation cases."""

from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.decisions.predictions import FoldOutputs, predict
from auscult.provenance import write_text
from common import begin, fold_of, folder_of, read_rows, with_inner

begin(snakemake)
fused = {tuple(path.split("/")[-3:-1]): path for path in snakemake.input.fused}
outputs = [
    FoldOutputs(
        system,
        *fold_of(fold),
        *with_inner(cases, recordings, [path for path in snakemake.input.inner if f"/{system}/{fold}i" in path]),
        read_rows(fused[system, fold]) if (system, fold) in fused else None,
    )
    for (system, fold), cases, recordings in zip(
        snakemake.params.pairs, snakemake.input.cases, snakemake.input.recordings, strict=True
    )
]
manifest = load(folder_of(snakemake.input.manifest))
predictions, scores = predict(Study.model_validate(snakemake.params.study), manifest, outputs)
write_text(snakemake.output.predictions, predictions.to_csv(index=False))
write_text(snakemake.output.scores, scores.to_csv(index=False))
