# Second stage: one model per learner, system, target and fold, on the networks' outputs, covariates and statistics.


rule fuse:
    """Fit and apply the second stage of one system and fold."""
    input:
        cases=paths.CASE_OUTPUTS,
        recordings=paths.RECORDING_OUTPUTS,
        outputs=lambda w: [
            network.file(paths.OUTPUTS)
            for members in networks.of_fold(plan(w), w.system, w.fold).values()
            for network in members
        ],
        inner=lambda w: networks.inner_outputs(plan(w), [(w.system, w.fold)]),
        manifest=manifest,
        tables=lambda w: [
            path
            for table in plan(w).study.fusion.tables_of(features.TABLES)
            for path in shards(plan(w).dataset, table)
        ],
        encoders=lambda w: [
            path
            for name in plan(w).study.fused_encoders(w.system)
            for path in shards(plan(w).dataset, folder_name(plan(w).study.systems[name].front_end))
        ],
    output:
        probabilities=paths.FUSED,
        importances=paths.IMPORTANCES,
        trials=f"{paths.FUSION}/trials.csv",
        models=directory(f"{paths.FUSION}/models"),
    log:
        f"{paths.LOGS}/{{study}}/fuse/{{system}}-{{fold}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/fuse/{{system}}-{{fold}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("fuse"),
        reads=lambda w: reads.fusion(plan(w), w.system),
        networks=lambda w: {
            task: [network.folder for network in members]
            for task, members in networks.of_fold(plan(w), w.system, w.fold).items()
        },
    script:
        "../workflow/scripts/fuse.py"
