"""Explain a system: pictures of typical cases, and the heart phases that speak for the target's first class."""

from pathlib import Path

import pandas as pd

from auscult.cache.audio import audio_config
from auscult.cache.store import open_cache
from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.evaluation.drawing import save
from auscult.evaluation.explanations import explain_cases, explain_system
from auscult.features.frames import frames_config
from auscult.provenance import write_text
from auscult.training.device import device
from auscult.training.targets import output_names
from common import begin, folder_of, read_rows
from network_job import job_of_fold

begin(snakemake)
study, inputs = Study.model_validate(snakemake.params.study), snakemake.input
system = study.systems[snakemake.wildcards.system]
manifest = load(folder_of(inputs.manifest))
states = pd.read_csv(inputs.states, dtype={"recording": str, "state": str})
frames = open_cache(folder_of(inputs.frames), frames_config(study.dataset, system.front_end))
audio = open_cache(folder_of(inputs.audio), audio_config(study.dataset))
with device(Path(snakemake.params.locks), snakemake.threads) as where:

    def explain(repeat: int, fold: int, output: str, cases: set[str]) -> dict:
        """Explanations of a fold's first network with that output."""
        task = next(name for name in system.tasks if output in output_names(study.tasks[name].heads))
        job = job_of_fold(snakemake.wildcards, study, task, repeat, fold)
        number = output_names(study.tasks[task].heads).index(output)
        rate = study.dataset.rate_hz
        return explain_cases(job, number, manifest, states, cases, frames, audio, rate, where)

    drawn, phases = explain_system(study, snakemake.wildcards.system, read_rows(inputs.predictions), manifest, explain)
folder = Path(snakemake.output.figures).parent
write_text(snakemake.output.figures, save(drawn, folder).to_csv(index=False))
write_text(snakemake.output.phases, phases.to_csv(index=False))
