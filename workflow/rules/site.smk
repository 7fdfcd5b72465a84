# Before the first job: can this machine or cluster take them? Asked here, for only now the executor is known.
from softshare.site import Demand, require_here, require_slurm


def demands():
    """What the jobs that are to run ask of a cluster."""
    for job in workflow.dag.needrun_jobs():
        asked = job.resources.get
        yield Demand(
            job.rule.name,
            asked("slurm_partition"),
            asked("gpu", 0),
            asked("runtime", 0),
        )


def require_nothing_passed_over():
    """Refuses a start that would end well without all that was asked for."""
    to_run = set(workflow.dag.needrun_jobs())
    made = {file for job in to_run for file in job.output}
    for job in set(workflow.dag.targetjobs) - to_run:
        for file in job.output or job.input:
            if file not in made and not Path(file).exists():
                raise UserError(
                    "is not there, and Snakemake would not make it",
                    file=file,
                    remedy="start it once more, or delete what a kill left behind",
                )


def require_no_run_again():
    """Refuses to make complete runs again for the sake of a dataset's file that was deleted since."""
    for job in workflow.dag.needrun_jobs():
        reason = workflow.dag.reason(job)
        if job.rule.name not in ("train", "fold") or not reason.updated_input_run:
            continue
        others = (
            reason.forced or reason.missing_output or reason.is_provenance_triggered()
        )
        of_data = all(
            file.startswith("results/data/") for file in reason.updated_input_run
        )
        if of_data and not others and all(Path(file).exists() for file in job.output):
            file = next(iter(reason.updated_input_run))
            raise UserError(
                "is missing, and with it complete runs would be made again",
                file=file,
                remedy=f"make it alone first: snakemake --cores 1 {file}",
            )


onstart:
    try:
        require_nothing_passed_over()
        require_no_run_again()
        if workflow.local_exec:
            require_here(config["device"], config["data"])
        elif workflow.executor_plugin.name == "slurm":
            require_slurm(demands())
    except UserError as error:
        raise WorkflowError(str(error)) from None
