# MLflow: the store made before the trainings, completed after the report.


def forget_failures():
    """A job that could not reach MLflow did not fail; taking its note away makes it try again."""
    for name in STUDIES:
        for path in (Path(P.tracking.format(study=name)), Path(P.tracked.format(study=name))):
            if path.is_file() and not json.loads(path.read_text()).get("written"):
                path.unlink()


forget_failures()


rule init_tracking:
    """Make MLflow's store and the study's experiment before anything writes to it."""
    input:
        code=ancient(code("init_tracking")),
    output:
        tracking=P.tracking,
    log:
        f"{P.log}/{{study}}/init_tracking.log",
    benchmark:
        f"{P.benchmark}/{{study}}/init_tracking.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        uri=SETTINGS.tracking.uri,
        artifacts=P.artifacts,
    script:
        "../workflow/scripts/init_tracking.py"


def tracked_models(wildcards):
    """(system, job) → model folder, as a list that parameters can hold."""
    return [
        [system, f"{task} {Path(folder).name}", f"results/{wildcards.study}/networks/{folder}"]
        for system in STUDIES[wildcards.study].systems
        for task, folders in networks(wildcards.study, system).items()
        for folder in folders
    ]


rule track:
    """Complete MLflow: trainings, leaderboard rows, tables, figures and report of a study."""
    input:
        histories=histories,
        tables=f"{P.tables}/leaderboard.csv",
        figures=P.figures,
        report=P.page,
        tracking=ancient(P.tracking),
        code=code("track"),
    output:
        tracked=P.tracked,
    log:
        f"{P.log}/{{study}}/track.log",
    benchmark:
        f"{P.benchmark}/{{study}}/track.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        uri=SETTINGS.tracking.uri,
        artifacts=P.artifacts,
        models=tracked_models,
        systems=lambda wildcards: {
            name: system.model_dump() for name, system in STUDIES[wildcards.study].systems.items()
        },
    script:
        "../workflow/scripts/track.py"
