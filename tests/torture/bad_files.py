"""Runs, checkpoints and images that cannot be: see `bad_input`."""

import io
import shutil
import struct
import zlib

import numpy as np
from PIL import Image
from spoiling import SHARED, Case, arrays, cut, edit, flip, flip_byte, pipe, tensors, twice, write

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
    "weights to fold that are no numbers": Case(
        FOLD,
        ["no numbers"],
        tensors(lambda t: [v.fill(np.nan) for k, v in t.items() if v.dtype == np.float32 and "bank" not in k]),
    ),
    "weights to fold that are another run's": Case(
        FOLD,
        ["metrics.json", "test.error", "is not the network's"],
        tensors(lambda t: [v.fill(0) for k, v in t.items() if k.endswith("weight") and v.ndim == 2]),
    ),
    "a test error that is too good": Case(
        FOLD, ["test.error", "is not the network's"], edit("metrics.json", lambda m: m["test"].update(error=0.5))
    ),
    "a test error in words": Case(
        FOLD, ["metrics.json", "test.error is no number"], edit("metrics.json", lambda m: m["test"].update(error="4"))
    ),
    "no test error": Case(
        FOLD, ["metrics.json", "test.error is missing"], edit("metrics.json", lambda m: m.pop("test"))
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
    "metrics that name the model twice": Case(
        EVALUATE, ["metrics.json", "the key 'model' appears twice"], twice("metrics.json", "model")
    ),
    **{
        f"a pipe for {name}": Case(command, [name, "is not a regular file"], pipe(name))
        for name, command in {
            "metrics.json": EVALUATE,
            "manifest.json": EVALUATE,
            "model.safetensors": EVALUATE,
            "similarity.npz": SIMILARITY,
        }.items()
    },
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
    "a checkpoint that is a pipe": Case(RESUME, [FILE, "is not a regular file"], pipe(FILE)),
    "a lock that is a pipe": Case(RESUME, [".lock", "is not a regular file"], pipe(".lock")),
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
    "an image that is a pipe": Case(CHECK, ["4 train images of 'cat', not 5"], pipe(ONE)),
    "an archive that is a pipe": Case(
        ["data", "check", "cifar10", "--data", "{cifar}/a.tar", "--cache", "{here}/cache"], ["a.tar"], pipe("a.tar")
    ),
    "a bomb of pixels": Case(CHECK, [ONE], write(ONE, bomb(20_000))),
}
