"""Input that cannot be: for each case what is spoilt, the command that meets it, and what its one line must say.

Cases that need a whole project (experiments, scales, claims, Snakemake's configuration) stand where those are tested
and count in the same table.
"""

import re

from bad_files import CHECK, CHECKPOINTS, FILE, IMAGES, RUNS
from spoiling import SHARED, TRAIN, Case, pipe, write

__all__ = ["CASES", "FILE", "SHARED", "placed"]

NAMES = {
    "": "is empty",
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
    "a rate that is no number": recipe("{learning_rate: .nan}", "settings.learning_rate", "not a finite number"),
    "an infinite rate": recipe("{learning_rate: .inf}", "settings.learning_rate", "not a finite number"),
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
    "a setting twice": recipe("{dropout: 0.1, dropout: 0.3}", "is not YAML", "'dropout' appears twice"),
    "settings that are a list": recipe("[dropout]", "settings", "settings"),
    "an alias": recipe("&a {dropout: 0.1}\nsource: *a", "is not YAML", "aliases are not read here"),
    "a heap of aliases": recipe("{drops: &a [0.1], similarity_at: [*a, *a]}", "is not YAML", "aliases are not read"),
    "an object of Python": recipe("!!python/object/apply:os.system ['true']", "is not YAML", "python/object"),
    "a truth that is none": recipe('{nesterov: !!bool "x"}', "is not YAML", "mine.yaml"),
    "a date that is none": recipe('{optimizer: !!timestamp "x"}', "is not YAML", "mine.yaml"),
    "a number without digits": recipe('{batch_size: !!int ""}', "is not YAML", "mine.yaml"),
    "a number beyond all numbers": recipe("{learning_rate: 1" + 400 * "0" + "}", "settings.learning_rate", "finite"),
    "a number in sixties beyond all numbers": recipe(
        "{batch_size: 1" + 3000 * ":5" + "}", "settings.batch_size", "finite"
    ),
    "depth without end": recipe("[" * 5000, "is not YAML", "mine.yaml"),
    "bytes that are no text": Case(
        [*SHARED, "--recipe", "{here}/mine.yaml"], ["mine.yaml", "cannot be read"], write("mine.yaml", b"\xff\xfe\x00")
    ),
    "an empty file": Case([*SHARED, "--recipe", "{here}/mine.yaml"], ["mine.yaml", "object"], write("mine.yaml", "")),
    "a pipe for a recipe": Case(
        [*SHARED, "--recipe", "{here}/mine.yaml"], ["mine.yaml", "is not a regular file"], pipe("mine.yaml")
    ),
    "a folder for a recipe": Case(
        [*SHARED, "--recipe", "{here}/mine.yaml"], ["mine.yaml", "cannot be read"], write("mine.yaml/x", "")
    ),
    "whole numbers that overflow": Case([*SHARED, "--epochs", str(10**20)], ["epochs", "from 1"]),
    "a rate of dropout that is nan": Case([*SHARED, "--dropout", "nan"], ["dropout", "not a finite number"]),
    "a share held out that is nan": Case([*SHARED, "--validation", "nan"], ["validation", "not a finite number"]),
    "lambda that is infinite": Case([*SHARED, "--recurrence", "inf"], ["recurrence", "not a finite number"]),
}

OTHERS = {
    "no such scale": Case(["report", "--scale", "../quick"], ["scale: '../quick'", "did you mean 'quick'?"]),
    "no such experiment": Case(
        ["report", "--experiments", "table1; ls"], ["experiments: 'table1; ls'", "did you mean"]
    ),
    "nothing to publish": Case(
        ["publish", "--scale", "quick", "--results", "{here}", "--out", "{here}/out"], ["holds no complete run"]
    ),
    "a forecast of no scale": Case(["forecast", "--scale", "papers"], ["scale: 'papers'", "did you mean 'paper'?"]),
    "a forecast for no device": Case(["forecast", "--device", "a1000"], ["device: 'a1000'", "did you mean"]),
    "a forecast at no speed": Case(["forecast", "--sustained", "0"], ["sustained: 0.0:"]),
    "a forecast at a speed that is nan": Case(["forecast", "--sustained", "nan"], ["sustained: nan:"]),
    "a forecast that measures for no time": Case(["forecast", "--seconds", "-1"], ["seconds: -1.0:"]),
    "a forecast on no GPUs": Case(["forecast", "--sustained", "1", "--gpus", "0"], ["gpus: 0:"]),
    "a forecast on no cores": Case(["forecast", "--sustained", "1", "--cores", "0"], ["cores: 0:"]),
    "a time limit that is nan": Case(
        ["data", "write", "digits", "--out", "{here}/a.beton", "--time-limit", "nan"], ["time-limit: nan"]
    ),
    "watching at no interval": Case(["status", "--watch", "nan"], ["watch: nan"]),
    "a budget that is nan": Case(["forecast", "--sustained", "1", "--budget", "nanh"], ["budget: 'nanh'"]),
    "a budget in words": Case(["forecast", "--sustained", "1", "--budget", "much"], ["budget: 'much'"]),
    "a forecast of no experiment": Case(
        ["forecast", "--experiments", "table9"], ["experiments: 'table9'", "did you mean"]
    ),
    "a forecast of no claim": Case(["forecast", "--sustained", "1", "--claims", "none-such"], ["claims: 'none-such'"]),
    "the status of no scale": Case(["status", "--scale", "paper/.."], ["scale: 'paper/..'", "did you mean 'paper'?"]),
    "FFCV's file of a dataset that is none": Case(
        ["data", "write", "mnist", "--out", "{here}/a.beton"], ["dataset: 'mnist'"]
    ),
    "FFCV's file in no time": Case(
        ["data", "write", "digits", "--out", "{here}/a.beton", "--time-limit", "0"], ["time-limit: 0.0:"]
    ),
    "FFCV's file in a folder that is none": Case(
        ["data", "write", "digits", "--out", "{here}/file/a.beton"], ["file", "cannot be written"], write("file", "")
    ),
    "photographs of no size": Case(
        ["data", "write", "folder", "--data", "{here}", "--out", "{here}/a.beton", "--side", "0"], ["side: 0:"]
    ),
    "no photographs": Case(["data", "check", "folder", "--data", "{here}"], ["holds no photographs"]),
    "a loader that is none": Case([*SHARED, "--loader", "ffvc"], ["loader: 'ffvc'", "did you mean 'ffcv'?"]),
    "a step of no images taken apart": Case(
        ["bench", "--profile", "wrn-16-1", "--batch", "0", "--out", "{here}/out"], ["batch: 0:"]
    ),
    "a step of a network for paths taken apart": Case(
        ["bench", "--profile", "scnn-20", "--out", "{here}/out"], ["model: 'scnn-20'", "is made for shortest-paths"]
    ),
    "a step of images beyond any memory taken apart": Case(
        ["bench", "--profile", "wrn-16-1", "--batch", str(10**9), "--out", "{here}/out"], ["batch: 1000000000:"]
    ),
    "a folder from a variable that is not set": Case([*SHARED, "--out", ""], ["out: ''", "is empty"]),
    "a folder from a variable that is not set, joined": Case([*SHARED, "--out="], ["out: ''", "is empty"]),
    "a recipe from a variable that is not set": Case([*SHARED, "--recipe", ""], ["recipe: ''", "is empty"]),
    "a run from a variable that is not set": Case(["evaluate", ""], ["argument: ''", "is empty"]),
    "a folder whose name is no UTF-8": Case([*SHARED, "--out", "{here}/x\udcff"], ["\\udcff", "is no UTF-8"]),
    "a seed in other digits": Case([*SHARED, "--seed", "\N{ARABIC-INDIC DIGIT THREE}"], ["invalid int value"]),
    "a seed with a stroke in it": Case([*SHARED, "--seed", "1_0"], ["--seed", "invalid int value: '1_0'"]),
    "a rate with a stroke in it": Case([*SHARED, "--dropout", "0.0_1"], ["--dropout", "invalid float value"]),
    "thresholds without end": Case(
        ["fold", "{run}", "--thresholds", "0:1:0.0001"], ["thresholds: '0:1:0.0001'", "steps from 0.001"]
    ),
    "a class whose name is no UTF-8": Case(
        ["data", "check", "folder", "--data", "{here}", "--out", "{here}/facts.json"],
        ["train/a\\udcff/0.jpg", "a name is no UTF-8"],
        write("train/a\udcff/0.jpg", "x"),
    ),
    "a photograph whose name is no UTF-8": Case(
        ["data", "check", "folder", "--data", "{here}", "--out", "{here}/facts.json"],
        ["train/a/\\udcff.jpg", "a name is no UTF-8"],
        write("train/a/\udcff.jpg", "x"),
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
    "a name too long for the file system": Case([*SHARED, "--out", "{here}/" + 300 * "a"], ["File name too long"]),
    "threads that no machine has": Case([*SHARED, "--threads", str(10**12)], ["threads", "from 1 to 1,024"]),
    "a seed below 0": Case([*SHARED, "--seed", "-1"], ["seed: -1", "from 0 to 4,294,967,295"]),
    "a seed beyond every generator's": Case([*SHARED, "--seed", str(10**30)], ["seed: 1000", "4,294,967,295"]),
    "a seed of more digits than Python reads": Case([*SHARED, "--seed", 5000 * "1"], ["--seed", "invalid int value"]),
    "a seed in words": Case([*SHARED, "--seed", "first"], ["--seed", "'first'", "softshare train --help"]),
    "a preview of a seed that is none": Case(
        ["data", "shortest-paths", "--preview", "{here}/a.png", "--seed", str(10**30)], ["seed", "4294967295"]
    ),
    "an option that is none": Case([*SHARED, "--lr", "1"], ["unrecognized arguments: --lr 1"]),
    "a command that is none": Case(["trian"], ["'trian'"]),
    "no command": Case([], ["required: COMMAND"]),
    "a model that is not named": Case(["train", "--dataset", "digits", "--out", "{here}/out"], ["required: --model"]),
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
