rule report:
    input:
        files_of(plan.experiments, "metrics.json", "manifest.json"),
        [f"{RESULTS}/tables/{name}.md" for name in TABLES],
        [f"{RESULTS}/figures/{name}.svg" for name in DRAWN],
        [f"{RESULTS}/tables/{e.name}.md" for e in plan.of_kind(*ON_PATHS)],
        files_of(plan.of_kind("folding"), "folding/folding.json"),
        f"{RESULTS}/claims.json",
        files_of_report(),
        templates=[
            local(f"reports/templates/{name}")
            for name in (
                "report.md.j2",
                "report.html.j2",
                "page.css",
                "page.js",
                "folding.js",
            )
        ],
    output:
        f"{RESULTS}/report.md",
        report(
            f"{RESULTS}/report.html",
            caption="../../reports/captions/report.rst",
            category="Report",
            labels={"Shows": "the whole report on one page"},
        ),
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        "../../envs/report.yaml"
    params:
        scale=plan.scale.name,
        results=results_above(1),
        experiments=EXPERIMENTS,
    shell:
        "{{ python -m softshare report --scale {params.scale:q} --results {params.results:q}"
        " --experiments {params.experiments:q}; }} > {log:q} 2>&1"
