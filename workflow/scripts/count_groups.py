"""Count the groups of cases that a study's evaluation names, so that a wrong name is known at the beginning."""

from auscult.config.targets import Referral
from auscult.datasets.base import load
from auscult.evaluation.groups import count_groups
from auscult.provenance import write_text
from common import begin, folder_of, part

begin(snakemake)
reads = snakemake.params.reads
manifest = load(folder_of(snakemake.input.manifest))
table = count_groups(part(dict[str, Referral], reads["referrals"]), reads["subgroups"], manifest)
write_text(snakemake.output.groups, table.to_csv(index=False))
