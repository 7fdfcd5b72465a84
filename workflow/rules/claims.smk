# Holds the paper's claims against the runs. Benches are no part of the DAG: `softshare bench --all` leaves what is read here.
rule claims:
    input:
        files_of(plan.experiments, "metrics.json", "manifest.json", "similarity.npz"),
        files_of(plan.of_kind("folding"), "folding/folding.json"),
        files_of_claims(),
        claims=local("reports/paper/claims.yaml"),
        tables=[local(f"reports/paper/{name}.yaml") for name in TABLES],
    output:
        f"{RESULTS}/claims.md",
        report(
            f"{RESULTS}/claims.html",
            caption="../../reports/captions/claims.rst",
            category="Claims",
            labels={"Shows": "every claim and its verdict"},
        ),
        f"{RESULTS}/claims.json",
        f"{RESULTS}/claims.csv",
    log:
        f"{RESULTS}/logs/claims.log",
    conda:
        "../../envs/report.yaml"
    params:
        scale=plan.scale.name,
        results=results_above(1),
        experiments=EXPERIMENTS,
    shell:
        "{{ python -m softshare claims --scale {params.scale:q} --results {params.results:q}"
        " --experiments {params.experiments:q}; }} > {log:q} 2>&1"
