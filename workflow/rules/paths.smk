# Shortest paths (section 4.4): examples are drawn by the run itself, so no dataset is asked for. A run resumes from its
# checkpoint, which is no output.
rule train_paths:
    output:
        [
            f"{RESULTS}/runs/{SHORTEST_PATHS}/{{model}}/{{recipe}}/seed{{seed}}/{name}"
            for name in [*RUN_FILES, "predictions.npz"]
        ],
    log:
        f"{RESULTS}/logs/train/{SHORTEST_PATHS}/{{model}}/{{recipe}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{SHORTEST_PATHS}/{{model}}/{{recipe}}/seed{{seed}}.tsv"
    conda:
        COMPUTING
    threads: plan.scale.shortest_paths.threads
    resources:
        gpu=int(ON_GPU),
        mem_mb=growing(4000),
        runtime=growing_time(path_run_limit),
        disk_mb=growing(2000),
    params:
        dataset=SHORTEST_PATHS,
        folder=lambda wildcards, output: output[0].rsplit("/", 1)[0],
        # A changed recipe or scale makes the run anew.
        settings=lambda wildcards: SETTINGS[wildcards.recipe],
        scale=plan.scale.name,
    shell:
        "{{ "
        + GPUS_ASKED
        + " take=;"
        + TAKE_GPUS
        + " $take python -m softshare train --model {wildcards.model:q} --dataset {params.dataset:q}"
        " --recipe {wildcards.recipe:q} --scale {params.scale:q} --seed {wildcards.seed:q}"
        ' --device "$SOFTSHARE_DEVICE" --precision "$SOFTSHARE_PRECISION" --threads {threads}'
        " --out {params.folder:q}; }} > {log:q} 2>&1"


# What stands beside a figure on shortest paths; the figure itself is drawn by the rule of all figures.
rule path_table:
    input:
        lambda wildcards: figure_files(plan.experiment(wildcards.table)),
    output:
        f"{RESULTS}/tables/{{table}}.md",
        report(
            f"{RESULTS}/tables/{{table}}.html",
            caption="../../reports/captions/path-table.rst",
            category="Tables",
            labels=lambda wildcards: {"Shows": plan.experiment(wildcards.table).title},
        ),
        f"{RESULTS}/tables/{{table}}.tex",
        f"{RESULTS}/tables/{{table}}.csv",
    log:
        f"{RESULTS}/logs/tables/{{table}}.log",
    wildcard_constraints:
        table="|".join(e.name for e in plan.of_kind(*ON_PATHS) if not e.differences)
        or "none",
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


use rule path_table as path_table_with_differences with:
    output:
        f"{RESULTS}/tables/{{table}}.md",
        report(
            f"{RESULTS}/tables/{{table}}.html",
            caption="../../reports/captions/path-table.rst",
            category="Tables",
            labels=lambda wildcards: {"Shows": plan.experiment(wildcards.table).title},
        ),
        f"{RESULTS}/tables/{{table}}.tex",
        f"{RESULTS}/tables/{{table}}.csv",
        f"{RESULTS}/tables/{{table}}-differences.csv",
    wildcard_constraints:
        table="|".join(e.name for e in plan.of_kind(*ON_PATHS) if e.differences)
        or "none",
