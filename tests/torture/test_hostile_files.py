"""Files that would run code, planted at every place that something is read from."""

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

from softshare.bench.run_folders import write_run_folders
from softshare.cli import main
from softshare.compiled import compiled_library
from softshare.data.catalogue import FACTS
from softshare.errors import UserError
from softshare.plan import load_plan
from softshare.training.checkpoint import _header, load_checkpoint
from softshare.training.resumable import Resumable


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

# Where a file is read: the file, and the command that meets it and refuses it by its name.
EVALUATE, FOLD = ["evaluate", "{run}", "--device", "cpu"], ["fold", "{run}", "--device", "cpu"]
CHECK = ["data", "check", "cifar10", "--cache", "{here}/cache", "--data"]
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
}

# A report lists what it cannot use and stands: the file, and what the page says of it; None: it lacks its numbers.
DRAWN = ["figure8", "figure4"]
REPORT = ["report", "--scale", "quick", "--results", "{here}", "--experiments", *DRAWN]
RUN, FOLDED = (f"quick/runs/digits/{model}/cifar/seed0" for model in ("swrn-40-1-8", "swrn-28-1-4"))
REPORTED = {
    "metrics of a report": (f"{RUN}/metrics.json", "metrics.json is not JSON"),
    "manifest of a report": (f"{RUN}/manifest.json", "manifest.json is not JSON"),
    "history of a report": (f"{RUN}/history.csv", "history.csv "),
    "similarity of a report": (f"{RUN}/similarity.npz", None),
    "folding of a report": (f"{FOLDED}/folding/folding.json", None),
    "the bench of a report": ("bench/bench.csv", "bench.csv cannot be used"),
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
    assert status == 2 and said.count("\n") == 1 and Path(file).name in said, said


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """Complete runs and a bench, and the pages of their report."""
    folder = tmp_path_factory.mktemp("reported")
    write_run_folders(load_plan("quick", DRAWN), folder / "quick")
    (folder / "bench").mkdir()
    (folder / "bench/bench.csv").write_text("name,value\n")
    return folder, pages_of(folder)


def pages_of(results):
    assert main(placed(REPORT, {"here": results})) == 0
    return [(results / "quick" / name).read_text() for name in ("report.md", "report.html")]


@pytest.mark.attack("files that would run code, at every place that is read")
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("place", REPORTED)
def test_nothing_planted_is_run_by_a_report_that_reads_it(place, form, reported, tmp_path):
    witness = tmp_path / "it-ran"
    require_noticed(place, form(Evil(witness)), reported, tmp_path / "results")
    assert not witness.exists() and not Path("/tmp/absolute").exists() and not (tmp_path / "outside").exists()


@pytest.mark.parametrize("place", REPORTED)
def test_a_report_takes_notice_of_what_harms_nobody(place, reported, tmp_path):
    """So each place is read; and a report that differs does so for the file alone, not for where it was made."""
    require_noticed(place, b"harmless\n", reported, tmp_path / "results")
    shutil.copytree(reported[0], tmp_path / "untouched")
    assert pages_of(tmp_path / "untouched") == reported[1]


def require_noticed(place, planted, reported, results):
    (originals, pages), (file, told) = reported, REPORTED[place]
    shutil.copytree(originals, results)
    assert (results / file).is_file() and (told is None or told not in pages[0])
    (results / file).write_bytes(planted)
    now = pages_of(results)
    assert now != pages and (told is None or told in now[0]), f"the report takes no notice of {file}"


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
    compiled = tmp_path / "softshare/compiled"
    (library,) = compiled.iterdir()
    assert not (compiled.stat().st_mode | library.stat().st_mode) & 0o077
    for others in (0o002, 0o020):  # everybody, and the group
        library.chmod(0o700 | others)
        assert compiled_library(source, ()).one() == 1
        assert not library.stat().st_mode & others, "it was not made anew"
        compiled.chmod(0o700 | others)
        assert compiled_library(source, ()) is None
        compiled.chmod(0o700)
        assert compiled_library(source, ()).one() == 1


FORGED = {
    "a momentum of another shape": lambda c: c["optimizer"]["state"][0].update(momentum_buffer=torch.zeros(3)),
    "a momentum in words": lambda c: c["optimizer"]["state"][0].update(momentum_buffer=["x"]),
    "a momentum of whole numbers": lambda c: c["optimizer"]["state"][0].update(
        momentum_buffer=c["optimizer"]["state"][0]["momentum_buffer"].long()
    ),
    "the state of a parameter that is none": lambda c: c["optimizer"]["state"].update({10**6: {"x": torch.zeros(1)}}),
    "another decay": lambda c: c["optimizer"]["param_groups"][0].update(weight_decay=1.0),
    "a rate that is nan": lambda c: c["optimizer"]["param_groups"][0].update(lr=float("nan")),
    "no groups": lambda c: c["optimizer"].update(param_groups=[]),
    "all epochs": lambda c: c.update(epoch=30),
    "more than all epochs": lambda c: c.update(epoch=31),
    "an epoch below 0": lambda c: c.update(epoch=-1),
    "an epoch that is true": lambda c: c.update(epoch=True),
    "an epoch with a point": lambda c: c.update(epoch=2.0),
    "no history": lambda c: c.update(history=[]),
    "no list of history": lambda c: c.update(history=None),
    "rows that are none": lambda c: c.update(history=[1, 2]),
    "rows of other epochs": lambda c: c["history"].reverse(),
    "a row of nan": lambda c: c["history"][0].update(train_loss=float("nan")),
    "a row of a tensor": lambda c: c["history"][0].update(train_loss=torch.zeros(3)),
    "a time in words": lambda c: c.update(seconds="a"),
    "a time below 0": lambda c: c.update(seconds=-1.0),
    "no wall time": lambda c: c.update(wall_seconds=None),
    "a wall time of nan": lambda c: c.update(wall_seconds=float("nan")),
    "a start that is a tensor": lambda c: c.update(started=torch.zeros(1)),
    "stretches that are tensors": lambda c: c.update(stretches=[{"commit": torch.zeros(1)}]),
    "stretches of numbers": lambda c: c.update(stretches=[1]),
    "similarity without its rows": lambda c: c["similarity"].update(rows={"stage1": {}}),
    "similarity of other epochs": lambda c: c["similarity"].update(epochs=[1, 2, 3, 4, 5]),
    "similarity in rows of several lengths": lambda c: c["similarity"]["rows"]["stage1"].update(weight_shape=[1, [2]]),
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """What a run of 30 epochs leaves that was killed after its second, and the command that goes on with it."""
    folder = tmp_path_factory.mktemp("killed")
    command = [*SHARED, "--epochs", "30"]

    class KilledError(BaseException):
        pass

    def save(self, save=Resumable.save):
        save(self)
        if self.epoch == 2:
            raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Resumable, "save", save)
        with pytest.raises(KilledError):
            main([*command, "--out", str(folder)])
    return folder, command


@pytest.mark.attack("a checkpoint forged under a digest that is right")
@pytest.mark.parametrize("what", FORGED)
def test_a_forged_checkpoint_is_one_line(what, killed, tmp_path, capsys):
    folder, command = killed
    raw = (folder / "checkpoint.pt").read_bytes()
    content = torch.load(io.BytesIO(raw[len(_header(b"")) :]), weights_only=True)
    FORGED[what](content)
    file = io.BytesIO()
    torch.save(content, file)
    (tmp_path / "checkpoint.pt").write_bytes(_header(file.getvalue()) + file.getvalue())
    assert main([*command, "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "checkpoint.pt: the checkpoint does not fit the run; delete it" in said


@pytest.mark.attack("files that are, or say they are, far too large")
def test_a_checkpoint_that_tells_itself_for_ever_is_a_line(tmp_path):
    nested = 1
    for _ in range(60):
        nested = [nested, nested]
    file = io.BytesIO()
    torch.save({"identity": {"seed": nested}}, file)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(_header(file.getvalue()) + file.getvalue())
    with pytest.raises(UserError, match=r"seed: was left by a run with \[\[\[") as caught:
        load_checkpoint(path, {"seed": 1})
    assert len(str(caught.value)) < 1000


@pytest.mark.attack("files that are, or say they are, far too large")
def test_a_checkpoint_that_unpacks_to_more_than_it_holds_is_refused(tmp_path):
    file, packed = io.BytesIO(), io.BytesIO()
    torch.save({"identity": {}, "model": torch.zeros(10**6)}, file)
    with zipfile.ZipFile(file) as stored, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as smaller:
        for each in stored.infolist():
            smaller.writestr(each.filename, stored.read(each))
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(_header(packed.getvalue()) + packed.getvalue())
    assert path.stat().st_size < 10**5
    with pytest.raises(UserError, match=r"checkpoint\.pt: the checkpoint cannot be read"):
        load_checkpoint(path, {})
