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


onstart:
    try:
        if workflow.local_exec:
            require_here(config["device"], config["data"])
        elif workflow.executor_plugin.name == "slurm":
            require_slurm(demands())
    except UserError as error:
        raise WorkflowError(str(error)) from None
