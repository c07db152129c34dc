# The role of every case in every fold (training, validation, test), and the audit that must pass before any training.


rule assign_folds:
    """Assign a role in every fold to every case."""
    input:
        manifest=manifest,
        lists=lambda w: files_of_protocol(plan(w).study.protocol, LISTS),
    output:
        folds=paths.FOLDS,
    log:
        f"{paths.LOGS}/{{study}}/assign_folds.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/assign_folds.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("assign_folds"),
        reads=lambda w: reads.folds(plan(w)),
        lists=LISTS,
    script:
        "../workflow/scripts/assign_folds.py"


rule assign_inner_folds:
    """Divide the training and validation cases of every fold into inner folds (inner cross-validation)."""
    input:
        manifest=manifest,
        folds=paths.FOLDS,
    output:
        inner=paths.INNER_FOLDS,
    log:
        f"{paths.LOGS}/{{study}}/assign_inner_folds.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/assign_inner_folds.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("assign_inner_folds"),
        reads=lambda w: reads.inner_folds(plan(w)),
    script:
        "../workflow/scripts/assign_inner_folds.py"


rule audit_folds:
    """Count persons, audio and groups that roles share; stop a study with a leak that it does not allow."""
    input:
        manifest=manifest,
        folds=paths.FOLDS,
        copies=lambda w: paths.COPIES.format(dataset=plan(w).dataset),
        inner=lambda w: paths.INNER_FOLDS if plan(w).study.inner_folds else [],
        landmarks=lambda w: paths.LANDMARKS.format(dataset=plan(w).dataset),
        declarations=lambda w: beside_weights(plan(w), ".json"),
        other_manifests=lambda w: [
            path.format(dataset=dataset) for dataset in networks.learnt_datasets(plan(w)) for path in paths.MANIFEST
        ],
        landmarks_of_others=lambda w: [
            paths.LANDMARKS.format(dataset=dataset) for dataset in networks.learnt_datasets(plan(w))
        ],
        landmarks_of_weights=lambda w: beside_weights(plan(w), ".landmarks.npz"),
    output:
        audit=paths.AUDIT,
    log:
        f"{paths.LOGS}/{{study}}/audit_folds.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/audit_folds.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("audit_folds"),
        reads=lambda w: reads.audit(plan(w)),
    script:
        "../workflow/scripts/audit_folds.py"


rule audit_pretrainings:
    """Compare the subjects that encoders were pre-trained on with the cases that judge them; stop at a leak."""
    input:
        manifest=manifest,
        folds=paths.FOLDS,
        inner=lambda w: paths.INNER_FOLDS if plan(w).study.inner_folds else [],
        declarations=lambda w: [encoder.file(paths.DECLARATION) for encoder in networks.every_pretrained(plan(w))],
    output:
        audit=paths.PRETRAINING_AUDIT,
    log:
        f"{paths.LOGS}/{{study}}/audit_pretrainings.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/audit_pretrainings.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("audit_pretrainings"),
        reads=lambda w: reads.pretraining_audit(plan(w)),
    script:
        "../workflow/scripts/audit_pretrainings.py"


rule count_groups:
    """Count the cases in each group that the evaluation names, so that a wrong name is reported early in a run."""
    input:
        manifest=manifest,
    output:
        groups=paths.GROUPS,
    log:
        f"{paths.LOGS}/{{study}}/count_groups.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/count_groups.tsv"
    priority: 100
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("count_groups"),
        reads=lambda w: reads.groups(plan(w)),
    script:
        "../workflow/scripts/count_groups.py"
