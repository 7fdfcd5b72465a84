rule dataset:
    output:
        "results/data/{dataset}.json",
    log:
        "results/logs/data/{dataset}.log",
    conda:
        "../../envs/train.yaml"
    # Every photograph is decoded once.
    threads: lambda wildcards: 16 if wildcards.dataset in PHOTOGRAPHS else 2
    resources:
        mem_mb=growing(
            lambda wildcards: 48000 if wildcards.dataset in PHOTOGRAPHS else 4000
        ),
        runtime=growing(
            lambda wildcards: 600 if wildcards.dataset in PHOTOGRAPHS else 30
        ),
        disk_mb=4000,
    params:
        # Looked at anew when it lies elsewhere.
        place=lambda wildcards: config["data"].get(wildcards.dataset),
    shell:
        "python -m softshare data check {wildcards.dataset:q}"
        " --cache results/data/cache --out {output:q} > {log:q} 2>&1"
