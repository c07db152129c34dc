# A study's winner applied to new recordings: --config studies=… recordings=DIR.

if SETTINGS.recordings:
    NEW = Path(SETTINGS.recordings)
    NEW_NAME = f"{NEW.name}-{provenance.digest([os.path.realpath(NEW), SETTINGS.form])[:8]}"
    P.predicted = f"results/{{study}}/predicted/{NEW_NAME}"
    if not NEW.is_dir():
        raise WorkflowError(f"--config recordings: there is no folder {NEW}")


def judging_networks(wildcards):
    """[system, task, network folder] of all networks that score judged cases, by unit and fold."""
    study = wildcards.study
    return {
        f"{unit}/{fold}": [
            [*Path(folder).parts[:2], f"results/{study}/networks/{folder}"]
            for folders in networks(study, unit, [fold]).values()
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


if SETTINGS.recordings:

    rule apply_winner:
        """The folds' networks, second stage and decision of a study's winner on new recordings."""
        input:
            winner=P.winner,
            cases=each(f"{P.outputs}/cases.csv", evaluated),
            recordings=each(f"{P.outputs}/recordings.csv", evaluated),
            inner=inner_outputs(evaluated),
            fused=each(f"{P.fusion}/probabilities.csv", fused),
            manifest=manifest,
            models=manifests,
            code=code("apply_winner", f"auscult.datasets.{SETTINGS.form or 'folder'}"),
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
            study=whole_study,
            networks=judging_networks,
            pairs=evaluated,
            ensembles=lambda wildcards: {name: one.systems for name, one in STUDIES[wildcards.study].ensembles.items()},
            root=SETTINGS.recordings,
            form=SETTINGS.form,
            raw=lambda wildcards: new_files(),
            locks=P.locks,
        script:
            "../workflow/scripts/apply_winner.py"


def new_files():
    """Names, sizes and time stamps of the new files: a changed folder is predicted anew."""
    found = sorted(path for path in NEW.rglob("*") if path.is_file())
    return provenance.digest([[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in found])
