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
    threads: train_threads
    resources:
        gpu=gpus_of,
        mem_mb=growing(train_memory),
        runtime=growing_time(run_limit),
        disk_mb=growing(disk_of),
    params:
        folder=lambda wildcards, output: output[0].rsplit("/", 1)[0],
        # A changed recipe or scale makes the run anew.
        settings=lambda wildcards: SETTINGS[wildcards.recipe],
        # So does another number of GPUs where each takes statistics of its own: of half a batch they are not those of
        # the whole. With synchronised ones the steps are one GPU's but for rounding, and it is no part of what a run is.
        statistics=statistics_of,
        scale=plan.scale.name,
    # A process each GPU; threads are those of all processes.
    shell:
        "{{ "
        + GPUS_ASKED
        + " each={threads}; take=; launch='python -m softshare';"
        + TAKE_GPUS
        + ' if [ $gpus -gt 1 ]; then launch="python -m softshare.training.launch $gpus"; each=$((each / gpus)); fi;'
        " $take $launch train --model {wildcards.model:q} --dataset {wildcards.dataset:q}"
        " --recipe {wildcards.recipe:q} --scale {params.scale:q} --seed {wildcards.seed:q}"
        ' --device "$SOFTSHARE_DEVICE" --precision "$SOFTSHARE_PRECISION" --threads $((each > 1 ? each : 1))'
        ' --batch-norm "$SOFTSHARE_BATCH_NORM"'
        " --cache results/data/cache --out {params.folder:q}; }} > {log:q} 2>&1"
