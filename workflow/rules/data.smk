# Only of datasets that are not there: what is, is whole, for it is renamed when it is. (A job that is run again keeps
# Snakemake from looking at what comes after it, where that takes its file as `ancient`: it would end with nothing made.)
rule dataset:
    output:
        "results/data/{dataset}.json",
    log:
        "results/logs/data/{dataset}.log",
    wildcard_constraints:
        dataset=lacking(".json"),
    conda:
        "../../envs/train.yaml"
    threads: data_threads
    resources:
        mem_mb=growing(data_memory),
        runtime=growing(
            lambda wildcards: 600 if wildcards.dataset in PHOTOGRAPHS else 30
        ),
        disk_mb=4000,
    shell:
        "{{ python -m softshare data check {wildcards.dataset:q}"
        " --cache results/data/cache --out {output:q}; }} > {log:q} 2>&1"


if WITH_FFCV:

    # In place of the rule above. A file of FFCV's is no input of a run: then runs made with another loader would be made
    # anew, to the same bits. The rule `all` asks for it, and runs wait for what comes with it.
    ruleorder: dataset_for_ffcv > dataset

    rule dataset_for_ffcv:
        output:
            "results/data/{dataset}.json",
            beton="results/data/{dataset}.beton",
            told="results/data/{dataset}.beton.json",
        log:
            "results/logs/data/{dataset}.log",
        wildcard_constraints:
            dataset=lacking(".json", ".beton", ".beton.json"),
        conda:
            "../../envs/train.yaml"
        threads: data_threads
        resources:
            mem_mb=growing(data_memory),
            runtime=growing(
                lambda wildcards: 900 if wildcards.dataset in PHOTOGRAPHS else 30
            ),
            # Photographs of at most 500 pixels a side, all as JPEG: some 100 KB each.
            disk_mb=lambda wildcards: (
                160000 if wildcards.dataset in PHOTOGRAPHS else 4000
            ),
        params:
            stored=stored_photographs,
        shell:
            "{{ python -m softshare data check {wildcards.dataset:q} --cache results/data/cache --out {output[0]:q} &&"
            " python -m softshare data write {wildcards.dataset:q} --cache results/data/cache --quiet {params.stored:q}"
            " --out {output.beton:q}; }} > {log:q} 2>&1"
