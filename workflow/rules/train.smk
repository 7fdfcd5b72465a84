# A run resumes from its checkpoint, which is no output: Snakemake deletes the outputs of a failed job.
rule train:
    input:
        # Data that moved, or were looked at again, are no reason to train again: a manifest tells what was trained on.
        ancient("results/data/{dataset}.json"),
    output:
        [
            f"{RESULTS}/runs/{{dataset}}/{{model}}/{{recipe}}/seed{{seed}}/{name}"
            for name in RUN_FILES
        ],
    log:
        f"{RESULTS}/logs/train/{{dataset}}/{{model}}/{{recipe}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{dataset}}/{{model}}/{{recipe}}/seed{{seed}}.tsv"
    conda:
        COMPUTING
    threads: lambda wildcards: plan.scale.task_of(wildcards.dataset).threads
    resources:
        gpu=gpus_of,
        mem_mb=growing(memory_of),
        runtime=growing(run_limit),
        disk_mb=growing(disk_of),
    params:
        folder=lambda wildcards, output: output[0].rsplit("/", 1)[0],
        # A changed recipe or scale makes the run anew.
        settings=lambda wildcards: SETTINGS[wildcards.recipe],
        device=config["device"],
        precision=config["precision"],
        scale=plan.scale.name,
    # Several GPUs: a process each. (A job's number of GPUs is no part of what a run is, and so no param.)
    shell:
        "launch='python -m';"
        " if [ {resources.gpu:q} -gt 1 ]; then"
        " launch='python -m torch.distributed.run --standalone --nproc-per-node {resources.gpu:q} -m'; fi;"
        " $launch softshare train --model {wildcards.model:q} --dataset {wildcards.dataset:q}"
        " --recipe {wildcards.recipe:q} --scale {params.scale:q} --seed {wildcards.seed:q}"
        " --device {params.device:q} --precision {params.precision:q} --threads {threads}"
        " --cache results/data/cache --out {params.folder:q} > {log:q} 2>&1"
