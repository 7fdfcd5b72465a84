"""What a case of bad input is, and ways to spoil a file or folder."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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


def pipe(name):
    """Puts a pipe in a file's place: who opens it waits for ever."""

    def spoil(folder):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return spoil


def twice(name, key):
    """Has a JSON file name its key twice."""

    def spoil(folder):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("{", f'{{"{key}": null, ', 1))

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
