"""Explain a system: figures of typical cases, and the shares of annotated phases in the explanations."""

from pathlib import Path

from auscult.cache.audio import audio_config
from auscult.cache.store import open_cache
from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.features.frames import frames_config
from auscult.figures.drawing import save
from auscult.figures.explanations import explain_system
from auscult.inference.explanations import explainer
from auscult.provenance import write_text
from auscult.result_tables import read_rows, read_table
from auscult.training.device import device
from common import begin, folder_of
from network_job import jobs_in, resources_of

begin(snakemake)
study, inputs, system = Study.model_validate(snakemake.params.study), snakemake.input, snakemake.wildcards.system
manifest = load(folder_of(inputs.manifest))
states = read_table(inputs.states)
frames = open_cache(folder_of(inputs.frames), frames_config(study.dataset, study.systems[system].front_end))
audio = open_cache(folder_of(inputs.audio), audio_config(study.dataset))
job_of = jobs_in(inputs.networks, study, system)
with device(resources_of(snakemake)) as torch_device:
    explain = explainer(study, system, job_of, manifest, states, frames, audio, torch_device)
    figures, phases = explain_system(study, system, read_rows(inputs.predictions), manifest, explain)
write_text(snakemake.output.figures, save(figures, Path(snakemake.output.figures).parent).to_csv(index=False))
write_text(snakemake.output.phases, phases.to_csv(index=False))
