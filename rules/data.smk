# Raw releases to manifests: results/datasets/<dataset>/.


def download_params(wildcards):
    return {key: dataset.model_dump() for key, dataset in DATASETS.items()}


rule download:
    """Fetch the raw releases of the chosen studies into resources/ (resumable, checked)."""
    log:
        f"{P.log}/download.log",
    conda:
        "../envs/auscult.yaml"
    resources:
        mem_mb=1000,
        runtime=1440,
    params:
        datasets=download_params,
    script:
        "../workflow/scripts/download.py"


rule generate:
    """Make the raw files of a simulated data set."""
    input:
        code=lambda wildcards: code("generate", f"auscult.datasets.{DATASETS[wildcards.dataset].adapter}"),
    output:
        P.generated,
    log:
        f"{P.log}/generate-{{dataset}}.log",
    benchmark:
        f"{P.benchmark}/generate-{{dataset}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        dataset=dataset_slice,
    script:
        "../workflow/scripts/generate.py"


def raw_input(wildcards):
    """The generated marker, or nothing when the release is there; a clear word when it is not."""
    key = wildcards.dataset
    require_recordings(key)
    return P.generated.format(dataset=key) if generated(key) else []


def require_recordings(key):
    """A clear word where a release is not there, also when an old result would do: it was made of other recordings."""
    if not RAW[key] and not generated(key):
        raise WorkflowError(
            f"data set {key}: no recordings below {DATASETS[key].root}: point to them with `--config studies=… root=DIR`, "
            "or, for a public release, run `snakemake download --config studies=…`"
        )


rule ingest:
    """Read a release: cases, recordings, and what was wrong with them."""
    input:
        raw=raw_input,
        code=lambda wildcards: code("ingest", f"auscult.datasets.{DATASETS[wildcards.dataset].adapter}"),
    output:
        cases=P.cases,
        recordings=P.recordings,
        quality=P.quality,
        states=P.states,
        facts=P.facts,
    log:
        f"{P.log}/ingest-{{dataset}}.log",
    benchmark:
        f"{P.benchmark}/ingest-{{dataset}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        dataset=dataset_slice,
        raw=lambda wildcards: raw_state(wildcards.dataset),
    script:
        "../workflow/scripts/ingest.py"
