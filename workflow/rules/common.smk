# The plan: which runs the configuration asks for. No torch is imported here.
import importlib.util
import math
import os
import shlex
import shutil
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from softshare.errors import UserError
from softshare.evidence.figures.legends import LEGENDS
from softshare.evidence.reported import require_reported
from softshare.evidence.runs.precisions import left_in_others
from softshare.schemas import check
from softshare.names import PHOTOGRAPHS, SHORTEST_PATHS
from softshare.plan import FIGURES, ON_PATHS, load_plan
from softshare.recipes import load_recipe
from softshare.runtimes import read_minutes
from softshare.site import has_gpu, require_on_device

try:
    check(config, "config", "config/config.yaml")
    plan = load_plan(config["scale"], config["experiments"])
    ON_GPU = config["device"].startswith("cuda") or (
        config["device"] == "auto" and has_gpu()
    )
    FORECAST = read_minutes(Path("results", plan.scale.name), ON_GPU)
    SETTINGS = {name: load_recipe(name, plan.scale) for name in plan.recipes}
    if workflow.is_main_process:
        require_reported(plan)
        require_on_device(config["precision"], config["device"], ON_GPU)
except UserError as error:
    raise WorkflowError(str(error)) from None

# Without conda a rule's `python` is the one that Snakemake itself runs in.
WITH_CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
if WITH_CONDA:
    # (A cluster's job is told where conda lies, and may have none on its PATH.)
    if workflow.is_main_process and shutil.which("conda") is None:
        raise WorkflowError(
            "--use-conda: there is no conda on the PATH; install Miniforge, or leave the flag out"
            " (jobs then run in the Python that Snakemake runs in)"
        )
else:
    folder = shlex.quote(os.path.dirname(sys.executable))
    shell.prefix(f"set -euo pipefail; export PATH={folder}:$PATH; ")

RESULTS = f"results/{plan.scale.name}"
RUN_FILES = [
    "metrics.json",
    "history.csv",
    "similarity.npz",
    "model.safetensors",
    "manifest.json",
]
# What a figure of each kind reads of its runs.
FIGURE_FILES = {
    "similarity": ["similarity.npz", "metrics.json", "manifest.json"],
    "folding": ["folding/folding.json", "metrics.json", "manifest.json"],
    "parameters": ["metrics.json", "manifest.json"],
    "paths": ["history.csv", "predictions.npz", "metrics.json", "manifest.json"],
    "path-statistics": ["history.csv", "metrics.json", "manifest.json"],
}
EXPERIMENTS = [experiment.name for experiment in plan.experiments]
TABLES = [experiment.name for experiment in plan.of_kind("table")]
DRAWN = [experiment.name for experiment in plan.of_kind(*FIGURES)]
if FORECAST.note and workflow.is_main_process:
    print(FORECAST.note, file=sys.stderr)

# In the commands of rules that may compute on GPUs: what a job is started behind, so that its GPUs are its own. `take`
# is empty before. (Two strings, for `train` sets more between them: another text would train finished runs anew.)
GPUS_ASKED = "gpus={resources.gpu:q};"
TAKE_GPUS = ' if [ $gpus -ge 1 ]; then take="python -m softshare.gpus $gpus $SOFTSHARE_ONLY_GPU --"; fi;'
# The environment of the rules that compute: with FFCV where they do so on a GPU, or where it is asked for by name.
IN_TRAIN_GPU = ON_GPU or config["loader"] == "ffcv"
COMPUTING = f"../../envs/{'train-gpu' if IN_TRAIN_GPU else 'train'}.yaml"


# Jobs find the data by the environment: where they lie is no part of what a run is. (Joined to it, here and below, for
# `snakemake --lint` takes each name between its brackets for one that the user must set.)
os.environ |= {
    f"SOFTSHARE_DATA_{name.upper()}": path
    for name, path in config["data"].items()
    if path
}

# Where they compute and in what likewise: named later than they were made, it would make complete runs anew. Of a GPU
# with a number no other is taken; the job sees it alone, as cuda.
DEVICE, _, NUMBER = config["device"].partition(":")
os.environ |= {
    "SOFTSHARE_DEVICE": DEVICE,
    "SOFTSHARE_ONLY_GPU": f"--only {NUMBER}" if NUMBER else "",
    "SOFTSHARE_PRECISION": config["precision"],
}
if workflow.is_main_process:
    IN_OTHERS = left_in_others(plan, Path(RESULTS), config["precision"])
    if IN_OTHERS:
        print(IN_OTHERS, file=sys.stderr)

# The loader likewise, for all give the same bits (of photographs, the manifest tells which).
os.environ |= {"SOFTSHARE_LOADER": config["loader"]}
WITH_FFCV = config["loader"] == "ffcv" or (
    config["loader"] == "auto"
    and ON_GPU
    # (With a store `train` would not be brought the file, for it is no input of it.)
    and not STORED
    # (Under conda that environment has it, whatever Python Snakemake itself runs in.)
    and (WITH_CONDA or importlib.util.find_spec("ffcv") is not None)
)

if STORED and WITH_FFCV and workflow.is_main_process:
    raise WorkflowError(
        "config/config.yaml: loader: 'ffcv': its file is not brought to jobs where nodes share no files; set it to auto"
    )

# And this, of which `statistics_of` says what is part of a run.
os.environ |= {"SOFTSHARE_BATCH_NORM": config["batch_norm"]}


# Each node puts its own variables in.
if config["scratch"]:
    os.environ |= {"SOFTSHARE_SCRATCH": config["scratch"]}


# Of the plan's runs, so that a target of no run is refused by name.
wildcard_constraints:
    # Shortest paths are drawn, not read: their runs have a rule of their own.
    dataset="|".join(name for name in plan.datasets if name != SHORTEST_PATHS) or "none",
    model="|".join(sorted({run.setting.model for run in plan.runs})) or "none",
    recipe="|".join(plan.recipes) or "none",
    seed=r"\d+",


def memory_of(wildcards):
    """Megabytes of a process on a dataset: each one that decodes photographs for it holds some batches."""
    return 48000 if wildcards.dataset in PHOTOGRAPHS else 8000


def data_threads(wildcards):
    """Threads that look through a dataset: every photograph is decoded once."""
    return 16 if wildcards.dataset in PHOTOGRAPHS else 2


def data_memory(wildcards):
    """Megabytes of that."""
    return 48000 if wildcards.dataset in PHOTOGRAPHS else 4000


def stored_photographs(wildcards):
    """How FFCV's file holds photographs; images of CIFAR's size are held as they are."""
    if wildcards.dataset not in PHOTOGRAPHS:
        return []
    stored = config["photograph_file"]
    return [
        word for key in stored for word in (f"--{key.replace('_', '-')}", stored[key])
    ]


def disk_of(wildcards):
    """Megabytes that a training may take of its node's disk.

    A checkpoint is weights and momentum in fp32, written beside the one before it, and the weights are kept at the end:
    20 bytes a parameter, of which ImageNet's networks have up to 69 million, CIFAR's 37 million. With `scratch` copies
    are added: of CIFAR's decoded images and FFCV's file; of ImageNet's archives, or of FFCV's file and the archive that
    is tested on.
    """
    if wildcards.dataset in PHOTOGRAPHS:
        return 174000 if config["scratch"] else 4000
    return 2500 if config["scratch"] else 2000


def gpus_of(wildcards):
    """GPUs of a training: one, or as many as config.yaml says for its dataset."""
    return int(config["gpus"].get(wildcards.dataset, 1)) if ON_GPU else 0


# Snakemake would give a job as many as are allowed here, and it would be another run than the one asked for.
allowed = workflow.resource_settings.resources.get("gpu")
allowed = getattr(allowed, "value", allowed)  # a number in older Snakemake
for name, count in (
    config["gpus"].items() if ON_GPU and workflow.is_main_process else ()
):
    if name in plan.datasets and allowed is not None and int(count) > allowed:
        raise WorkflowError(
            f"config/config.yaml: gpus.{name}: {count}: jobs may take only {allowed} GPUs here;"
            f" say --resources gpu={count}, or more"
        )


def processes_of(wildcards):
    """Processes of a training: one, or one a GPU."""
    return max(1, gpus_of(wildcards))


def train_memory(wildcards):
    """Megabytes of a training, in all its processes."""
    return processes_of(wildcards) * memory_of(wildcards)


def train_threads(wildcards):
    """CPU threads of a training, in all its processes."""
    return processes_of(wildcards) * plan.scale.task_of(wildcards.dataset).threads


def statistics_of(wildcards):
    """Whose images batch norm takes its statistics over, as far as that is part of what a run is (config/README.md)."""
    processes = processes_of(wildcards)
    own = config["batch_norm"] == "own" and processes > 1
    return f"of each of {processes} processes" if own else "of all"


def growing(amount, most=None):
    """A resource of which each retry gets as much again; how many retries there are, a profile says.

    The amount may be a function of the wildcards; more than `most` is never asked for.
    """

    def resource(wildcards, attempt):
        wanted = int((amount(wildcards) if callable(amount) else amount) * attempt)
        return wanted if most is None else min(wanted, int(most))

    return resource


def growing_time(minutes):
    """The same of a job's minutes, within what a cluster gives a job."""
    return growing(minutes, config["longest_job"])


def beton_files():
    """FFCV's files of the datasets that are trained on, if it loads them."""
    return (
        [
            f"results/data/{name}.beton"
            for name in plan.datasets
            if name != SHORTEST_PATHS
        ]
        if WITH_FFCV
        else []
    )


def lacking(*endings):
    """Datasets of which a file is missing, as a wildcard may match them; with a store all of them."""
    return (
        "|".join(
            name
            for name in plan.datasets
            if name != SHORTEST_PATHS
            and (
                STORED
                or not all(
                    Path("results/data", name + ending).is_file() for ending in endings
                )
            )
        )
        or "none"
    )


def files_of(experiments, *names):
    """The named files of every run that experiments show and that can be made."""
    runs = sorted({run for experiment in experiments for run in experiment.runs})
    return [f"{RESULTS}/runs/{run}/{name}" for run in runs for name in names]


def files_of_run(*names):
    """The named files of the run that a rule's wildcards tell."""
    folder = f"{RESULTS}/runs/{{dataset}}/{{model}}/{{recipe}}/seed{{seed}}"
    return [f"{folder}/{name}" for name in names]


def run_of(wildcards, dataset):
    """The run that wildcards tell, as a forecast names it."""
    return f"{dataset}/{wildcards.model}/{wildcards.recipe}/seed{wildcards.seed}"


def minutes_of(wildcards, dataset=None):
    """Minutes that a run takes on one GPU, or on the CPU: as forecast, otherwise as the scale's file says."""
    dataset = dataset or wildcards.dataset
    run = run_of(wildcards, dataset)
    return FORECAST.minutes.get(run, plan.scale.task_of(dataset).minutes_per_run)


def run_limit(wildcards):
    """Minutes after which a cluster may take a training for hung: twice what it takes, and ten.

    Of several GPUs each is taken to do its even part; what they lose to each other, the factor and the ten must cover.
    """
    return math.ceil(2 * minutes_of(wildcards) / processes_of(wildcards)) + 10


def path_run_limit(wildcards):
    """The same of a run on shortest paths, which one process trains."""
    return math.ceil(2 * minutes_of(wildcards, SHORTEST_PATHS)) + 10


def fold_limit(wildcards):
    """Minutes after which a folding may be taken for hung; where no forecast tells, it takes no more than training."""
    run = run_of(wildcards, wildcards.dataset)
    if run in FORECAST.folding:
        return math.ceil(2 * FORECAST.folding[run]) + 10
    return math.ceil(minutes_of(wildcards)) + 10


def figure_files(experiment):
    """What a figure is drawn from: files of its runs, and the tables that hold the paper's numbers."""
    tables = [local(f"reports/paper/{name}.yaml") for name in experiment.numbers_from]
    runs = files_of([experiment], *FIGURE_FILES[experiment.kind])
    return runs + brought([experiment], "history.csv") + tables
