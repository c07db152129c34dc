"""Write the listening page of a study."""

from contextlib import nullcontext

from auscult.cache.audio import audio_config
from auscult.cache.store import open_cache
from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.features.frames import frames_config
from auscult.folds.audit import mark
from auscult.listening.cases import chosen_cases
from auscult.listening.page import render
from auscult.listening.recordings import Sources, sounds_of
from auscult.provenance import write_text
from auscult.result_tables import read_rows, read_table
from auscult.training.device import device
from common import begin, folder_of, read_audits
from network_job import jobs_in, resources_of

begin(snakemake)
inputs, p = snakemake.input, snakemake.params
study, system = Study.model_validate(p.study), p.system
predictions, manifest = read_rows(inputs.predictions), load(folder_of(inputs.manifest))
selection = chosen_cases(study.targets, predictions, p.cases, set(manifest.recordings["case"]))
sources = Sources(
    manifest,
    read_table(inputs.states),
    open_cache(folder_of(inputs.frames), frames_config(study.dataset, study.systems[system].front_end)),
    open_cache(folder_of(inputs.audio), audio_config(study.dataset)),
    jobs_in(inputs.networks, study, system) if inputs.networks else None,
)
# a place on a GPU only where a network is explained
with device(resources_of(snakemake)) if inputs.networks else nullcontext() as torch_device:
    sounds, left_out, meaning = sounds_of(study, system, list(selection["case"]), predictions, sources, torch_device)
issues, leak = read_table(inputs.issues), mark(study.protocol, read_audits(inputs.audit))
labels = study.systems[system].front_end.name, meaning, system, leak
page = render(snakemake.wildcards.study, study, selection, predictions, issues, sounds, left_out, *labels)
write_text(snakemake.output[0], page)
