rule similarity_figure:
    input:
        lambda wildcards: files_of(
            [plan.experiment(wildcards.figure)], "similarity.npz", "metrics.json"
        ),
    output:
        report(
            RESULTS + "/figures/{figure}.svg",
            caption="../../reports/captions/similarity.rst",
            category="Figures",
        ),
        RESULTS + "/figures/{figure}.png",
        RESULTS + "/figures/{figure}.pdf",
    log:
        RESULTS + "/logs/figures/{figure}.log",
    wildcard_constraints:
        figure="|".join(e.name for e in plan.of_kind("similarity")) or "none",
    conda:
        "../../envs/report.yaml"
    params:
        scale=plan.scale.name,
    shell:
        "{PYTHON} -m softshare figure {wildcards.figure:q} --scale {params.scale:q}"
        " --experiments {EXPERIMENTS} > {log:q} 2>&1"


rule table:
    input:
        lambda wildcards: files_of(
            [plan.experiment(wildcards.table)], "metrics.json", "manifest.json"
        ),
        paper="reports/paper/{table}.yaml",
    output:
        report(
            RESULTS + "/tables/{table}.md",
            caption="../../reports/captions/table1.rst",
            category="Tables",
        ),
        RESULTS + "/tables/{table}.tex",
        RESULTS + "/tables/{table}.csv",
    log:
        RESULTS + "/logs/tables/{table}.log",
    wildcard_constraints:
        table="|".join(e.name for e in plan.of_kind("table")) or "none",
    conda:
        "../../envs/report.yaml"
    params:
        scale=plan.scale.name,
    shell:
        "{PYTHON} -m softshare table {wildcards.table:q} --scale {params.scale:q}"
        " --experiments {EXPERIMENTS} > {log:q} 2>&1"
