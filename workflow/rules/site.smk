# Before the first job: can this machine or cluster take them? Asked on start, for only then the executor is known.
from softshare.site import (
    Demand,
    require_here,
    require_image,
    require_slurm,
    require_storage,
)


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


def data_needed():
    """Where the datasets lie that the jobs that are to run read."""
    read = {job.wildcards_dict.get("dataset") for job in workflow.dag.needrun_jobs()}
    return {name: path for name, path in config["data"].items() if name in read}


# Snakemake refuses a cluster without storage before it starts, and names no file. (This resource is the Kubernetes
# profile's alone.)
if workflow.is_main_process and "gpu_manufacturer" in (
    workflow.resource_settings.default_resources or {}
):
    try:
        require_storage(
            workflow.storage_settings.default_storage_provider,
            workflow.storage_settings.default_storage_prefix,
        )
    except UserError as error:
        raise WorkflowError(str(error)) from None


onstart:
    try:
        if workflow.local_exec:
            require_here(config["device"], data_needed())
        elif workflow.executor_plugin.name == "slurm":
            require_slurm(demands())
        elif workflow.executor_plugin.name == "kubernetes":
            require_image(workflow.remote_execution_settings.container_image)
    except UserError as error:
        raise WorkflowError(str(error)) from None
