# Folds a run into real loops, and measures what that costs at each threshold (section 4.3).
rule fold:
    input:
        files_of_run("model.safetensors", "metrics.json", "manifest.json"),
        ancient("results/data/{dataset}.json"),
    output:
        multiext(
            f"{RESULTS}/runs/{{dataset}}/{{model}}/{{recipe}}/seed{{seed}}/folding/",
            "folding.json",
            "folding.csv",
            "folded.safetensors",
            "folding.svg",
            "folding.png",
            "folding.pdf",
        ),
    log:
        f"{RESULTS}/logs/fold/{{dataset}}/{{model}}/{{recipe}}/seed{{seed}}.log",
    conda:
        COMPUTING
    threads: lambda wildcards: plan.scale.task_of(wildcards.dataset).threads
    resources:
        gpu=int(ON_GPU),
        mem_mb=growing(memory_of),
        runtime=growing_time(fold_limit),
        disk_mb=2000,
    params:
        run=lambda wildcards, output: output[0].rsplit("/", 2)[0],
        folding=config["folding"],
    shell:
        "{{ "
        + GPUS_ASKED
        + " take=;"
        + TAKE_GPUS
        + " $take python -m softshare fold {params.run:q} --threshold {params.folding[threshold]:q}"
        " --thresholds {params.folding[thresholds]:q} --reestimate-on {params.folding[reestimate_on]:q}"
        ' --device "$SOFTSHARE_DEVICE" --precision "$SOFTSHARE_PRECISION"'
        " --cache results/data/cache; }} > {log:q} 2>&1"


rule figure:
    input:
        lambda wildcards: figure_files(plan.experiment(wildcards.figure)),
    output:
        report(
            f"{RESULTS}/figures/{{figure}}.svg",
            caption="../../reports/captions/figure.rst",
            category="Figures",
            labels=lambda wildcards: {
                "Shows": plan.experiment(wildcards.figure).title
            },
        ),
        f"{RESULTS}/figures/{{figure}}.png",
        f"{RESULTS}/figures/{{figure}}.pdf",
        f"{RESULTS}/figures/{{figure}}.csv",
    log:
        f"{RESULTS}/logs/figures/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(DRAWN) or "none",
    conda:
        "../../envs/report.yaml"
    params:
        title=lambda wildcards: plan.experiment(wildcards.figure).title,
        legend=lambda wildcards: LEGENDS[plan.experiment(wildcards.figure).kind],
        scale=plan.scale.name,
        results=results_above(2),
        experiments=EXPERIMENTS,
    shell:
        "{{ python -m softshare figure {wildcards.figure:q} --scale {params.scale:q} --results {params.results:q}"
        " --experiments {params.experiments:q}; }} > {log:q} 2>&1"


rule table:
    input:
        lambda wildcards: files_of(
            [plan.experiment(wildcards.table)], "metrics.json", "manifest.json"
        ),
        lambda wildcards: brought([plan.experiment(wildcards.table)], "history.csv"),
        paper=local("reports/paper/{table}.yaml"),
    output:
        f"{RESULTS}/tables/{{table}}.md",
        report(
            f"{RESULTS}/tables/{{table}}.html",
            caption="../../reports/captions/table.rst",
            category="Tables",
            labels=lambda wildcards: {"Shows": plan.experiment(wildcards.table).title},
        ),
        f"{RESULTS}/tables/{{table}}.tex",
        f"{RESULTS}/tables/{{table}}.csv",
    log:
        f"{RESULTS}/logs/tables/{{table}}.log",
    wildcard_constraints:
        table="|".join(TABLES) or "none",
    conda:
        "../../envs/report.yaml"
    params:
        title=lambda wildcards: plan.experiment(wildcards.table).title,
        scale=plan.scale.name,
        results=results_above(2),
        experiments=EXPERIMENTS,
    shell:
        "{{ python -m softshare table {wildcards.table:q} --scale {params.scale:q} --results {params.results:q}"
        " --experiments {params.experiments:q}; }} > {log:q} 2>&1"
