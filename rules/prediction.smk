# A study's winner, or the best variant of --config system=…: packed, applied to new recordings, as an MLflow model.

WINNER = SETTINGS.system or "winner"
PACK, BUNDLE, REGISTERED = (
    path.format(study="{study}", winner=WINNER) for path in (paths.PACK, paths.BUNDLE, paths.REGISTERED)
)
NEW = run.new_recordings(SETTINGS)
NEW_FOLDER = paths.PREDICTED.format(study="{study}", recordings=NEW.name)
NEW_REPORT = f"{NEW_FOLDER}/report.html"
NEW_SCORES = paths.EXTERNAL.format(study="{study}", recordings=NEW.name)


rule predict:
    """Predictions of the studies' winners for the recordings in a folder."""
    input:
        lambda w: checked(run.require_recordings, SETTINGS) or expand(f"{NEW_FOLDER}/predictions.csv", study=PLANS),


rule validate:
    """Scores of the studies' winners on the labelled recordings in a folder."""
    input:
        lambda w: checked(run.require_recordings, SETTINGS) or expand(f"{NEW_SCORES}/external.csv", study=PLANS),


rule bundle:
    """The studies' winners as registered MLflow models."""
    input:
        expand(REGISTERED, study=PLANS),


rule pack_winner:
    """Collect the networks, second stages and fitted decision rules of a winner's folds, and write its model card."""
    input:
        winner=paths.WINNER,
        scores=paths.SCORES,
        board=paths.LEADERBOARD,
        subgroups=paths.SUBGROUPS,
        cases=lambda w: networks.files_of(plan(w), paths.CASE_OUTPUTS, networks.unit_folds(plan(w))),
        recordings=lambda w: networks.files_of(plan(w), paths.RECORDING_OUTPUTS, networks.unit_folds(plan(w))),
        inner=lambda w: networks.inner_outputs(plan(w), networks.unit_folds(plan(w))),
        fused=lambda w: networks.files_of(plan(w), paths.FUSED, networks.fused_folds(plan(w))),
        manifest=manifest,
        landmarks=lambda w: [
            paths.LANDMARKS.format(dataset=dataset)
            for dataset in [plan(w).dataset, *networks.learnt_datasets(plan(w))]
        ]
        + beside_weights(plan(w), ".landmarks.npz"),
        other_manifests=lambda w: [
            path.format(dataset=dataset) for dataset in networks.learnt_datasets(plan(w)) for path in paths.MANIFEST
        ],
        models=lambda w: [network.file(paths.TRAINING) for network in networks.every_network(plan(w))],
    output:
        directory(PACK),
    log:
        f"{paths.LOGS}/{{study}}/pack-{WINNER}.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/pack-{WINNER}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("pack_winner", *DECISIONS),
        study=lambda w: reads.whole_study(plan(w)),
        networks=lambda w: reads.test_networks(plan(w)),
        system=SETTINGS.system,
    script:
        "../workflow/scripts/pack_winner.py"


rule apply_winner:
    """Predict new recordings with the networks, second stages and decision rules of a winner's folds."""
    input:
        pack=PACK,
        template=os.path.relpath(TOP / "workflow" / "auscult" / "prediction" / "templates" / "predictions.html.j2"),
    output:
        table=f"{NEW_FOLDER}/predictions.csv",
        quality=f"{NEW_FOLDER}/quality.csv",
        page=NEW_REPORT,
        challenge=directory(f"{NEW_FOLDER}/challenge"),
    log:
        f"{paths.LOGS}/{{study}}/predict-{NEW.name}.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/predict-{NEW.name}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        gpu=NETWORK_GPU,
        networks_per_gpu=NETWORKS_PER_GPU,
        mem_mb=6000,
        runtime=240,
    params:
        code=lambda w: code(
            "apply_winner", *DECISIONS, f"auscult.datasets.{SETTINGS.form or plan(w).study.dataset.adapter}"
        ),
        root=SETTINGS.recordings,
        form=SETTINGS.form,
        locks=paths.LOCKS,
        raw=NEW.digest,
    script:
        "../workflow/scripts/apply_winner.py"


rule validate_winner:
    """Judge a winner on labelled recordings of another data set; cases that the study knows are left out."""
    input:
        pack=PACK,
    output:
        table=expand(f"{NEW_SCORES}/external.{{end}}", end=FORMATS, allow_missing=True),
        predictions=f"{NEW_SCORES}/predictions.csv",
        quality=f"{NEW_SCORES}/quality.csv",
    log:
        f"{paths.LOGS}/{{study}}/validate-{NEW.name}.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/validate-{NEW.name}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 4
    resources:
        gpu=NETWORK_GPU,
        networks_per_gpu=NETWORKS_PER_GPU,
        mem_mb=6000,
        runtime=240,
    params:
        code=lambda w: code(
            "validate_winner", *DECISIONS, f"auscult.datasets.{SETTINGS.form or plan(w).study.dataset.adapter}"
        ),
        root=SETTINGS.recordings,
        form=SETTINGS.form,
        locks=paths.LOCKS,
        labels=lambda w: reads.external(plan(w), SETTINGS.form or plan(w).study.dataset.adapter),
        raw=NEW.digest,
    script:
        "../workflow/scripts/validate_winner.py"


rule bundle_winner:
    """Write the packed winner as an MLflow model with its code, and register it in the tracking store."""
    input:
        pack=PACK,
        tracked=paths.TRACKED,
        external=lambda w: external_tables(w.study),
    output:
        bundle=directory(BUNDLE),
        registered=REGISTERED,
    log:
        f"{paths.LOGS}/{{study}}/bundle-{WINNER}.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/bundle-{WINNER}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code("bundle_winner", *DECISIONS, "auscult.prediction.served"),
        uri=SETTINGS.tracking.uri,
        artifacts=paths.ARTIFACTS,
        name=lambda w: f"{w.study}-{WINNER}",
    script:
        "../workflow/scripts/bundle_winner.py"
