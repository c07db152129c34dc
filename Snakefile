"""auscult: cross-validation of networks on labelled body-sound and ECG recordings.

snakemake --cores 16 --resources gpu=1                                 the studies of config/config.yaml
snakemake --cores 16 --resources gpu=1 --config studies=circor_cpu     other studies; root=DIR: folder of the data
snakemake predict --cores 16 --config studies=circor_cpu recordings=DIR   predict new recordings
snakemake validate --cores 16 --config studies=circor_cpu recordings=DIR  judge the winner on labelled recordings
snakemake plan --cores 2 --config recordings=DIR name=mine             write a first study for a folder of recordings
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
    """Tables, figures, report and tracking of every study. Fails if the recordings of a study are missing."""
    default_target: True
    input:
        lambda w: checked(releases.require_all, RELEASES) or expand([paths.REPORT, paths.TRACKED], study=PLANS),
        [paths.LISTEN.format(study=name) for name, study_plan in PLANS.items() if networks.has_sounds(study_plan.study)],


onstart:
    if "plan" not in workflow.dag_settings.targets:  # it runs none of the studies
        checked(run.lock, list(PLANS))
        checked(run.estimate, PLANS, RELEASES)
    if not CLUSTER:
        devices.report(GPUS)
        # Without this, Snakemake 9.27 selects jobs once more per second for every finished job, and checks all their
        # inputs each time. After 50 jobs of a large study this took a quarter of a core.
        workflow.scheduler.job_rate_limiter = None


onsuccess:
    if SETTINGS.recordings:
        run.predicted_summary(*([path.format(study=study) for study in PLANS] for path in (NEW_REPORT, NEW_SCORES)))
    else:
        run.summary(list(PLANS))
