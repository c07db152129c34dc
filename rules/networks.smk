# One training per system, task and fold; stochastic passes; pooling from windows to recordings, cases and classes.


rule train:
    """Train one network on one fold, or reuse it if it is already trained."""
    input:
        manifest=manifest,
        folds=lambda w: networks.folds_table(plan(w), w.network),
        audit=paths.AUDIT,
        tracking=ancient(TRACKING),
        frames=frames,
        weights=lambda w: system_of(w).network.weights or [],
        code=lambda w: network_code("train", w),
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
        mem_mb=6000,
        runtime=720,
    params:
        reads=lambda w: reads.training(plan(w), w.system, w.task),
        uri=SETTINGS.tracking.uri,
        artifacts=paths.ARTIFACTS,
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
        code=lambda w: network_code("infer", w),
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
        mem_mb=6000,
        runtime=240,
    params:
        reads=lambda w: reads.scoring(plan(w), w.system, w.task, w.network),
        locks=paths.LOCKS,
    script:
        "../workflow/scripts/infer.py"


rule aggregate:
    """Pool passes over windows and recordings to cases, and combine heads to class probabilities."""
    input:
        outputs=lambda w: networks.scorer_files(plan(w), w.system, w.fold),
        folds=lambda w: networks.folds_table(plan(w), w.fold),
        code=code("aggregate"),
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
        reads=lambda w: reads.aggregation(plan(w), w.system, w.fold),
    script:
        "../workflow/scripts/aggregate.py"
