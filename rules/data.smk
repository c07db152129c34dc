# From raw releases to manifests in results/datasets/<dataset>/.


rule download:
    """Download the raw releases of the chosen studies into resources/ (resumable; files are verified)."""
    log:
        f"{paths.LOGS}/download.log",
    conda:
        "../envs/auscult.yaml"
    resources:
        mem_mb=1000,
        runtime=1440,
    params:
        datasets={name: release.dataset.model_dump() for name, release in RELEASES.items()},
    script:
        "../workflow/scripts/download.py"


rule plan:
    """Look at the recordings in a folder and write a first study for them, with the reason of every choice."""
    log:
        f"{paths.LOGS}/plan.log",
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        study=lambda w: checked(run.new_study, SETTINGS, STUDIES),
        recordings=SETTINGS.recordings,
        form=SETTINGS.form,
    script:
        "../workflow/scripts/plan.py"


rule generate:
    """Write the raw files of a simulated data set."""
    output:
        paths.GENERATED,
    log:
        f"{paths.LOGS}/generate-{{dataset}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/generate-{{dataset}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        code=lambda w: code("generate", f"auscult.datasets.{RELEASES[w.dataset].dataset.adapter}"),
        dataset=lambda w: RELEASES[w.dataset].dataset.model_dump(),
    script:
        "../workflow/scripts/generate.py"


rule ingest:
    """Read a raw release; write tables of its cases, recordings and problems."""
    input:
        raw=lambda w: (
            checked(releases.require, RELEASES[w.dataset], w.dataset)
            or (paths.GENERATED if RELEASES[w.dataset].is_generated else [])
        ),
    output:
        cases=paths.CASES,
        recordings=paths.RECORDINGS,
        quality=paths.QUALITY,
        states=paths.STATES,
        facts=paths.FACTS,
    log:
        f"{paths.LOGS}/ingest-{{dataset}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/ingest-{{dataset}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=lambda w: code("ingest", f"auscult.datasets.{RELEASES[w.dataset].dataset.adapter}"),
        dataset=lambda w: RELEASES[w.dataset].dataset.model_dump(),
        raw=lambda w: releases.state(RELEASES[w.dataset], Path(paths.RAW_DIGESTS.format(dataset=w.dataset))),
    script:
        "../workflow/scripts/ingest.py"
