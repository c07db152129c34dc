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


rule all:
    """Tables, figures, report and tracking of every study, whose recordings must be there."""
    default_target: True
    input:
        lambda w: checked(releases.require_all, RELEASES) or expand([paths.REPORT, paths.TRACKED], study=PLANS),


onstart:
    LOCKS = checked(run.lock, list(PLANS))
    checked(run.estimate, PLANS, RELEASES)
    if not CLUSTER:
        # Without this Snakemake 9.27 selects jobs once a second more for every job that has ended, and looks at all
        # their inputs each time: after 50 jobs of a large study that was a quarter of a core.
        workflow.scheduler.job_rate_limiter = None


onsuccess:
    if SETTINGS.recordings:
        run.predicted_summary([NEW_REPORT.format(study=study) for study in PLANS])
    else:
        run.summary(list(PLANS))
