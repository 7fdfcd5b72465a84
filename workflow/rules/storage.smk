# Where nodes share no files, Snakemake keeps what rules make in an object store (--default-storage-provider) and gives
# each job local copies of what its rule names, and of nothing else. So here stands what is read beside what a rule
# waits for.
#
# Files of the project itself are `local(...)`: they are not looked for in the store. Where in- and outputs are not
# shared, Snakemake (9.27, `Job.is_local`) runs a job with such an input on the machine that it was started on: tables,
# claims, the report and figures that show numbers of the paper. Jobs elsewhere have the project as `git ls-files`
# lists it.
STORED = workflow.storage_settings.default_storage_provider is not None


def brought(experiments, *names):
    """The named files of experiments' runs, where they must be brought to the job; nothing where all files lie here."""
    return files_of(experiments, *names) if STORED else []


def files_of_claims():
    """What claims are judged by beside what the rule `claims` waits for. (Not the benches, which no rule makes.)"""
    return brought(plan.experiments, "history.csv")


def files_of_report():
    """What the report reads or links to beside what its rule waits for. (Not the forecast, which no rule makes.)"""
    if not STORED:
        return []
    of_claims = files_of(plan.experiments, "similarity.npz") + files_of_claims()
    tables = [*TABLES, *(experiment.name for experiment in plan.of_kind(*ON_PATHS))]
    shown = [
        *(f"{RESULTS}/tables/{name}.{e}" for name in tables for e in ("tex", "csv")),
        *(
            f"{RESULTS}/figures/{name}.{e}"
            for name in DRAWN
            for e in ("png", "pdf", "csv")
        ),
    ]
    return of_claims + shown


def results_above(levels):
    """The folder `results` that a rule's first output lies in, so many folders down; with a store a local copy."""
    return lambda wildcards, output: str(Path(output[0]).parents[levels])
