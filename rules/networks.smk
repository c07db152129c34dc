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


def judged_of(wildcards):
    """The table of folds, where the network of an inner fold scores the cases that its fold judges."""
    return P.folds if "judged" in roles(wildcards) else []


rule infer:
    """Stochastic passes of one network over the cases that its fold scores."""
    input:
        manifest=manifest,
        folds=folds_of,
        judged=judged_of,
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


def model_folders(wildcards):
    """Model folders of a system and fold by task."""
    return {
        task: [f"results/{wildcards.study}/networks/{folder}" for folder in folders]
        for task, folders in networks(wildcards.study, wildcards.system, [wildcards.fold]).items()
    }


def voices(wildcards):
    """What scores the cases of a fold, by role and task: [group of outputs.h5, model folders that hold all cases].

    Cases that a fold judges or stops on are scored by each of its networks; those of all its inner folds (a fold named
    r0f3i) by the networks of one division after the other.
    """
    study, system, fold = wildcards.study, wildcards.system, wildcards.fold
    where = f"results/{study}/networks"
    if not is_inner(fold):
        return {
            role: {
                task: [["judged" if is_inner(Path(one).name) else role, [f"{where}/{one}"]] for one in folders]
                for task, folders in networks(study, system, judges(study, fold) if role == "test" else [fold]).items()
            }
            for role in roles(wildcards)
        }
    names, size = inner_names(study, fold.removesuffix("i")), STUDIES[study].inner_folds.folds
    divisions = [names[start : start + size] for start in range(0, len(names), size)]
    by_task = {
        task: [
            ["test", [f"{where}/{one}/{task}/{name}{member}" for name in division]]
            for division in divisions
            for one in systems_of(study, system)
            for member in members(study, one, division[0])
        ]
        for task in stand_in(study, system).tasks
    }
    return {"inner": by_task}


def voiced(wildcards):
    """Files that the voices of a fold are read from."""
    every = {
        folder: None
        for by_task in voices(wildcards).values()
        for found in by_task.values()
        for _, folders in found
        for folder in folders
    }
    return [f"{folder}/{name}" for folder in every for name in ("outputs.h5", "manifest.json")]


rule aggregate:
    """Pool passes over segments and recordings to cases, and heads to classes."""
    input:
        outputs=voiced,
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
        voices=voices,
        weighed=lambda wildcards: STUDIES[wildcards.study].weighed(wildcards.system),
    script:
        "../workflow/scripts/aggregate.py"
