# HDF5 caches of a data set, shared by all studies: audio, feature frames of each front end, and tables of numbers.

FRONT_ENDS = {
    (dataset, folder_name(front_end)): front_end
    for study_plan in PLANS.values()
    for dataset, front_end in networks.frame_caches(study_plan)
}


rule cache_audio:
    """Write every recording at the data set's sampling rate, for reading from any position."""
    input:
        manifest=paths.MANIFEST,
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
        versions=versions(),
        code=code("cache_audio"),
        dataset=lambda w: RELEASES[w.dataset].dataset.model_dump(),
    script:
        "../workflow/scripts/cache_audio.py"


rule find_copies:
    """Find recordings that are copies of one another, however they were cut or changed."""
    input:
        manifest=paths.MANIFEST,
        audio=shards("{dataset}", "audio"),
    output:
        copies=paths.COPIES,
        landmarks=paths.LANDMARKS,
    log:
        f"{paths.LOGS}/find_copies-{{dataset}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/find_copies-{{dataset}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=code("find_copies"),
        dataset=lambda w: RELEASES[w.dataset].dataset.model_dump(),
    script:
        "../workflow/scripts/find_copies.py"


rule extract_features:
    """Write the feature frames of one front end for every recording."""
    input:
        manifest=paths.MANIFEST,
        audio=shards("{dataset}", "audio"),
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
        versions=versions(),
        code=lambda w: code("extract_features", features.module_of(FRONT_ENDS[w.dataset, w.front_end].name)),
        dataset=lambda w: RELEASES[w.dataset].dataset.model_dump(),
        front_end=lambda w: FRONT_ENDS[w.dataset, w.front_end].model_dump(),
    script:
        "../workflow/scripts/extract_features.py"


rule describe:
    """Write 44 signal statistics, 23 complexity descriptors, or 16 numbers of wheezes and crackles per recording."""
    input:
        manifest=paths.MANIFEST,
        audio=shards("{dataset}", "audio"),
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
        versions=versions(),
        code=code("describe"),
        dataset=lambda w: RELEASES[w.dataset].dataset.model_dump(),
    script:
        "../workflow/scripts/describe.py"
