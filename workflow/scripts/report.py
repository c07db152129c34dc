"""Write the report page of a study."""

import json
from pathlib import Path

import pandas as pd

from auscult.config.study import Study
from auscult.datasets.base import load
from auscult.evaluation.external import of_winner
from auscult.provenance import digest, write_text
from auscult.report.facts import class_counts, facts
from auscult.report.page import render
from auscult.result_tables import read_table
from common import begin, folder_of, read_audits

begin(snakemake)
study, inputs = Study.model_validate(snakemake.params.study), snakemake.input
manifest = load(folder_of(inputs.manifest))
tables = {Path(path).stem: read_table(path, ["repeat", "fold"]) for path in inputs.tables}
findings = read_audits(inputs.audit)
winner = digest(json.loads(Path(inputs.winner).read_text(encoding="utf-8")))[:12]
tables["external"] = of_winner([read_table(path) for path in inputs.external], winner)
tables["audit"] = findings.astype(str)
tables["quality"] = manifest.quality
tables["cases"] = class_counts(study, manifest)
pictures = [inputs.figures, *inputs.explanations]
figures = [pd.read_csv(path, keep_default_na=False) for path in pictures]
folders = [Path(path).parent for path in pictures]
study_facts = facts(study, manifest, inputs.folds, findings, inputs.winner, [Path(p).parent for p in inputs.histories])
published = read_table(inputs.published)
page = render(snakemake.wildcards.study, study, tables, figures, folders, study_facts, published)
write_text(snakemake.output.report, page)
