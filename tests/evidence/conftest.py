"""Run folders with known answers, made by hand."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softshare.evidence.claims import judge_claims
from softshare.evidence.claims.parameters import count_parameters
from softshare.files import project_root
from softshare.plan import Plan, load_plan
from softshare.recipes import load_recipe
from softshare.scales import Run, Setting, load_scale

# Parameters that the paper's networks have, by model and dataset.
PARAMETERS = {
    ("wrn-28-10", "cifar10"): 36479194,
    ("wrn-28-10", "cifar100"): 36536884,
    ("swrn-28-10", "cifar10"): 36479302,
    ("swrn-28-10", "cifar100"): 36536992,
    ("swrn-28-10-1", "cifar10"): 12287212,
    ("swrn-28-10-1", "cifar100"): 12344902,
}


@pytest.fixture(scope="session")
def paper_plan() -> Plan:
    return load_plan("paper", ["table1", "figure8"])


@pytest.fixture(scope="session")
def quick_plan() -> Plan:
    return load_plan("quick", ["table1", "figure8"])


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run folder below `tmp_path` and gives its place."""
    return lambda run, error, scale="paper", **changes: write_run(tmp_path, run, error, scale, **changes)


@functools.cache
def settings_of(recipe: str, scale: str) -> dict[str, Any]:
    return load_recipe(recipe, load_scale(scale))


def write_run(results: Path, run: Run, error: float, scale: str = "paper", **changes: Any) -> Path:
    """A complete run folder; `settings` and `manifest` and `metrics` change what stands in the files."""
    setting = run.setting
    key = {"dataset": setting.dataset, "model": setting.model, "recipe": setting.recipe, "seed": run.seed}
    settings = settings_of(setting.recipe, scale) | changes.get("settings", {})
    epochs = settings["epochs"]
    # Losses differ between any two runs, as they do between any two trainings.
    loss = 0.2 + error / 1000 + run.seed / 1e6 + sum(map(ord, str(setting))) / 1e9
    test = {"error": error, "top5_error": error / 10, "loss": loss, "images": 10000}
    metrics = {
        **key,
        "epochs": epochs,
        "parameters": PARAMETERS.get((setting.model, setting.dataset), 12345),
        "test": test,
        "best": {"error": error * 0.9, "epoch": epochs},
        "validation": None,
        "train_loss": loss / 2,
    } | changes.get("metrics", {})
    manifest = {
        "settings": settings | key,
        "argv": ["softshare", "train"],
        "commit": "a" * 40,
        "dirty": False,
        "versions": {"torch": "2.9.0", "numpy": "2.3.0"},
        "device": "cpu",
        "threads": 2,
        "precision": "fp32",
        "loader": "tensor",
        "dataset": {"name": setting.dataset, "source": "made by hand", "fingerprint": "f" * 64},
        "started": "2026-11-23T13:00:00+00:00",
        "wall_seconds": 1800.0,
        "device_seconds": 900.0,
        "peak_memory_bytes": 10**9,
    } | changes.get("manifest", {})
    folder = results / "runs" / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    write_history(folder, epochs, error)
    return folder


@pytest.fixture
def make_forecast(tmp_path: Path) -> Callable[..., Path]:
    """Writes a forecast of a plan that runs of `write_run` are held against, and gives its place."""

    def make(plan: Plan, results: Path = tmp_path, seconds: float = 800.0, **changes: Any) -> Path:
        file = results / "forecast.json"
        rows = [{"run": str(run), "seconds": seconds, "threads": 2} for run in plan.runs]
        told = {"scale": plan.scale.name, "made": "2026-11-20T08:00:00+00:00", "device": "cpu", "precision": "fp32"}
        file.write_text(json.dumps({**told, "cores": 2, "runs": rows, "commit": "b" * 40, "dirty": False, **changes}))
        return file

    return make


def write_history(folder: Path, epochs: int, error: float) -> None:
    head = "epoch,learning_rate,train_loss,train_error,test_loss,test_error,test_top5_error,seconds,"
    head += "images_per_second"
    rows = [f"{epoch},0.1,1.0,50.0,1.0,{error},1.0,1.0,100.0" for epoch in range(1, epochs + 1)]
    (folder / "history.csv").write_text("\n".join([head, *rows]) + "\n")


@pytest.fixture
def make_similarity() -> Callable[..., None]:
    """Adds a `similarity.npz` to a run folder."""
    return write_similarity


def write_similarity(folder: Path, epochs: tuple[int, ...] = (1, 5, 12), groups: int = 3, layers: int = 4) -> None:
    """Coefficients that turn from orthogonal to equal while the run trains."""
    names = [f"stage{index}" for index in range(1, groups + 1)]
    arrays: dict[str, np.ndarray] = {"epochs": np.array(epochs), "groups": np.array(names, dtype="U16")}
    for name in names:
        shared = np.linspace(0, 1, len(epochs))[:, None, None]
        coefficients = (1 - shared) * np.eye(layers) + shared * np.ones((layers, layers))
        arrays[f"{name}/coefficients"] = coefficients
        arrays[f"{name}/weights"] = np.broadcast_to(np.eye(layers), (len(epochs), layers, layers))
        arrays[f"{name}/chance"] = np.array([0.27, 0.77])
        arrays[f"{name}/weight_shape"] = np.array([16, 16, 3, 3])
    np.savez(folder / "similarity.npz", **arrays)


@pytest.fixture
def judge_claim(tmp_path: Path) -> Callable[..., Any]:
    """Judges one test of a claim by the run folders below `tmp_path`, with the project's plan and tables."""

    def judge(test: dict[str, Any], scale: str = "paper", **claim: Any) -> Any:
        stated = {"id": "it", "section": "4.1", "words": "so it is", "test": test, **claim}
        root = claims_root(tmp_path / "root", [stated])
        return judge_claims(load_plan(scale), tmp_path, tmp_path / "bench", root).judged[0]

    return judge


def claims_root(root: Path, claims: list[dict[str, Any]] | str) -> Path:
    """A folder with the project's configuration and tables, and other claims."""
    paper = root / "reports" / "paper"
    if not paper.is_dir():
        paper.mkdir(parents=True)
        (root / "config").symlink_to(project_root() / "config")
        for file in (project_root() / "reports" / "paper").glob("*.yaml"):
            (paper / file.name).write_text(file.read_text())
    text = claims if isinstance(claims, str) else json.dumps({"source": "by hand", "alpha": 0.05, "claims": claims})
    (paper / "claims.yaml").write_text(text)
    return root


@pytest.fixture
def make(make_run: Callable[..., Path]) -> Callable[..., None]:
    """Makes the runs of a paper's setting at a scale: an error a seed, from seed 0 or as told."""

    def runs(name: str, errors: Sequence[float] | dict[int, float], scale: str = "paper", **changes: Any) -> None:
        setting = load_scale(scale).stand_in(Setting(*name.split("/")))
        assert setting is not None
        parameters = count_parameters(setting.model, setting.dataset)
        by_seed = errors if isinstance(errors, dict) else dict(enumerate(errors))
        for seed, error in by_seed.items():
            make_run(Run(setting, seed), error, scale, metrics={"parameters": parameters}, **changes)

    return runs
