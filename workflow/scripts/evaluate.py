"""Decide every judged case by every variant of a study, and score the variants on validation cases."""

import pandas as pd

from auscult.datasets.base import load
from auscult.evaluation.predictions import FoldOutputs, predict
from auscult.provenance import write_text
from common import begin, fold_of, folder_of, study_of

begin(snakemake)
ids = {"case": str, "recording": str, "site": str}
fused = {tuple(path.split("/")[-3:-1]): path for path in snakemake.input.fused}
outputs = [
    FoldOutputs(
        system,
        *fold_of(fold),
        pd.read_csv(cases, dtype=ids),
        pd.read_csv(recordings, dtype=ids),
        pd.read_csv(fused[system, fold], dtype=ids) if (system, fold) in fused else None,
    )
    for (system, fold), cases, recordings in zip(
        snakemake.params.pairs, snakemake.input.cases, snakemake.input.recordings, strict=True
    )
]
folds = pd.read_csv(snakemake.input.folds, dtype={"case": str})
manifest = load(folder_of(snakemake.input.manifest))
predictions, scores = predict(study_of(snakemake.params.study), manifest, folds, outputs)
write_text(snakemake.output.predictions, predictions.to_csv(index=False))
write_text(snakemake.output.scores, scores.to_csv(index=False))
