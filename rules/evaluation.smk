# Decisions on the judged cases, tables with intervals, figures, report.


def evaluated(wildcards):
    """(system, fold) pairs of a study, ensembles too; those with a second stage apart."""
    return [(system, fold) for system in judged(wildcards.study) for fold in FOLDS[wildcards.study]]


def fused(wildcards):
    fusion = STUDIES[wildcards.study].fusion
    return [pair for pair in evaluated(wildcards) if fusion and pair[0] in fusion.systems]


def each(pattern, pairs):
    """A path for every (system, fold) of `pairs`."""
    return lambda wildcards: [
        pattern.format(study=wildcards.study, system=system, fold=fold) for system, fold in pairs(wildcards)
    ]


def study_slice(wildcards):
    """A study without what the networks were made of: what is read from their outputs on. Ensembles are systems."""
    study = whole_study(wildcards)
    study["systems"] = {name: stand_in(wildcards.study, name).model_dump() for name in judged(wildcards.study)}
    del study["ensembles"]
    for system in study["systems"].values():
        for key in ("front_end", "network"):
            system[key] = {"name": system[key]["name"]}
        system["training"] = {"select": system["training"]["select"]}
        for key in ("inference", "segment"):
            del system[key]
    return study


def whole_study(wildcards):
    """Everything that a study says but where its data lie."""
    study = STUDIES[wildcards.study].model_dump()
    study["dataset"]["root"] = ""
    return study


def named_groups(wildcards):
    """What of a study names groups of cases for the evaluation."""
    study = STUDIES[wildcards.study].model_dump()
    cut = folds_slice(wildcards)
    for name, target in cut["targets"].items():
        target["referral"] = study["targets"][name]["referral"]
    return {**cut, "evaluation": {"subgroups": study["evaluation"]["subgroups"]}}


rule count_groups:
    """Count the groups of cases that the evaluation names: a wrong name is known at the beginning."""
    input:
        manifest=manifest,
        code=code("count_groups"),
    output:
        groups=P.groups,
    log:
        f"{P.log}/{{study}}/count_groups.log",
    benchmark:
        f"{P.benchmark}/{{study}}/count_groups.tsv"
    priority: 100
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=named_groups,
    script:
        "../workflow/scripts/count_groups.py"


rule evaluate:
    """Decide every judged case by every variant, and score the variants on validation cases."""
    input:
        cases=each(f"{P.outputs}/cases.csv", evaluated),
        recordings=each(f"{P.outputs}/recordings.csv", evaluated),
        fused=each(f"{P.fusion}/probabilities.csv", fused),
        manifest=manifest,
        inner=inner_outputs(evaluated),
        groups=P.groups,
        code=decision_code("evaluate"),
    output:
        predictions=P.predictions,
        scores=P.scores,
    log:
        f"{P.log}/{{study}}/evaluate.log",
    benchmark:
        f"{P.benchmark}/{{study}}/evaluate.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        study=study_slice,
        pairs=evaluated,
    script:
        "../workflow/scripts/evaluate.py"


TABLES = ["leaderboard", "cross_validation", "floors", "uncertainty", "comparison", "subgroups"]


def of_every_network(name):
    """A file of the model folder of every network of a study, as an input function."""
    return lambda wildcards: [
        f"results/{wildcards.study}/networks/{folder}/{name}"
        for system in STUDIES[wildcards.study].systems
        for folders in networks(wildcards.study, system).values()
        for folder in folders
    ]


manifests, histories = of_every_network("manifest.json"), of_every_network("history.csv")


rule compare:
    """Leaderboard with intervals, cross-validation, floors, comparisons, subgroups, winner, Challenge files."""
    input:
        predictions=P.predictions,
        scores=P.scores,
        audit=P.audit,
        manifest=manifest,
        models=manifests,
        code=code("compare"),
    output:
        tables=[f"{P.tables}/{name}.{end}" for name in TABLES for end in ("csv", "md", "html", "tex")],
        winner=P.winner,
        challenge=directory(P.challenge),
    log:
        f"{P.log}/{{study}}/compare.log",
    benchmark:
        f"{P.benchmark}/{{study}}/compare.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        study=study_slice,
        ensembles=lambda wildcards: {name: one.systems for name, one in STUDIES[wildcards.study].ensembles.items()},
        folder=P.tables,
    script:
        "../workflow/scripts/compare.py"


TOGETHER = P.together.format(studies="+".join(STUDIES))


rule compare_studies:
    """Leaderboard and paired differences of the systems of all studies asked for, which must be judged alike."""
    input:
        predictions=[P.predictions.format(study=study) for study in STUDIES],
        folds=[P.folds.format(study=study) for study in STUDIES],
        audits=[P.audit.format(study=study) for study in STUDIES],
        code=code("compare_studies"),
    output:
        tables=[
            f"{TOGETHER}/{name}.{end}"
            for name in ("leaderboard", "comparison")
            for end in ("csv", "md", "html", "tex")
        ],
    log:
        f"{P.log}/compare_studies.log",
    benchmark:
        f"{P.benchmark}/compare_studies.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        studies=lambda wildcards: {study: study_slice(SimpleNamespace(study=study)) for study in STUDIES},
        folder=TOGETHER,
    script:
        "../workflow/scripts/compare_studies.py"


rule plot:
    """ROC, precision–recall, confusion, reliability, intervals, learning curves and what the second stage reads."""
    input:
        predictions=P.predictions,
        tables=f"{P.tables}/leaderboard.csv",
        importances=each(f"{P.fusion}/importances.csv", fused),
        histories=histories,
        code=code("plot"),
    output:
        figures=P.figures,
    log:
        f"{P.log}/{{study}}/plot.log",
    benchmark:
        f"{P.benchmark}/{{study}}/plot.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        study=study_slice,
    script:
        "../workflow/scripts/plot.py"


def first_networks(wildcards):
    """Weights and configuration of the first network of every task and fold of a system."""
    study, system = wildcards.study, wildcards.system
    return [
        f"results/{study}/networks/{system}/{task}/{fold}{members(study, system, fold)[0]}/{name}"
        for task in STUDIES[study].systems[system].tasks
        for fold in FOLDS[study]
        for name in MODEL_FILES[:2]
    ]


def explainable(study):
    """Systems whose saved weights are those that score: with `select: test` these are of the last epoch."""
    return [name for name, system in STUDIES[study].systems.items() if system.training.select != "test"]


def explained_slice(wildcards):
    """A study with one system alone, and what it serves."""
    study, name = STUDIES[wildcards.study], wildcards.system
    whole = whole_study(wildcards)
    served = {target: whole["targets"][target] for target in study.targets_of(study.systems[name])}
    alone = {"ensembles": {}, "fusion": None, "systems": {name: whole["systems"][name]}, "targets": served}
    return {**whole, "description": "", **alone}


rule explain_system:
    """Grad-CAM or attention in a system's typical hits, misses and least sure cases, and the heart phases that it hears."""
    input:
        predictions=P.predictions,
        manifest=manifest,
        states=of_dataset(P.states),
        frames=frames_of,
        audio=lambda wildcards: shards(KEY[wildcards.study], "audio"),
        networks=first_networks,
        code=network_code("explain"),
    output:
        figures=P.explained,
        phases="results/{study}/explanations/{system}/phases.csv",
    log:
        f"{P.log}/{{study}}/explain-{{system}}.log",
    benchmark:
        f"{P.benchmark}/{{study}}/explain-{{system}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPU,
        mem_mb=4000,
        runtime=60,
    params:
        study=explained_slice,
        locks=P.locks,
    script:
        "../workflow/scripts/explain.py"


rule explain:
    """Explanations of every system of the studies that can be explained."""
    input:
        [P.explained.format(study=study, system=system) for study in STUDIES for system in explainable(study)],


rule report:
    """One page that a reader understands without the code."""
    input:
        tables=[f"{P.tables}/{name}.csv" for name in TABLES],
        winner=P.winner,
        figures=P.figures,
        explained=lambda wildcards: P.explained.format(study=wildcards.study, system=explainable(wildcards.study)[0]),
        audit=P.audit,
        folds=P.folds,
        histories=histories,
        manifest=manifest,
        quality=of_dataset(P.quality),
        published="resources/published.csv",
        code=code("report"),
        template=os.path.relpath(WORKFLOW / "auscult" / "report" / "templates" / "report.html.j2"),
    output:
        report=report(P.page, category="report", labels={"study": "{study}"}),
    log:
        f"{P.log}/{{study}}/report.log",
    benchmark:
        f"{P.benchmark}/{{study}}/report.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        study=whole_study,
    script:
        "../workflow/scripts/report.py"
