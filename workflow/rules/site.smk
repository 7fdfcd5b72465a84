# Before the first job: can this machine or cluster take them? Asked on start, for only then the executor is known.
from softshare.site import (
    Demand,
    require_here,
    require_image,
    require_slurm,
    require_storage,
    unlike_gpus,
)


def demands():
    """What the jobs that are to run ask of a cluster."""
    for job in workflow.dag.needrun_jobs():
        asked = job.resources.get
        attempts = range(1, job.restart_times + 2)
        minutes = [
            job.rule.expand_resources(job.wildcards, job.input, attempt).get(
                "runtime", 0
            )
            for attempt in attempts
        ]
        yield Demand(
            job.rule.name,
            asked("slurm_partition"),
            asked("gpu", 0),
            tuple(minutes),
            needed_by(job),
            asked("gpu_model"),
        )


def needed_by(job):
    """Minutes that a training is taken to need, over all its attempts: each goes on from the last epoch."""
    if job.rule.name == "train":
        return minutes_of(job.wildcards) / processes_of(job.wildcards)
    if job.rule.name == "train_paths":
        return minutes_of(job.wildcards, SHORTEST_PATHS)
    return 0


def require_nothing_passed_over():
    """Refuses a start that would end well without all that was asked for."""
    to_run = set(workflow.dag.needrun_jobs())
    made = {file for job in to_run for file in job.output}
    for job in set(workflow.dag.targetjobs) - to_run:
        for file in job.output or job.input:
            if file not in made and not exists(file):
                raise UserError(
                    "is not there, and Snakemake would not make it",
                    file=file,
                    remedy="start it once more, or delete what a kill left behind",
                )


def require_no_run_again():
    """Refuses to make complete runs again for a dataset's file that was deleted since, or for a rule that changed."""
    for job in workflow.dag.needrun_jobs():
        reason = workflow.dag.reason(job)
        asked = reason.forced or reason.missing_output
        if asked or not all(map(exists, job.output)):
            continue
        # Snakemake deletes a run before it makes it again. (A changed recipe or scale is another run, and asks for it.)
        changed = {
            "text": reason.code_changed,
            "environment": reason.software_stack_changed,
        }
        what = " and ".join(name for name, has in changed.items() if has)
        if what and job.rule.name in ("train", "train_paths"):
            raise UserError(
                f"is complete, and would be trained again since the rule's {what} changed",
                file=job.output[0],
                remedy="to keep what is complete: --rerun-triggers mtime (mtime params: but for changed settings); to"
                f" train it again: --forcerun {job.rule.name}",
            )
        if job.rule.name not in ("train", "fold") or not reason.updated_input_run:
            continue
        of_data = all("results/data/" in file for file in reason.updated_input_run)
        if of_data and not reason.is_provenance_triggered():
            file = f"results/data/{Path(next(iter(reason.updated_input_run))).name}"
            raise UserError(
                "is missing, and with it complete runs would be made again",
                file=file,
                remedy=f"make it alone first: snakemake --cores 1 {file}",
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


onerror:
    asked = f"--scale {plan.scale.name}"
    everything = {each.name for each in load_plan(plan.scale.name).experiments}
    if set(EXPERIMENTS) != everything:
        asked += f" --experiments {' '.join(EXPERIMENTS)}"
    print(
        f"Where every run stands, and the line that a failed one ended with: softshare status {asked} --brief",
        f"What the complete ones show: softshare report --everything {asked}",
        "Started once more, each run goes on from its last epoch.",
        sep="\n",
        file=sys.stderr,
    )


onstart:
    try:
        require_nothing_passed_over()
        require_no_run_again()
        if workflow.local_exec:
            require_here(config["device"], data_needed())
        elif workflow.executor_plugin.name == "slurm":
            asked_for = list(demands())
            require_slurm(asked_for)
            told = unlike_gpus(asked_for) if config["precision"] == "auto" else ""
            if told:
                print(told, file=sys.stderr)
        elif workflow.executor_plugin.name == "kubernetes":
            require_image(workflow.remote_execution_settings.container_image)
    except UserError as error:
        raise WorkflowError(str(error)) from None
