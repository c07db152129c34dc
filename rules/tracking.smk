# MLflow: its store is created before the trainings and completed after the report.


rule init_tracking:
    """Create MLflow's store and the study's experiment before anything writes to it."""
    output:
        tracking=TRACKING,
    log:
        f"{paths.LOGS}/{{study}}/init_tracking.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/init_tracking.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        uri=SETTINGS.tracking.uri,
        artifacts=paths.ARTIFACTS,
    script:
        "../workflow/scripts/init_tracking.py"


rule track:
    """Write a study's trainings, leaderboard rows, tables, figures and report to MLflow."""
    input:
        histories=histories,
        tables=paths.LEADERBOARD,
        figures=paths.FIGURES,
        report=paths.REPORT,
        tracking=ancient(TRACKING),
    output:
        tracked=paths.TRACKED,
    log:
        f"{paths.LOGS}/{{study}}/track.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/track.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=code("track"),
        uri=SETTINGS.tracking.uri,
        artifacts=paths.ARTIFACTS,
        systems=lambda w: reads.tracking(plan(w)),
    script:
        "../workflow/scripts/track.py"
