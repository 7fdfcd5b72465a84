"""Input that cannot be: for each case what is spoilt, the command that meets it, and what its one line must say.

Cases that need a whole project (experiments, scales, claims, Snakemake's configuration) stand where those are tested
and count in the same table.
"""

import io
import json
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

TRAIN = ["train", "--dataset", "digits", "--quiet", "--threads", "1", "--device", "cpu", "--epochs", "2"]
SHARED = [*TRAIN, "--model", "swrn-16-1-1"]


@dataclass
class Case:
    """One input that cannot be.

    Attributes:
        command: Of `softshare`; `{run}`, `{killed}`, `{cifar}` and `{here}` stand for folders.
        said: What the one line must hold.
        spoil: What is done before to the folder that the command reads.
    """

    command: list[str]
    said: list[str]
    spoil: Callable[[Path], object] | None = None


def edit(name, change):
    """Changes a JSON file of a folder."""

    def spoil(folder):
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return spoil


def write(name, content):
    def spoil(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            (folder / name).write_text(content)

    return spoil


def cut(name, keep):
    """Keeps a share of a file's bytes."""

    def spoil(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(keep * len(content))])

    return spoil


def flip(name, place):
    """Turns one bit of a file round, at a share of its length."""

    def spoil(folder):
        content = bytearray((folder / name).read_bytes())
        content[int(place * (len(content) - 1))] ^= 16
        (folder / name).write_bytes(content)

    return spoil


def flip_byte(name, index):
    """Turns a bit of one byte of a file round."""

    def spoil(folder):
        content = bytearray((folder / name).read_bytes())
        content[index] ^= 16
        (folder / name).write_bytes(content)

    return spoil


def arrays(change):
    """Changes the arrays of a run's `similarity.npz`."""

    def spoil(folder):
        with np.load(folder / "similarity.npz") as stored:
            content = dict(stored)
        change(content)
        np.savez(folder / "similarity.npz", **content)

    return spoil


def tensors(change):
    """Changes the tensors of a run's `model.safetensors`."""

    def spoil(folder):
        content = load_file(folder / "model.safetensors")
        change(content)
        save_file(content, folder / "model.safetensors")

    return spoil


NAMES = {
    "": "unknown model",
    " ": "unknown model",
    "wrn": "unknown model",
    "wrn-28": "unknown model",
    "wrn-28-10-": "unknown model",
    "wrn-28-10-2-2": "unknown model",
    "WRN-28-10": "unknown model",
    "wrn-028-10": "unknown model",
    "wrn-28-0": "unknown model",
    "wrn-1\N{ARABIC-INDIC DIGIT SIX}-1": "unknown model",
    "wrn-28-1\n": "unknown model",
    "wrn-28-1; touch x": "unknown model",
    "../wrn-28-1": "unknown model",
    "wrn-99999-1": "unknown model",
    "wrn-29-1": "the depth must be 6n + 4",
    "wrn-4-1": "the depth must be 6n + 4",
    "wrn-28-1-2": "a plain WRN has no templates",
    "swrn-10-1": "has no two layers to share",
    "swrn-28-1-7": "k from 1 to 6",
    "cnn-1": "needs at least 2 layers",
    "cnn-20-2": "a plain CNN has no templates",
    "rnn-20-3": "an RNN has one template",
    "scnn-20-21": "k from 1 to 20",
}


def recipe(settings, key, said):
    """A recipe of one's own that cannot be."""
    text = f"extends: cifar\nsettings: {settings}\n"
    return Case([*SHARED, "--recipe", "{here}/mine.yaml"], ["mine.yaml", key, said], write("mine.yaml", text))


RECIPES = {
    "a rate that is no number": recipe("{learning_rate: .nan}", "settings.learning_rate", "no finite number"),
    "an infinite rate": recipe("{learning_rate: .inf}", "settings.learning_rate", "no finite number"),
    "a negative rate": recipe("{learning_rate: -0.1}", "settings.learning_rate", "above 0"),
    "a rate in words": recipe("{learning_rate: fast}", "settings.learning_rate: 'fast'", "a number above 0"),
    "momentum of 1": recipe("{momentum: 1}", "settings.momentum", "below 1"),
    "decay below 0": recipe("{weight_decay: -0.1}", "settings.weight_decay", "from 0"),
    "a drop after the end": recipe("{drops: [1.5]}", "settings.drops.0", "a fraction of all epochs"),
    "the same drop twice": recipe("{drops: [0.5, 0.5]}", "settings.drops", "fractions of all epochs"),
    "no images a batch": recipe("{batch_size: 0}", "settings.batch_size", "from 1"),
    "half an image a batch": recipe("{batch_size: 1.5}", "settings.batch_size", "from 1"),
    "a batch size that is true": recipe("{batch_size: true}", "settings.batch_size", "from 1"),
    "a huge square": recipe("{cutout: 65}", "settings.cutout", "pixels"),
    "another padding": recipe("{padding: edge}", "settings.padding: 'edge'", "known: reflect, zero"),
    "another optimiser": recipe("{optimizer: sgdm}", "settings.optimizer: 'sgdm'", "did you mean 'sgd'"),
    "nesterov in words": recipe("{nesterov: 'yes'}", "settings.nesterov", "boolean"),
    "labels all smoothed": recipe("{label_smoothing: 1}", "settings.label_smoothing", "below 1"),
    "lambda below 0": recipe("{recurrence: -1}", "settings.recurrence", "from 0"),
    "similarity at 0": recipe("{similarity_at: [0]}", "settings.similarity_at.0", "a fraction of all epochs"),
    "a setting twice": recipe("{dropout: 0.1, dropout: 0.3}", "is not YAML", "'dropout' stands there twice"),
    "settings that are a list": recipe("[dropout]", "settings", "settings"),
    "an alias": recipe("&a {dropout: 0.1}\nsource: *a", "is not YAML", "aliases are not read here"),
    "a heap of aliases": recipe("{drops: &a [0.1], similarity_at: [*a, *a]}", "is not YAML", "aliases are not read"),
    "an object of Python": recipe("!!python/object/apply:os.system ['true']", "is not YAML", "python/object"),
    "depth without end": recipe("[" * 5000, "is not YAML", "mine.yaml"),
    "bytes that are no text": Case(
        [*SHARED, "--recipe", "{here}/mine.yaml"], ["mine.yaml", "cannot be read"], write("mine.yaml", b"\xff\xfe\x00")
    ),
    "an empty file": Case([*SHARED, "--recipe", "{here}/mine.yaml"], ["mine.yaml", "object"], write("mine.yaml", "")),
    "a folder for a recipe": Case(
        [*SHARED, "--recipe", "{here}/mine.yaml"], ["mine.yaml", "cannot be read"], write("mine.yaml/x", "")
    ),
    "whole numbers that overflow": Case([*SHARED, "--epochs", str(10**20)], ["epochs", "from 1"]),
    "a rate of dropout that is nan": Case([*SHARED, "--dropout", "nan"], ["dropout", "no finite number"]),
    "a share held out that is nan": Case([*SHARED, "--validation", "nan"], ["validation", "no finite number"]),
    "lambda that is infinite": Case([*SHARED, "--recurrence", "inf"], ["recurrence", "no finite number"]),
}

EVALUATE = ["evaluate", "{run}", "--device", "cpu"]
FOLD = ["fold", "{run}", "--device", "cpu", "--reestimate-on", "0"]
SIMILARITY = ["similarity", "{run}"]
RUNS = {
    "metrics truncated": Case(EVALUATE, ["metrics.json", "is not JSON", "truncated"], cut("metrics.json", 0.5)),
    "metrics without end": Case(EVALUATE, ["metrics.json", "is not JSON"], write("metrics.json", "[" * 100_000)),
    "metrics that are a list": Case(EVALUATE, ["metrics.json", "missing"], write("metrics.json", "[]")),
    "metrics of no model": Case(
        EVALUATE, ["model", "'resnet'"], edit("metrics.json", lambda m: m.update(model="resnet"))
    ),
    "metrics of a model in numbers": Case(
        EVALUATE, ["metrics.json", "names no model"], edit("metrics.json", lambda m: m.update(model=[1]))
    ),
    "metrics of no dataset": Case(
        EVALUATE, ["dataset", "'mnist'"], edit("metrics.json", lambda m: m.update(dataset="mnist"))
    ),
    "metrics of a dataset in numbers": Case(
        EVALUATE, ["metrics.json", "names no dataset"], edit("metrics.json", lambda m: m.update(dataset=[]))
    ),
    "a manifest that is gone": Case(
        EVALUATE, ["manifest.json", "no such file"], lambda f: (f / "manifest.json").unlink()
    ),
    "a manifest in the wrong letters": Case(
        EVALUATE, ["manifest.json", "cannot be read"], write("manifest.json", b"\xff\xfe{}")
    ),
    "another fingerprint": Case(
        EVALUATE,
        ["fingerprint", "not the data that the run was trained on"],
        edit("manifest.json", lambda m: m["dataset"].update(fingerprint="0" * 64)),
    ),
    "a fingerprint in numbers": Case(
        EVALUATE, ["fingerprint", "tells 7"], edit("manifest.json", lambda m: m["dataset"].update(fingerprint=7))
    ),
    "a dropout in words": Case(
        EVALUATE, ["manifest.json", "dropout"], edit("manifest.json", lambda m: m["settings"].update(dropout="much"))
    ),
    "a batch of none": Case(
        FOLD, ["manifest.json", "batch_size"], edit("manifest.json", lambda m: m["settings"].update(batch_size=0))
    ),
    "weights truncated": Case(EVALUATE, ["model.safetensors", "truncated"], cut("model.safetensors", 0.7)),
    "weights of no length": Case(EVALUATE, ["model.safetensors", "cannot be read"], write("model.safetensors", b"")),
    "a header longer than the file": Case(
        EVALUATE, ["model.safetensors", "cannot be read"], write("model.safetensors", b"\xff" * 64)
    ),
    "a header that is no JSON": Case(
        EVALUATE, ["model.safetensors", "cannot be read"], flip_byte("model.safetensors", 8)
    ),
    "weights that lack one": Case(
        EVALUATE, ["model.safetensors", "another model"], tensors(lambda t: t.pop(sorted(t)[0]))
    ),
    "weights of another shape": Case(
        EVALUATE,
        ["model.safetensors", "another model"],
        tensors(lambda t: t.update({sorted(t)[0]: np.zeros((3, 3), np.float32)})),
    ),
    "weights that are no numbers": Case(
        EVALUATE,
        ["no number"],
        tensors(lambda t: [value.fill(np.nan) for value in t.values() if value.dtype == np.float32]),
    ),
    "weights that are gone": Case(
        EVALUATE, ["model.safetensors", "no such file"], lambda f: (f / "model.safetensors").unlink()
    ),
    "similarity truncated": Case(SIMILARITY, ["similarity.npz", "truncated"], cut("similarity.npz", 0.5)),
    "similarity of no length": Case(SIMILARITY, ["similarity.npz", "cannot be used"], write("similarity.npz", b"")),
    "similarity with a bit turned": Case(SIMILARITY, ["similarity.npz", "cannot be used"], flip("similarity.npz", 0.5)),
    "similarity that lacks an array": Case(
        SIMILARITY, ["similarity.npz", "stage1/chance"], arrays(lambda a: a.pop("stage1/chance"))
    ),
    "similarity that is no number": Case(
        SIMILARITY, ["similarity.npz", "NaN"], arrays(lambda a: a["stage1/weights"].fill(np.nan))
    ),
    "similarity beyond 1": Case(
        SIMILARITY, ["similarity.npz", "not within 0 and 1"], arrays(lambda a: a["stage1/weights"].fill(2))
    ),
    "an epoch that is not stored": Case([*SIMILARITY, "--epoch", "77"], ["epoch", "77", "stored:"]),
    "a threshold in words": Case([*FOLD, "--threshold", "high"], ["thresholds: 'high'", "for instance 0.8"]),
    "a threshold that is nan": Case([*FOLD, "--threshold", "nan"], ["nan", "threshold"]),
    "thresholds without end": Case([*FOLD, "--thresholds", "0:1:1e-300"], ["thresholds", "0:1:1e-300"]),
    "other settings in the same folder": Case(
        [*SHARED, "--seed", "5", "--out", "{run}"], ["manifest.json", "seed", "was left by a run with 0"]
    ),
    "no identity in the folder": Case(
        [*SHARED, "--out", "{run}"], ["manifest.json"], edit("manifest.json", lambda m: m.update(identity=[]))
    ),
}

RESUME = [*SHARED, "--epochs", "50", "--out", "{killed}"]
FILE = "checkpoint.pt"
CHECKPOINTS = {
    "a checkpoint truncated": Case(RESUME, [FILE, "truncated or altered", "delete it"], cut(FILE, 0.6)),
    "a checkpoint cut at its head": Case(RESUME, [FILE, "no checkpoint", "delete it"], cut(FILE, 1e-5)),
    "a checkpoint with a bit turned": Case(RESUME, [FILE, "truncated or altered"], flip(FILE, 0.5)),
    "a checkpoint whose last bit is turned": Case(RESUME, [FILE, "truncated or altered"], flip(FILE, 1.0)),
    "a checkpoint that is text": Case(RESUME, [FILE, "no checkpoint"], write(FILE, "epoch: 3")),
    "a checkpoint that is a folder": Case(
        RESUME, [FILE, "cannot be read"], lambda f: ((f / FILE).unlink(), (f / FILE).mkdir())
    ),
    "a checkpoint of another model": Case(
        [*RESUME, "--model", "wrn-16-1"], [FILE, "model", "'swrn-16-1-1'", "'wrn-16-1'"]
    ),
    "a checkpoint of other settings": Case([*RESUME, "--dropout", "0.5"], [FILE, "dropout", "0.5"]),
    "a checkpoint of another seed": Case([*RESUME, "--seed", "3"], [FILE, "seed", "another --out"]),
}

CHECK = ["data", "check", "cifar10", "--data", "{cifar}", "--cache", "{here}/cache"]


def picture(name, make):
    """Replaces an image."""

    def spoil(folder):
        (folder / name).unlink()
        make(folder / name)

    return spoil


def saved(mode, size, kind="PNG", **options):
    return lambda path: Image.new(mode, size).save(path, kind, **options)


def bomb(side):
    """A PNG of a few bytes that tells of far more pixels than it holds."""
    file = io.BytesIO()
    Image.new("RGB", (32, 32)).save(file, "PNG")
    content = file.getvalue()
    head = b"IHDR" + struct.pack(">II", side, side) + content[24:29]
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]


def animated(path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])


ONE = "train/cat/data_batch_1-03.png"
IMAGES = {
    "an image truncated": Case(CHECK, [ONE], cut(ONE, 0.6)),
    "an image of no length": Case(CHECK, [ONE], write(ONE, b"")),
    "an image that is text": Case(CHECK, [ONE], write(ONE, "a cat")),
    "an image of another size": Case(CHECK, [ONE, "32"], picture(ONE, saved("RGB", (31, 32)))),
    "a grey image": Case(CHECK, [ONE], picture(ONE, saved("L", (32, 32)))),
    "an image with alpha": Case(CHECK, [ONE], picture(ONE, saved("RGBA", (32, 32)))),
    "an image of 16 bits": Case(CHECK, [ONE], picture(ONE, saved("I;16", (32, 32)))),
    "a GIF under another name": Case(CHECK, [ONE], picture(ONE, animated)),
    "a TIFF under another name": Case(CHECK, [ONE], picture(ONE, saved("RGB", (32, 32), "TIFF"))),
    "an image that is a link to nothing": Case(CHECK, ["train"], picture(ONE, lambda path: path.symlink_to("nowhere"))),
    "an image too few": Case(CHECK, ["4 train images of 'cat', not 5"], lambda f: (f / ONE).unlink()),
    "an image too many": Case(
        CHECK, ["6 train images of 'cat'"], lambda f: shutil.copy(f / ONE, f / "train/cat/more.png")
    ),
    "a class too many": Case(CHECK, ["unknown class"], lambda f: shutil.copytree(f / "train/cat", f / "train/tiger")),
    "a class too few": Case(CHECK, ["train/dog"], lambda f: shutil.rmtree(f / "train/dog")),
    "no test images": Case(CHECK, ["test"], lambda f: shutil.rmtree(f / "test")),
    "a bomb of pixels": Case(CHECK, [ONE], write(ONE, bomb(20_000))),
}

OTHERS = {
    "no such scale": Case(["report", "--scale", "../quick"], ["scale: '../quick'", "did you mean 'quick'?"]),
    "no such experiment": Case(
        ["report", "--experiments", "table1; ls"], ["experiments: 'table1; ls'", "did you mean"]
    ),
    "nothing to publish": Case(
        ["publish", "--scale", "quick", "--results", "{here}", "--out", "{here}/out"], ["holds no complete run"]
    ),
    "no such bench": Case(["bench", "--only", "dag\n"], ["no such bench"]),
    "a preview of no kind": Case(["data", "shortest-paths", "--preview", "{here}/a.exe"], ["a.exe"]),
    "a preview of no examples": Case(
        ["data", "shortest-paths", "--preview", "{here}/a.png", "--examples", "0"], ["examples", "0"]
    ),
    "a preview of a negative seed": Case(
        ["data", "shortest-paths", "--preview", "{here}/a.png", "--seed", "-1"], ["seed", "-1"]
    ),
    "a run's folder that is a file": Case(
        [*SHARED, "--out", "{here}/file"], ["file", "cannot be written"], write("file", "")
    ),
    "a run's folder below a file": Case(
        [*SHARED, "--out", "{here}/file/below"], ["file", "cannot be written"], write("file", "")
    ),
    "a cache that is a file": Case(
        [*CHECK[:-1], "{here}/file"], ["file", "cannot be written"], lambda f: write("file", "")(f.parent)
    ),
    "a file with a null in its name": Case([*SHARED, "--recipe", "a\0.yaml"], ["cannot be read"]),
}

CASES = {
    **{f"the name {name!r}": Case([*TRAIN, "--model", name], ["model", said]) for name, said in NAMES.items()},
    **RECIPES,
    **RUNS,
    **CHECKPOINTS,
    **IMAGES,
    **OTHERS,
}


def placed(command, places):
    """A command with folders in place of their names."""
    return [re.sub(r"\{(\w+)\}", lambda found: str(places[found[1]]), word) for word in command]
