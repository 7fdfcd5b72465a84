rule dataset:
    output:
        "results/data/{dataset}.json",
    log:
        "results/logs/data/{dataset}.log",
    conda:
        "../../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        data=lambda wildcards: data_option(wildcards.dataset),
    shell:
        "{PYTHON} -m softshare data check {wildcards.dataset:q} {params.data}"
        " --cache results/data/cache --out {output:q} > {log:q} 2>&1"
