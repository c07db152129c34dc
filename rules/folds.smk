# Who is trained on, chosen on and judged on; and the audit that must pass before anything is trained.


def folds_slice(wildcards):
    study = STUDIES[wildcards.study].model_dump(include={"targets", "protocol", "tasks", "leak"})
    for target in study["targets"].values():
        target |= {"weights": None, "decisions": ["reference"], "referral": None}
    return study


def fold_files(wildcards):
    """Files that the protocol reads."""
    protocol = STUDIES[wildcards.study].protocol
    if protocol.name == "m2d3":
        return [os.path.relpath(LISTS / f"m2d_{number}.csv") for number in protocol.lists]
    return [protocol.file] if protocol.name == "fixed" else []


rule assign_folds:
    """Give every case a role in every fold."""
    input:
        manifest=manifest,
        lists=fold_files,
        code=code("assign_folds"),
    output:
        folds=P.folds,
    log:
        f"{P.log}/{{study}}/assign_folds.log",
    benchmark:
        f"{P.benchmark}/{{study}}/assign_folds.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=folds_slice,
        lists=os.path.relpath(LISTS),
    script:
        "../workflow/scripts/assign_folds.py"


def inner_slice(wildcards):
    return {
        **folds_slice(wildcards),
        "inner_folds": STUDIES[wildcards.study].inner_folds.model_dump(exclude={"seeds", "bag"}),
    }


rule assign_inner_folds:
    """Divide every fold's own cases once more, for thresholds and fusions fitted on cases that no network saw."""
    input:
        manifest=manifest,
        folds=P.folds,
        code=code("assign_inner_folds"),
    output:
        inner=P.inner,
    log:
        f"{P.log}/{{study}}/assign_inner_folds.log",
    benchmark:
        f"{P.benchmark}/{{study}}/assign_inner_folds.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=inner_slice,
    script:
        "../workflow/scripts/assign_inner_folds.py"


def started_from(wildcards):
    """Files of weights that systems start from, by system."""
    systems = STUDIES[wildcards.study].systems.items()
    return {name: system.network.weights for name, system in systems if system.network.weights}


def declarations(wildcards):
    """What those weights heard, where that is declared."""
    return [path for weights in started_from(wildcards).values() if os.path.isfile(path := f"{weights}.json")]


rule audit_folds:
    """Count what the roles share; stop a study that leaks without saying why."""
    input:
        manifest=manifest,
        folds=P.folds,
        inner=lambda wildcards: P.inner if STUDIES[wildcards.study].inner_folds else [],
        declarations=declarations,
        code=code("audit_folds"),
    output:
        audit=P.audit,
    log:
        f"{P.log}/{{study}}/audit_folds.log",
    benchmark:
        f"{P.benchmark}/{{study}}/audit_folds.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        study=folds_slice,
        dataset=lambda wildcards: STUDIES[wildcards.study].dataset.name,
        started_from=started_from,
    script:
        "../workflow/scripts/audit_folds.py"
