# The plan: which runs the configuration asks for. No torch is imported here.
import os
import shlex
import shutil

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from softshare.errors import UserError
from softshare.files import check
from softshare.plan import load_plan
from softshare.recipes import load_recipe

try:
    check(config, "config", "config/config.yaml")
    plan = load_plan(config["scale"], config["experiments"])
    SETTINGS = {name: load_recipe(name, plan.scale) for name in plan.recipes}
except UserError as error:
    raise WorkflowError(str(error)) from None

# Without conda a rule's `python` is the one that Snakemake itself runs in.
if DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method:
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
EXPERIMENTS = [experiment.name for experiment in plan.experiments]
ON_GPU = config["device"].startswith("cuda") or (
    config["device"] == "auto" and shutil.which("nvidia-smi") is not None
)


# Jobs find the data by the environment: where they lie is no part of what a run is.
for dataset, path in config["data"].items():
    if path:
        os.environ[f"SOFTSHARE_DATA_{dataset.upper()}"] = path


# Of the plan's runs, so that a target of no run is refused by name.
wildcard_constraints:
    dataset="|".join(plan.datasets),
    model="|".join(sorted({run.setting.model for run in plan.runs})),
    recipe="|".join(plan.recipes),
    seed=r"\d+",


def files_of(experiments, *names):
    """The named files of every run that experiments show."""
    runs = sorted({run for e in experiments for cell in e.cells for run in cell.runs})
    return [f"{RESULTS}/runs/{run}/{name}" for run in runs for name in names]
