"""auscult: from labelled body-sound recordings to cross-validation tables that can be believed.

snakemake --cores 16 --resources gpu=1                                 the studies of config/config.yaml
snakemake --cores 16 --resources gpu=1 --config studies=circor_cpu     others; root=DIR points to a copy of the data
snakemake predict --cores 16 --config studies=circor_cpu recordings=DIR   the study's winner on new recordings
"""


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/folds.smk"
include: "rules/features.smk"
include: "rules/networks.smk"
include: "rules/fusion.smk"
include: "rules/evaluation.smk"
include: "rules/prediction.smk"
include: "rules/tracking.smk"


def everything(wildcards):
    """Report and tracking of every study, whose recordings must be there."""
    for key in DATASETS:
        require_recordings(key)
    return expand([P.page, P.tracked], study=STUDIES)


rule all:
    """Tables, figures, report and tracking of every study."""
    default_target: True
    input:
        everything,


onstart:
    lock_studies()
    estimate()
    select_jobs_when_one_ends()


onsuccess:
    summary()
