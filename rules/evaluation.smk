# Decisions on the test cases, tables with intervals, figures and report.

TABLES = ["leaderboard", "cross_validation", "floors", "uncertainty", "comparison", "subgroups"]


rule decide:
    """Decide every test case by every variant, and score the variants on inner or validation cases."""
    input:
        cases=lambda w: networks.files_of(plan(w), paths.CASE_OUTPUTS, networks.unit_folds(plan(w))),
        recordings=lambda w: networks.files_of(plan(w), paths.RECORDING_OUTPUTS, networks.unit_folds(plan(w))),
        fused=lambda w: networks.files_of(plan(w), paths.FUSED, networks.fused_folds(plan(w))),
        manifest=manifest,
        inner=lambda w: networks.inner_outputs(plan(w), networks.unit_folds(plan(w))),
        groups=paths.GROUPS,
    output:
        predictions=paths.PREDICTIONS,
        scores=paths.SCORES,
    log:
        f"{paths.LOGS}/{{study}}/decide.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/decide.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("decide", *DECISIONS),
        study=lambda w: reads.evaluation(plan(w)),
    script:
        "../workflow/scripts/decide.py"


rule make_tables:
    """Write leaderboard, cross-validation, trivial baselines, comparisons, subgroups, winner and Challenge files."""
    input:
        predictions=paths.PREDICTIONS,
        scores=paths.SCORES,
        audit=lambda w: audits(plan(w)),
        folds=paths.FOLDS,
        manifest=manifest,
        models=lambda w: [network.file(paths.TRAINING) for network in networks.every_network(plan(w))],
    output:
        tables=expand(f"{paths.TABLE}.{{end}}", table=TABLES, end=FORMATS, allow_missing=True),
        winner=paths.WINNER,
        challenge=directory(paths.CHALLENGE),
    log:
        f"{paths.LOGS}/{{study}}/make_tables.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/make_tables.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code("make_tables"),
        study=lambda w: reads.evaluation(plan(w)),
        ensembles=lambda w: {name: ensemble.systems for name, ensemble in plan(w).study.ensembles.items()},
    script:
        "../workflow/scripts/make_tables.py"


rule label_issues:
    """List labels of cases and recordings that are probably wrong, by confident learning. None is changed."""
    input:
        predictions=paths.PREDICTIONS,
        recordings=lambda w: networks.files_of(plan(w), paths.RECORDING_OUTPUTS, networks.labelled_recordings(plan(w))),
        audit=lambda w: audits(plan(w)),
        manifest=manifest,
    output:
        expand(f"{paths.LABEL_ISSUES}.{{end}}", end=FORMATS, allow_missing=True),
    log:
        f"{paths.LOGS}/{{study}}/label_issues.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/label_issues.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("label_issues"),
        study=lambda w: reads.evaluation(plan(w)),
    script:
        "../workflow/scripts/label_issues.py"


rule compare_studies:
    """Write leaderboard and paired differences of all chosen studies, which must have the same test cases."""
    input:
        predictions=expand(paths.PREDICTIONS, study=PLANS),
        folds=expand(paths.FOLDS, study=PLANS),
        audits=[path for study_plan in PLANS.values() for path in audits(study_plan)],
    output:
        tables=expand(
            f"{paths.COMPARISON}.{{end}}", studies="+".join(PLANS), table=["leaderboard", "comparison"], end=FORMATS
        ),
    log:
        f"{paths.LOGS}/compare_studies.log",
    benchmark:
        f"{paths.BENCHMARKS}/compare_studies.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code("compare_studies"),
        studies=lambda w: {name: reads.evaluation(study_plan) for name, study_plan in PLANS.items()},
    script:
        "../workflow/scripts/compare_studies.py"


rule plot:
    """Draw ROC, precision–recall, confusion, reliability, intervals, learning curves and feature importances."""
    input:
        predictions=paths.PREDICTIONS,
        tables=paths.LEADERBOARD,
        importances=lambda w: networks.files_of(plan(w), paths.IMPORTANCES, networks.fused_folds(plan(w))),
        histories=histories,
    output:
        figures=paths.FIGURES,
    log:
        f"{paths.LOGS}/{{study}}/plot.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/plot.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("plot"),
        study=lambda w: reads.evaluation(plan(w)),
    script:
        "../workflow/scripts/plot.py"


rule explain_system:
    """Draw Grad-CAM or attention of typical correct, wrong and least certain cases; write its shares by heart phase."""
    input:
        predictions=paths.PREDICTIONS,
        manifest=manifest,
        states=lambda w: paths.STATES.format(dataset=plan(w).dataset),
        frames=frames,
        audio=lambda w: shards(plan(w).dataset, "audio"),
        networks=lambda w: [
            network.file(path)
            for network in networks.to_explain(plan(w), w.system)
            for path in (paths.WEIGHTS, paths.NETWORK_CONFIG)
        ],
    output:
        figures=paths.EXPLANATIONS,
        phases=paths.PHASES,
    log:
        f"{paths.LOGS}/{{study}}/explain-{{system}}.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/explain-{{system}}.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPU,
        networks_per_gpu=NETWORKS_PER_GPU,
        mem_mb=4000,
        runtime=60,
    params:
        code=lambda w: network_code("explain", w),
        study=lambda w: reads.explanation(plan(w), w.system),
        locks=paths.LOCKS,
    script:
        "../workflow/scripts/explain.py"


rule explain:
    """Explanations of every system that can be explained, for all chosen studies."""
    input:
        [
            paths.EXPLANATIONS.format(study=name, system=system)
            for name, study_plan in PLANS.items()
            for system in networks.explainable(study_plan)
        ],


rule listen:
    """Write a page with the sounds of cases that are worth hearing, beside probabilities and explanations."""
    input:
        predictions=paths.PREDICTIONS,
        issues=f"{paths.LABEL_ISSUES}.csv",
        audit=lambda w: audits(plan(w)),
        manifest=manifest,
        quality=lambda w: paths.QUALITY.format(dataset=plan(w).dataset),
        states=lambda w: paths.STATES.format(dataset=plan(w).dataset),
        frames=lambda w: shards(
            plan(w).dataset, folder_name(plan(w).study.systems[networks.system_to_show(plan(w))].front_end)
        ),
        audio=lambda w: shards(plan(w).dataset, "audio"),
        networks=lambda w: [
            network.file(path)
            for system in networks.explainable(plan(w))[:1]
            for network in networks.to_explain(plan(w), system)
            for path in (paths.WEIGHTS, paths.NETWORK_CONFIG)
        ],
        template=os.path.relpath(TOP / "workflow" / "auscult" / "listening" / "templates" / "listen.html.j2"),
    output:
        report(paths.LISTEN, category="report", labels={"study": "{study}"}),
    log:
        f"{paths.LOGS}/{{study}}/listen.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/listen.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: NETWORK_THREADS
    resources:
        gpu=lambda w: NETWORK_GPU if networks.explainable(plan(w)) else 0,
        networks_per_gpu=NETWORKS_PER_GPU,
        mem_mb=4000,
        runtime=30,
    params:
        code=lambda w: code(
            "listen",
            *reads.network_modules(plan(w), networks.system_to_show(plan(w))),
            features.module_of(plan(w).study.systems[networks.system_to_show(plan(w))].front_end.name),
        ),
        study=lambda w: reads.whole_study(plan(w)),
        system=lambda w: networks.system_to_show(plan(w)),
        cases=SETTINGS.cases,
        locks=paths.LOCKS,
    script:
        "../workflow/scripts/listen.py"


rule report:
    """Write the report of a study as one page that can be read without knowledge of the code."""
    input:
        tables=expand(f"{paths.TABLE}.csv", table=[*TABLES, "label_issues"], allow_missing=True),
        winner=paths.WINNER,
        figures=paths.FIGURES,
        explanations=lambda w: [
            paths.EXPLANATIONS.format(study=w.study, system=system) for system in networks.explainable(plan(w))[:1]
        ],
        audit=lambda w: audits(plan(w)),
        folds=paths.FOLDS,
        histories=histories,
        manifest=manifest,
        quality=lambda w: paths.QUALITY.format(dataset=plan(w).dataset),
        external=lambda w: external_tables(w.study),
        published=os.path.relpath(TOP / "resources" / "published.csv"),
        template=os.path.relpath(TOP / "workflow" / "auscult" / "report" / "templates" / "report.html.j2"),
    output:
        report=report(paths.REPORT, category="report", labels={"study": "{study}"}),
    log:
        f"{paths.LOGS}/{{study}}/report.log",
    benchmark:
        f"{paths.BENCHMARKS}/{{study}}/report.tsv"
    conda:
        "../envs/auscult.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("report"),
        study=lambda w: reads.whole_study(plan(w)),
    script:
        "../workflow/scripts/report.py"
