rule report:
    input:
        files_of(plan.experiments, "metrics.json", "manifest.json"),
        [f"{RESULTS}/tables/{e.name}.md" for e in plan.of_kind("table")],
        [f"{RESULTS}/figures/{e.name}.svg" for e in plan.of_kind("similarity")],
        template="reports/templates/report.md.j2",
    output:
        report(
            f"{RESULTS}/report.md",
            caption="../../reports/captions/report.rst",
            category="Report",
        ),
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        "../../envs/report.yaml"
    params:
        scale=plan.scale.name,
        experiments=EXPERIMENTS,
    shell:
        "python -m softshare report --scale {params.scale:q} --experiments {params.experiments:q} > {log:q} 2>&1"
