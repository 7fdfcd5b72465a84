# The plan: which runs the configuration asks for. No torch is imported here.
import importlib.util
import os
import shlex
import shutil
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from softshare.errors import UserError
from softshare.files import check
from softshare.names import PHOTOGRAPHS, SHORTEST_PATHS
from softshare.plan import FIGURES, load_plan
from softshare.recipes import load_recipe
from softshare.runtimes import read_minutes
from softshare.site import has_gpu

try:
    check(config, "config", "config/config.yaml")
    plan = load_plan(config["scale"], config["experiments"])
    MINUTES = read_minutes(Path("results", plan.scale.name))
    SETTINGS = {name: load_recipe(name, plan.scale) for name in plan.recipes}
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
}
EXPERIMENTS = [experiment.name for experiment in plan.experiments]
TABLES = [experiment.name for experiment in plan.of_kind("table")]
DRAWN = [experiment.name for experiment in plan.of_kind(*FIGURES)]
ON_GPU = config["device"].startswith("cuda") or (
    config["device"] == "auto" and has_gpu()
)
# The environment of the rules that compute: with FFCV where they do so on a GPU, or where it is asked for by name.
IN_TRAIN_GPU = ON_GPU or config["loader"] == "ffcv"
COMPUTING = f"../../envs/{'train-gpu' if IN_TRAIN_GPU else 'train'}.yaml"


# Jobs find the data by the environment: where they lie is no part of what a run is.
for dataset, path in config["data"].items():
    if path:
        os.environ[f"SOFTSHARE_DATA_{dataset.upper()}"] = path

# The loader likewise, for all give the same bits (of photographs, the manifest tells which).
os.environ |= {"SOFTSHARE_LOADER": config["loader"]}
WITH_FFCV = config["loader"] == "ffcv" or (
    config["loader"] == "auto"
    and ON_GPU
    # (Under conda that environment has it, whatever Python Snakemake itself runs in.)
    and (WITH_CONDA or importlib.util.find_spec("ffcv") is not None)
)


# Each node puts its own variables in.
if config["scratch"]:
    os.environ.update(SOFTSHARE_SCRATCH=config["scratch"])


# Of the plan's runs, so that a target of no run is refused by name.
wildcard_constraints:
    # Shortest paths are drawn, not read: their runs have a rule of their own.
    dataset="|".join(name for name in plan.datasets if name != SHORTEST_PATHS) or "none",
    model="|".join(sorted({run.setting.model for run in plan.runs})) or "none",
    recipe="|".join(plan.recipes) or "none",
    seed=r"\d+",


def memory_of(wildcards):
    """Megabytes of a job on a dataset: each process that decodes photographs holds some batches."""
    return 48000 if wildcards.dataset in PHOTOGRAPHS else 8000


def disk_of(wildcards):
    """Megabytes that a training may take of its node's disk.

    A checkpoint is weights and momentum in fp32, written beside the one before it, and the weights are kept at the end:
    20 bytes a parameter, of which ImageNet's networks have up to 69 million, CIFAR's 37 million. With `scratch` a copy
    of the decoded images is added, which photographs have not.
    """
    if wildcards.dataset in PHOTOGRAPHS:
        return 4000
    return 2200 if config["scratch"] else 2000


def gpus_of(wildcards):
    """GPUs of a training: one, or as many as config.yaml says for its dataset."""
    return config["gpus"].get(wildcards.dataset, 1) if ON_GPU else 0


def growing(amount):
    """A resource of which each retry gets as much again; how many retries there are, a profile says.

    The amount may be a function of the wildcards.
    """

    def resource(wildcards, attempt):
        return int((amount(wildcards) if callable(amount) else amount) * attempt)

    return resource


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


def files_of(experiments, *names):
    """The named files of every run that experiments show and that can be made."""
    runs = sorted({run for experiment in experiments for run in experiment.runs})
    return [f"{RESULTS}/runs/{run}/{name}" for run in runs for name in names]


def files_of_run(*names):
    """The named files of the run that a rule's wildcards tell."""
    folder = f"{RESULTS}/runs/{{dataset}}/{{model}}/{{recipe}}/seed{{seed}}"
    return [f"{folder}/{name}" for name in names]


def minutes_of(wildcards, dataset=None):
    """Minutes that a run takes: as forecast (`softshare forecast --out`), otherwise as the scale's file says."""
    dataset = dataset or wildcards.dataset
    run = f"{dataset}/{wildcards.model}/{wildcards.recipe}/seed{wildcards.seed}"
    return MINUTES.get(run, plan.scale.task_of(dataset).minutes_per_run)


def run_limit(wildcards):
    """Minutes after which a cluster may take a training for hung: twice what it takes, and ten."""
    return int(2 * minutes_of(wildcards)) + 10


def path_run_limit(wildcards):
    """The same of a run on shortest paths."""
    return int(2 * minutes_of(wildcards, SHORTEST_PATHS)) + 10


def figure_files(experiment):
    """What a figure is drawn from: files of its runs, and the tables that hold the paper's numbers."""
    tables = [f"reports/paper/{name}.yaml" for name in experiment.numbers_from]
    return files_of([experiment], *FIGURE_FILES[experiment.kind]) + tables
