"""Files that would run code, planted at every place that something is read from; and a look at every line of ours."""

import ast
import io
import json
import pickle
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import SHARED, placed
from forked import run

from softshare.cli import main
from softshare.compiled import compiled_library
from softshare.data.catalogue import FACTS
from softshare.files import project_root
from softshare.training.checkpoint import _header, load_checkpoint

PACKAGE = project_root() / "softshare"


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, witness):
        self.witness = str(witness)

    def __reduce__(self):
        return (open, (self.witness, "w"))


def as_pickle(evil):
    return pickle.dumps(evil)


def as_torch(evil):
    file = io.BytesIO()
    torch.save({"identity": evil, "model": evil}, file)
    return file.getvalue()


def as_old_torch(evil):
    file = io.BytesIO()
    torch.save(evil, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def as_npy(evil):
    file = io.BytesIO()
    np.save(file, np.array([evil], dtype=object), allow_pickle=True)
    return file.getvalue()


def as_npz(evil):
    file = io.BytesIO()
    np.savez(file, epochs=np.array([evil], dtype=object), groups=np.array([evil], dtype=object))
    return file.getvalue()


def as_zip(evil):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(evil))
    return file.getvalue()


def as_yaml(evil):
    return f"!!python/object/apply:builtins.open ['{evil.witness}', 'w']\n".encode()


def as_yaml_in_a_setting(evil):
    return f"extends: cifar\nsettings: !!python/object/new:builtins.open ['{evil.witness}', 'w']\n".encode()


def as_tar(evil):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("data_batch_1", "../../outside", "/tmp/absolute"):
            member = tarfile.TarInfo(name)
            content = pickle.dumps(evil)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo("data_batch_2")
            member.type, member.linkname = kind, evil.witness
            archive.addfile(member)
    return file.getvalue()


FORMS = [as_pickle, as_torch, as_old_torch, as_npy, as_npz, as_zip, as_yaml, as_yaml_in_a_setting, as_tar]

# Where a file is read: the file, and the command that meets it.
EVALUATE, FOLD = ["evaluate", "{run}", "--device", "cpu"], ["fold", "{run}", "--device", "cpu"]
CHECK = ["data", "check", "cifar10", "--cache", "{here}/cache", "--data"]
REPORT = ["report", "--scale", "quick", "--results", "{here}", "--experiments", "figure8"]
RUN = "quick/runs/digits/swrn-40-1-8/cifar/seed0"
PLACES = {
    "checkpoint": ("run/checkpoint.pt", [*SHARED, "--seed", "1", "--out", "{run}"]),
    "metrics": ("run/metrics.json", EVALUATE),
    "manifest": ("run/manifest.json", EVALUATE),
    "weights": ("run/model.safetensors", EVALUATE),
    "weights to fold": ("run/model.safetensors", FOLD),
    "similarity": ("run/similarity.npz", ["similarity", "{run}"]),
    "a batch of CIFAR": ("cifar/data_batch_1", [*CHECK, "{cifar}"]),
    "an image": ("folders/train/cat/data_batch_1-03.png", [*CHECK, "{here}/folders"]),
    "an archive": ("mine.tar.gz", [*CHECK, "{here}/mine.tar.gz"]),
    "a recipe": ("mine.yaml", [*SHARED, "--recipe", "{here}/mine.yaml", "--out", "{here}/out"]),
    "metrics of a report": (f"{RUN}/metrics.json", REPORT),
    "manifest of a report": (f"{RUN}/manifest.json", REPORT),
    "history of a report": (f"{RUN}/history.csv", REPORT),
    "similarity of a report": (f"{RUN}/similarity.npz", REPORT),
    "the bench of a report": ("bench/bench.csv", REPORT),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    command = [*SHARED, "--epochs", "1", "--out", folder / "run"]
    assert run(command, folder / "log") == 0, (folder / "log").read_text()
    return folder / "run"


@pytest.mark.attack("files that would run code, at every place that is read")
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_planted_is_run(place, form, trained, few_cifar, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(FACTS, "cifar10", replace(FACTS["cifar10"], train_per_class=5, test_per_class=2))
    file, command = PLACES[place]
    if file.startswith("run/"):
        shutil.copytree(trained, tmp_path / "run")
    if place == "checkpoint":
        for name in ("metrics.json", "manifest.json"):
            (tmp_path / "run" / name).unlink()
    if file.startswith(("cifar/", "folders/")):
        few_cifar(tmp_path / Path(file).parts[0], "batches" if file.startswith("cifar/") else "class folders")
    witness = tmp_path / "it-ran"
    planted = form(Evil(witness))
    if place == "checkpoint":  # under a digest that is right: who can write the file can reckon that too
        planted = _header(planted) + planted
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_bytes(planted)
    places = {"run": tmp_path / "run", "cifar": tmp_path / "cifar", "here": tmp_path}
    status = main(placed(command, places))
    said = capsys.readouterr().err
    assert not witness.exists() and not Path("/tmp/absolute").exists() and not (tmp_path.parent / "outside").exists()
    # A report lists what it cannot use and stands; all else ends with one line.
    assert (status == 0) if command is REPORT else (status == 2 and said.count("\n") == 1), said


@pytest.mark.attack("files that would run code, at every place that is read")
def test_a_forged_checkpoint_that_fits_the_run_but_holds_something_else(trained, tmp_path, capsys):
    identity = json.loads((trained / "manifest.json").read_text())["identity"]
    for number, forged in enumerate(({}, {"model": []}, {"model": {}, "optimizer": {}}, {"epoch": "last"})):
        out = tmp_path / str(number)
        out.mkdir()
        file = io.BytesIO()
        torch.save({"identity": identity, **forged}, file)
        (out / "checkpoint.pt").write_bytes(_header(file.getvalue()) + file.getvalue())
        assert load_checkpoint(out / "checkpoint.pt", identity) is not None
        assert main([*SHARED, "--epochs", "1", "--out", str(out)]) == 2
        assert "checkpoint.pt: the checkpoint does not fit the run; delete it" in capsys.readouterr().err


@pytest.mark.attack("files that would run code, at every place that is read")
def test_compiled_code_in_a_folder_that_others_can_write_is_not_loaded(tmp_path, monkeypatch):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    source = tmp_path / "one.c"
    source.write_text("int one(void) { return 1; }\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled_library(source, ()).one() == 1
    (tmp_path / "softshare").chmod(0o777)
    assert compiled_library(source, ()) is None


# What reads code, or runs a shell; and who may, and why.
FORBIDDEN = {
    "pickle.load", "pickle.loads", "torch.load", "np.load", "yaml.load", "eval", "exec", "compile", "__import__",
    "os.system", "os.popen", "marshal.loads", "marshal.load", "shelve.open", "joblib.load", "pd.read_pickle",
    "torch.jit.load", "torch.hub.load", "tarfile.extractall", "archive.extractall", "tar.extractall", "extractall",
    "ctypes.CDLL", "importlib.import_module", "shutil.unpack_archive",
}  # fmt: skip
ALLOWED = {
    ("files.py", "yaml.load"): "_StrictLoader",  # a SafeLoader
    ("checkpoint.py", "torch.load"): "weights_only=True",
    ("compiled.py", "ctypes.CDLL"): "_compiled(",  # by itself, in a folder of the user's own
    ("device.py", "ctypes.CDLL"): "CDLL(None)",  # the C library that is there
    ("__init__.py", "importlib.import_module"): "_HOMES[name]",  # of modules of ours, written out there
}


@pytest.mark.attack("our own code, line by line, for what unpickles, evaluates or opens a shell")
@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nothing_of_ours_unpickles_evaluates_or_opens_a_shell(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        call, name = ast.unparse(node), ast.unparse(node.func)
        assert "shell=True" not in call and "allow_pickle=True" not in call, call
        if name.endswith("np.load"):
            assert "allow_pickle=False" in call, call
        elif name in FORBIDDEN or name.rpartition(".")[2] in ("extractall", "unsafe_load", "full_load"):
            assert (file.name, name) in ALLOWED and ALLOWED[file.name, name] in call, call
