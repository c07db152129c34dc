# Pre-trainings and trainings on each fold; stochastic passes; pooling from windows to recordings, cases and classes.


rule pretrain:
    """Pre-train an encoder on the training cases of one fold, or on other data sets, or reuse it."""
    input:
        manifests=lambda w: [
            path.format(dataset=dataset)
            for dataset in networks.datasets_of(plan(w), w.pretraining)
            for path in paths.MANIFEST
        ],
        folds=lambda w: [] if w.network == paths.ALL_FOLDS else networks.folds_table(plan(w), w.network),
        audit=paths.AUDIT,
        tracking=ancient(TRACKING),
        frames=lambda w: [
            shard
            for dataset in networks.datasets_of(plan(w), w.pretraining)
            for shard in shards(dataset, folder_name(pretraining_of(w).front_end))
        ],
    output:
        update(paths.PRETRAINED_FILES),
    log:
        f"{paths.LOGS}/{{study}}/pretrain/{{pretraining}}-{{network}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/pretrain/{{pretraining}}-{{network}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPU,
        networks_per_gpu=NETWORKS_PER_GPU,
        mem_mb=6000,
        runtime=720,
    params:
        code=lambda w: code(
            "pretrain",
            *reads.pretraining_modules(plan(w), w.pretraining),
            features.module_of(pretraining_of(w).front_end.name),
        ),
        reads=lambda w: reads.pretraining(plan(w), w.pretraining),
        uri=SETTINGS.tracking.uri,
        artifacts=paths.ARTIFACTS,
        versions=versions(),
        locks=paths.LOCKS,
    script:
        "../workflow/scripts/pretrain.py"


rule train:
    """Train one network on one fold, or reuse it if it is already trained."""
    input:
        manifest=manifest,
        folds=lambda w: networks.folds_table(plan(w), w.network),
        audit=paths.AUDIT,
        tracking=ancient(TRACKING),
        frames=frames,
        extra_manifests=lambda w: [
            path.format(dataset=paths.dataset_folder(extra.dataset, None))
            for extra in networks.extras_of(plan(w), w.task)
            for path in paths.MANIFEST
        ],
        extra_frames=lambda w: [
            shard
            for extra in networks.extras_of(plan(w), w.task)
            for shard in shards(paths.dataset_folder(extra.dataset, None), folder_name(system_of(w).front_end))
        ],
        weights=lambda w: networks.initial_weights(plan(w), w.system, NetworkName.parse(w.network)),
        pretraining_audit=lambda w: [paths.PRETRAINING_AUDIT] if system_of(w).network.pretraining else [],
        teacher=lambda w: [teacher.file(path) for teacher in [teacher_of(w)] if teacher for path in paths.MODEL_FILES],
        teacher_frames=lambda w: [
            shard
            for teacher in [teacher_of(w)]
            if teacher
            for shard in shards(plan(w).dataset, folder_name(plan(w).study.systems[teacher.system].front_end))
        ],
    output:
        update(paths.MODEL_FILES),
    log:
        f"{paths.LOGS}/{{study}}/train/{{system}}-{{task}}-{{network}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/train/{{system}}-{{task}}-{{network}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPU,
        networks_per_gpu=NETWORKS_PER_GPU,
        mem_mb=6000,
        runtime=720,
    params:
        code=lambda w: network_code("train", w, *reads.teacher_modules(plan(w), w.system)),
        reads=lambda w: reads.training(plan(w), w.system, w.task),
        uri=SETTINGS.tracking.uri,
        artifacts=paths.ARTIFACTS,
        versions=versions(),
        locks=paths.LOCKS,
    script:
        "../workflow/scripts/train.py"


rule infer:
    """Compute stochastic passes of one network over the cases that it scores."""
    input:
        manifest=manifest,
        folds=lambda w: networks.folds_table(plan(w), w.network),
        outer_folds=lambda w: (
            paths.FOLDS if "outer_test" in networks.scored_roles(plan(w), w.system, w.network) else []
        ),
        frames=frames,
        model=[paths.WEIGHTS, paths.NETWORK_CONFIG],
    output:
        update(paths.OUTPUTS),
    log:
        f"{paths.LOGS}/{{study}}/infer/{{system}}-{{task}}-{{network}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/infer/{{system}}-{{task}}-{{network}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPU,
        networks_per_gpu=NETWORKS_PER_GPU,
        mem_mb=6000,
        runtime=240,
    params:
        code=lambda w: network_code("infer", w),
        reads=lambda w: reads.scoring(plan(w), w.system, w.task, w.network),
        versions=versions(),
        locks=paths.LOCKS,
    script:
        "../workflow/scripts/infer.py"


rule aggregate:
    """Pool passes over windows and recordings to cases, and combine heads to class probabilities."""
    input:
        outputs=lambda w: networks.scorer_files(plan(w), w.system, w.fold),
        folds=lambda w: networks.folds_table(plan(w), w.fold),
    output:
        cases=paths.CASE_OUTPUTS,
        recordings=paths.RECORDING_OUTPUTS,
    log:
        f"{paths.LOGS}/{{study}}/aggregate/{{system}}-{{fold}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/aggregate/{{system}}-{{fold}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("aggregate"),
        reads=lambda w: reads.aggregation(plan(w), w.system, w.fold),
    script:
        "../workflow/scripts/aggregate.py"
