rule similarity_figure:
    input:
        lambda wildcards: files_of(
            [plan.experiment(wildcards.figure)], "similarity.npz", "metrics.json"
        ),
    output:
        report(
            f"{RESULTS}/figures/{{figure}}.svg",
            caption="../../reports/captions/similarity.rst",
            category="Figures",
        ),
        f"{RESULTS}/figures/{{figure}}.png",
        f"{RESULTS}/figures/{{figure}}.pdf",
    log:
        f"{RESULTS}/logs/figures/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(e.name for e in plan.of_kind("similarity")) or "none",
    conda:
        "../../envs/report.yaml"
    params:
        scale=plan.scale.name,
        experiments=EXPERIMENTS,
    shell:
        "python -m softshare figure {wildcards.figure:q} --scale {params.scale:q}"
        " --experiments {params.experiments:q} > {log:q} 2>&1"


rule table:
    input:
        lambda wildcards: files_of(
            [plan.experiment(wildcards.table)], "metrics.json", "manifest.json"
        ),
        paper="reports/paper/{table}.yaml",
    output:
        report(
            f"{RESULTS}/tables/{{table}}.md",
            caption="../../reports/captions/table.rst",
            category="Tables",
        ),
        f"{RESULTS}/tables/{{table}}.tex",
        f"{RESULTS}/tables/{{table}}.csv",
    log:
        f"{RESULTS}/logs/tables/{{table}}.log",
    wildcard_constraints:
        table="|".join(e.name for e in plan.of_kind("table")) or "none",
    conda:
        "../../envs/report.yaml"
    params:
        scale=plan.scale.name,
        experiments=EXPERIMENTS,
    shell:
        "python -m softshare table {wildcards.table:q} --scale {params.scale:q}"
        " --experiments {params.experiments:q} > {log:q} 2>&1"
