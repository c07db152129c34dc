# HDF5 caches shared by all studies of a data set: audio, one folder per front end, tables of numbers.

FRONT_ENDS = {
    (key, folder_name(system.front_end)): system.front_end
    for name, key in KEY.items()
    for system in STUDIES[name].systems.values()
}


def cached(kind):
    """Shards as outputs that a job updates: a shard that is already right is kept."""
    return update([f"results/cache/{{dataset}}/{kind}/{name}" for name in shard_names(SHARDS)])


# Snakemake wants the same number of output files for every data set of a rule.
SHARDS = max(dataset.shards for dataset in DATASETS.values())
if len({dataset.shards for dataset in DATASETS.values()}) > 1:
    raise WorkflowError("dataset.shards: the chosen studies name different numbers; run them one at a time")


rule cache_audio:
    """Every recording at the data set's rate, ready to be read at any place."""
    input:
        manifest=lambda wildcards: manifest_files(wildcards.dataset),
        code=code("cache_audio"),
    output:
        shards=cached("audio"),
    log:
        f"{P.log}/cache_audio-{{dataset}}.log",
    benchmark:
        f"{P.benchmark}/cache_audio-{{dataset}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        dataset=dataset_slice,
    script:
        "../workflow/scripts/cache_audio.py"


def front_end_code(wildcards):
    name = FRONT_ENDS[wildcards.dataset, wildcards.front_end].name
    return code("extract_features", features.module_of(name))


rule extract_features:
    """One front end of every recording."""
    input:
        manifest=lambda wildcards: manifest_files(wildcards.dataset),
        audio=lambda wildcards: shards(wildcards.dataset, "audio"),
        code=front_end_code,
    output:
        shards=cached("{front_end}"),
    log:
        f"{P.log}/extract_features-{{dataset}}-{{front_end}}.log",
    benchmark:
        f"{P.benchmark}/extract_features-{{dataset}}-{{front_end}}.tsv"
    wildcard_constraints:
        front_end="(?!(audio|" + "|".join(features.TABLES) + ")/)[^/]+",
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        dataset=dataset_slice,
        front_end=lambda wildcards: FRONT_ENDS[wildcards.dataset, wildcards.front_end].model_dump(),
    script:
        "../workflow/scripts/extract_features.py"


rule describe:
    """The 44 statistics, the 23 complexity descriptors, or the 16 numbers of wheezes and crackles, of every recording."""
    input:
        manifest=lambda wildcards: manifest_files(wildcards.dataset),
        audio=lambda wildcards: shards(wildcards.dataset, "audio"),
        code=code("describe"),
    output:
        shards=cached("{table}"),
    log:
        f"{P.log}/describe-{{dataset}}-{{table}}.log",
    benchmark:
        f"{P.benchmark}/describe-{{dataset}}-{{table}}.tsv"
    wildcard_constraints:
        table="|".join(features.TABLES),
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        dataset=dataset_slice,
    script:
        "../workflow/scripts/describe.py"
