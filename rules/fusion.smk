# One model per learner, system, target and fold on the networks' outputs, covariates and statistics.


def described(study):
    """Tables of numbers about the recordings that a study's fusion reads."""
    blocks = {block.removeprefix("pooled_") for block in STUDIES[study].fusion.features}
    return [table for table in features.TABLES if table in blocks]


rule fuse:
    """Fit and apply the second stage of one fold."""
    input:
        cases=f"{P.outputs}/cases.csv",
        recordings=f"{P.outputs}/recordings.csv",
        outputs=lambda wildcards: [
            f"{folder}/outputs.h5" for folders in model_folders(wildcards).values() for folder in folders
        ],
        inner=inner_outputs(lambda wildcards: [(wildcards.system, wildcards.fold)]),
        manifest=manifest,
        tables=lambda wildcards: [
            path for table in described(wildcards.study) for path in shards(KEY[wildcards.study], table)
        ],
        code=code("fuse"),
    output:
        probabilities=f"{P.fusion}/probabilities.csv",
        importances=f"{P.fusion}/importances.csv",
        trials=f"{P.fusion}/trials.csv",
        models=directory(f"{P.fusion}/models"),
    log:
        f"{P.log}/{{study}}/fuse/{{system}}-{{fold}}.log",
    benchmark:
        f"{P.benchmark}/{{study}}/fuse/{{system}}-{{fold}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        study=lambda wildcards: system_slice(wildcards, "fusion"),
        folders=model_folders,
    script:
        "../workflow/scripts/fuse.py"
