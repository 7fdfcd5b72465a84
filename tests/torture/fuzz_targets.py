"""Every parser of ours as a function of bytes, with a good input each: whatever the bytes, nothing but `UserError`."""

import functools
import io
import json
import math
import pickle
import shutil
import tarfile

import fuzz_jobs
import numpy as np
import torch
from fuzz_target import PLACE, Target, written

from softshare.data.archives import read_archive
from softshare.data.catalogue import FACTS
from softshare.data.safe_pickle import read_pickle
from softshare.data.sources import Source
from softshare.errors import UserError
from softshare.evidence.claims.reading import read_claims
from softshare.evidence.foldings.figures import draw_stages
from softshare.evidence.foldings.reading import read_folding
from softshare.evidence.runs.gather import gather
from softshare.evidence.similarity.reading import read_coefficients
from softshare.files import project_root, read_json
from softshare.models.folded import load_folded
from softshare.names import parse_model_name, require_fit
from softshare.plan import Experiment, Plan, load_plan
from softshare.recipes import load_recipe
from softshare.scales import Run, Setting, load_scale
from softshare.training.checkpoint import _header, load_checkpoint


def _name(content):
    text = content.decode("utf-8", "replace")
    parsed = parse_model_name(text)
    assert str(parsed) == text, "a name that parses is told as it was written"
    require_fit(text, "digits")


def _recipe(content):
    load_recipe(str(written("recipe.yaml", content)))


def _project():
    """A copy of the configuration, one file of which is fuzzed."""
    root = PLACE / "project"
    if not root.is_dir():
        shutil.copytree(project_root() / "config", root / "config")
        shutil.copytree(project_root() / "reports/paper", root / "reports/paper")
    return root


def _scale(content):
    root = _project()
    (root / "config/scales/quick.yaml").write_bytes(content)
    load_scale.cache_clear()
    load_plan("quick", ["table1"], root)


def _experiment(content):
    root = _project()
    good = project_root() / "config/scales/quick.yaml"
    (root / "config/scales/quick.yaml").write_bytes(good.read_bytes())
    (root / "config/experiments/figure8.yaml").write_bytes(content)
    load_scale.cache_clear()
    load_plan("quick", ["figure8"], root)


def _claims(content):
    root = _project()
    (root / "reports/paper/claims.yaml").write_bytes(content)
    read_claims(root)


RUN = Run(Setting("digits", "swrn-22-1", "cifar"), 0)


def _run_folder(name):
    def read(content):
        folder = PLACE / "results/runs" / RUN.folder
        if not folder.is_dir():
            folder.mkdir(parents=True)
        for each, good in _RUN_FILES.items():
            (folder / each).write_bytes(content if each == name else good)
        gather(_one_run(), PLACE / "results")

    return read


@functools.cache
def _one_run():
    table = load_plan("quick", ["table1"]).experiments[0]
    cells = tuple(cell for cell in table.cells if RUN in cell.runs)
    return Plan(load_scale("quick"), (Experiment(table.name, "table", "", cells),))


def _run_files():
    settings = load_recipe("cifar", load_scale("quick"))
    key = {"dataset": "digits", "model": "swrn-22-1", "recipe": "cifar", "seed": 0}
    test = {"error": 3.0, "top5_error": 0.1, "loss": 0.2, "images": 360}
    metrics = {**key, "epochs": 8, "parameters": 9, "test": test, "validation": None, "train_loss": 0.1}
    manifest = {"settings": settings | key, "wall_seconds": 1.0, "device_seconds": 1.0, "versions": {}}
    manifest |= {"dataset": {"name": "digits", "fingerprint": "f"}, "commit": "a", "dirty": False}
    history = "epoch,test_error\n" + "".join(f"{epoch},3.0\n" for epoch in range(1, 9))
    return {
        "metrics.json": json.dumps(metrics).encode(),
        "manifest.json": json.dumps(manifest).encode(),
        "history.csv": history.encode(),
    }


def _similarity(content):
    read_coefficients(written("similarity.npz", content))


def _good_similarity():
    file = io.BytesIO()
    arrays = {"epochs": np.array([1]), "groups": np.array(["a"]), "a/coefficients": np.eye(2)[None]}
    arrays |= {"a/weights": np.eye(2)[None], "a/chance": np.array([0.1, 0.2]), "a/weight_shape": np.array([1, 1, 3, 3])}
    np.savez(file, **arrays)
    return file.getvalue()


def _folding(content):
    folded = read_folding(written("folding.json", content))
    width, height = draw_stages([folded]).get_size_inches()
    assert 0 < width < 400 and 0 < height < 400
    for row in folded.costs:
        assert all(value is None or math.isfinite(value) for value in row.values())


_COST = {"layers": 4, "parameters": 9, "error_before": 5.0, "error_after": 5.0, "only_before": 1, "only_after": 1}
_COST |= {"p": 1.0, "error_reestimated": None, "p_reestimated": None}
_FOLDING = {
    "run": {"dataset": "digits", "model": "swrn-22-1", "recipe": "cifar", "seed": 0},
    "of": "coefficients",
    "threshold": 0.8,
    "similarity": {"stage1": [[1.0, 0.9], [0.9, 1.0]]},
    "own_layers": {"stage1": 2},
    "foldings": [{"threshold": 0.8, "layers": 4, "distinct_layers": 3, "stages": {"stage1": [0, 0]}}],
    "costs": [_COST | {"threshold": None}, _COST | {"threshold": 0.8, "layers": 3}],
    "test_images": 360,
}


def _folded(content):
    load_folded(written("folded.safetensors", content))


def _checkpoint(content):
    load_checkpoint(written("checkpoint.pt", content), {"seed": 0})


def _forged_checkpoint(content):
    load_checkpoint(written("checkpoint.pt", _header(content) + content), {"seed": 0})


def _torch_bytes():
    file = io.BytesIO()
    torch.save({"identity": {"seed": 0}, "model": {"w": torch.zeros(2)}}, file)
    return file.getvalue()


def _pickle(content):
    read_pickle(content, "a file")


def _archive(content):
    read_archive(written("a.tar", content), lambda name: True)


def _cifar(content):
    Source(written("cifar.tar", content), "archive", FACTS["cifar10"]).read()


def _tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("data_batch_1", "train/cat/1.png"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    return file.getvalue()


def _json(content):
    read_json(written("any.json", content))


def _config(name):
    return (project_root() / "config" / name).read_bytes()


_CLAIMS = b"""source: x
alpha: 0.05
claims:
  - id: it
    section: "4.1"
    words: so it is
    test: {kind: direction, lower: cifar10/swrn-28-10/cifar, higher: cifar10/wrn-28-10/cifar}
"""
_RUN_FILES = _run_files()
TARGETS = {
    "names": Target(_name, b"swrn-28-10-2"),
    "recipes": Target(_recipe, _config("recipes/cifar.yaml")),
    "scales": Target(_scale, _config("scales/quick.yaml")),
    "experiments": Target(_experiment, _config("experiments/figure8.yaml")),
    "claims": Target(_claims, _CLAIMS),
    "metrics": Target(_run_folder("metrics.json"), _RUN_FILES["metrics.json"]),
    "manifests": Target(_run_folder("manifest.json"), _RUN_FILES["manifest.json"]),
    "histories": Target(_run_folder("history.csv"), _RUN_FILES["history.csv"]),
    "similarities": Target(_similarity, _good_similarity()),
    "foldings": Target(_folding, json.dumps(_FOLDING).encode()),
    "folded networks": Target(_folded, b"\x02\0\0\0\0\0\0\0{}"),
    "checkpoints": Target(_checkpoint, _header(_torch_bytes()) + _torch_bytes()),
    "forged checkpoints": Target(_forged_checkpoint, _torch_bytes()),
    "pickles": Target(_pickle, pickle.dumps({"data": np.zeros((1, 3), np.uint8), "labels": [1]}, protocol=2)),
    "archives": Target(_archive, _tar()),
    "CIFAR": Target(_cifar, _tar()),
    "JSON": Target(_json, b'{"a": [1, 2.5, null]}'),
    **fuzz_jobs.TARGETS,
}


def tried(target, content):
    """Reads bytes; a refusal must be one line."""
    try:
        TARGETS[target].read(content)
    except UserError as error:
        assert "\n" not in str(error)
