# HDF5 caches shared by all studies of a data set: audio, one folder per front end, tables of numbers.

FRONT_ENDS = {
    (one.dataset, folder_name(system.front_end)): system.front_end
    for one in PLANS.values()
    for system in one.study.systems.values()
}


rule cache_audio:
    """Every recording at the data set's rate, ready to be read at any place."""
    input:
        manifest=paths.MANIFEST,
        code=code("cache_audio"),
    output:
        shards=update(shards("{dataset}", "audio")),
    log:
        f"{paths.LOGS}/cache_audio-{{dataset}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/cache_audio-{{dataset}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        dataset=lambda w: RELEASES[w.dataset].dataset.model_dump(),
    script:
        "../workflow/scripts/cache_audio.py"


rule extract_features:
    """One front end of every recording."""
    input:
        manifest=paths.MANIFEST,
        audio=shards("{dataset}", "audio"),
        code=lambda w: code("extract_features", features.module_of(FRONT_ENDS[w.dataset, w.front_end].name)),
    output:
        shards=update(shards("{dataset}", "{front_end}")),
    log:
        f"{paths.LOGS}/extract_features-{{dataset}}-{{front_end}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/extract_features-{{dataset}}-{{front_end}}.tsv"
    wildcard_constraints:
        front_end="(?!(audio|" + "|".join(features.TABLES) + ")/)[^/]+",
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        dataset=lambda w: RELEASES[w.dataset].dataset.model_dump(),
        front_end=lambda w: FRONT_ENDS[w.dataset, w.front_end].model_dump(),
    script:
        "../workflow/scripts/extract_features.py"


rule describe:
    """The 44 statistics, the 23 complexity descriptors, or the 16 numbers of wheezes and crackles, of every recording."""
    input:
        manifest=paths.MANIFEST,
        audio=shards("{dataset}", "audio"),
        code=code("describe"),
    output:
        shards=update(shards("{dataset}", "{table}")),
    log:
        f"{paths.LOGS}/describe-{{dataset}}-{{table}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/describe-{{dataset}}-{{table}}.tsv"
    wildcard_constraints:
        table="|".join(features.TABLES),
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        dataset=lambda w: RELEASES[w.dataset].dataset.model_dump(),
    script:
        "../workflow/scripts/describe.py"
