# One training per system, task and fold; stochastic passes; segments to recordings to cases to classes.

MODEL_FILES = ["weights.safetensors", "config.json", "history.csv", "manifest.json"]


rule train:
    """Train one network on one fold (or find that it is already trained)."""
    input:
        manifest=manifest,
        folds=folds_of,
        audit=P.audit,
        tracking=ancient(P.tracking),
        frames=frames_of,
        weights=weights_of,
        code=network_code("train"),
    output:
        update([f"{P.model}/{name}" for name in MODEL_FILES]),
    log:
        f"{P.log}/{{study}}/train/{{system}}-{{task}}-{{network}}.log",
    benchmark:
        f"{P.benchmark}/{{study}}/train/{{system}}-{{task}}-{{network}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPU,
        mem_mb=6000,
        runtime=720,
    params:
        slice=training_slice,
        cache=lambda wildcards: str(Path(frames_of(wildcards)[0]).parent),
        uri=SETTINGS.tracking.uri,
        artifacts=P.artifacts,
        locks=P.locks,
    script:
        "../workflow/scripts/train.py"


rule infer:
    """Stochastic passes of one network over the cases that its fold scores."""
    input:
        manifest=manifest,
        folds=folds_of,
        frames=frames_of,
        model=[f"{P.model}/{name}" for name in MODEL_FILES[:2]],
        code=network_code("infer"),
    output:
        update(f"{P.model}/outputs.h5"),
    log:
        f"{P.log}/{{study}}/infer/{{system}}-{{task}}-{{network}}.log",
    benchmark:
        f"{P.benchmark}/{{study}}/infer/{{system}}-{{task}}-{{network}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPU,
        mem_mb=6000,
        runtime=240,
    params:
        slice=scoring_slice,
        cache=lambda wildcards: str(Path(frames_of(wildcards)[0]).parent),
        locks=P.locks,
    script:
        "../workflow/scripts/infer.py"


def model_files(*names):
    """Files in the model folders of a system and fold, all tasks and members."""

    def paths(wildcards):
        return [
            f"results/{wildcards.study}/networks/{folder}/{name}"
            for folders in networks(wildcards.study, wildcards.system, [wildcards.fold]).values()
            for folder in folders
            for name in names
        ]

    return paths


def model_folders(wildcards):
    """Model folders of a system and fold by task."""
    return {
        task: [f"results/{wildcards.study}/networks/{folder}" for folder in folders]
        for task, folders in networks(wildcards.study, wildcards.system, [wildcards.fold]).items()
    }


rule aggregate:
    """Pool passes over segments and recordings to cases, and heads to classes."""
    input:
        outputs=model_files("outputs.h5", "manifest.json"),
        folds=folds_of,
        code=code("aggregate"),
    output:
        cases=f"{P.outputs}/cases.csv",
        recordings=f"{P.outputs}/recordings.csv",
    log:
        f"{P.log}/{{study}}/aggregate/{{system}}-{{fold}}.log",
    benchmark:
        f"{P.benchmark}/{{study}}/aggregate/{{system}}-{{fold}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        study=system_slice,
        roles=roles,
        folders=model_folders,
        weighed=lambda wildcards: STUDIES[wildcards.study].weighed(wildcards.system),
    script:
        "../workflow/scripts/aggregate.py"
