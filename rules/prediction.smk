# A study's winner, or the best variant of --config system=…, packed; applied to new recordings; and as an MLflow model.

CHOSEN = SETTINGS.system or "winner"
P.pack = f"results/{{study}}/packed/{CHOSEN}"
P.bundle = f"results/{{study}}/bundle/{CHOSEN}"
P.registered = f"{P.bundle}.json"
for _name in STUDIES:
    if SETTINGS.system and SETTINGS.system not in judged(_name):
        raise WorkflowError(f"--config system: {SETTINGS.system!r} is not one of {', '.join(judged(_name))} of {_name}")
if SETTINGS.recordings:
    NEW = Path(SETTINGS.recordings)
    NEW_NAME = f"{NEW.name}-{provenance.digest([os.path.realpath(NEW), SETTINGS.form, SETTINGS.system])[:8]}"
    P.predicted = f"results/{{study}}/predicted/{NEW_NAME}"
    if not NEW.is_dir():
        raise WorkflowError(f"--config recordings: there is no folder {NEW}")


def judging_networks(wildcards):
    """[system, task, network folder] of all networks that score judged cases, by unit and fold."""
    study = wildcards.study
    return {
        f"{unit}/{fold}": [
            [*Path(folder).parts[:2], f"results/{study}/networks/{folder}"]
            for folders in networks(study, unit, judges(study, fold)).values()
            for folder in folders
        ]
        for unit in judged(study)
        for fold in FOLDS[study]
    }


def predicted(wildcards):
    """The tables of all studies asked for; a clear word where no recordings are."""
    if not SETTINGS.recordings:
        raise WorkflowError("snakemake predict: which recordings? --config studies=… recordings=DIR")
    return [f"{P.predicted}/predictions.csv".format(study=study) for study in STUDIES]


rule predict:
    """Predictions of the studies' winners for the recordings in a folder."""
    input:
        predicted,


rule bundle:
    """The studies' winners as registered MLflow models."""
    input:
        expand(P.registered, study=STUDIES),


rule pack_winner:
    """The folds' networks, second stages and fitted decisions of a winner, with its model card."""
    input:
        winner=P.winner,
        scores=P.scores,
        board=f"{P.tables}/leaderboard.csv",
        subgroups=f"{P.tables}/subgroups.csv",
        cases=each(f"{P.outputs}/cases.csv", evaluated),
        recordings=each(f"{P.outputs}/recordings.csv", evaluated),
        inner=inner_outputs(evaluated),
        fused=each(f"{P.fusion}/probabilities.csv", fused),
        manifest=manifest,
        models=manifests,
        code=decision_code("pack_winner"),
    output:
        directory(P.pack),
    log:
        f"{P.log}/{{study}}/pack-{CHOSEN}.log",
    benchmark:
        f"{P.benchmark}/{{study}}/pack-{CHOSEN}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        study=whole_study,
        networks=judging_networks,
        pairs=evaluated,
        system=SETTINGS.system,
    script:
        "../workflow/scripts/pack_winner.py"


if SETTINGS.recordings:

    rule apply_winner:
        """The folds' networks, second stage and decision of a study's winner on new recordings."""
        input:
            pack=P.pack,
            code=decision_code("apply_winner", f"auscult.datasets.{SETTINGS.form or 'folder'}"),
        output:
            table=f"{P.predicted}/predictions.csv",
            quality=f"{P.predicted}/quality.csv",
            page=f"{P.predicted}/report.html",
            challenge=directory(f"{P.predicted}/challenge"),
        log:
            f"{P.log}/{{study}}/predict-{NEW_NAME}.log",
        benchmark:
            f"{P.benchmark}/{{study}}/predict-{NEW_NAME}.tsv"
        conda:
            "../envs/auscult.yaml"
        threads: 4
        resources:
            gpu=NETWORK_GPU,
            mem_mb=6000,
            runtime=240,
        params:
            root=SETTINGS.recordings,
            form=SETTINGS.form,
            raw=lambda wildcards: new_files(),
        script:
            "../workflow/scripts/apply_winner.py"


def new_files():
    """Names, sizes and time stamps of the new files: a changed folder is predicted anew."""
    found = sorted(path for path in NEW.rglob("*") if path.is_file())
    return provenance.digest([[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in found])


rule bundle_winner:
    """The packed winner as an MLflow model with the code that runs it, registered in the tracking store."""
    input:
        pack=P.pack,
        tracked=P.tracked,
        code=decision_code("bundle_winner", "auscult.prediction.served"),
    output:
        bundle=directory(P.bundle),
        registered=P.registered,
    log:
        f"{P.log}/{{study}}/bundle-{CHOSEN}.log",
    benchmark:
        f"{P.benchmark}/{{study}}/bundle-{CHOSEN}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        uri=SETTINGS.tracking.uri,
        artifacts=P.artifacts,
        name=lambda wildcards: f"{wildcards.study}-{CHOSEN}",
    script:
        "../workflow/scripts/bundle_winner.py"
