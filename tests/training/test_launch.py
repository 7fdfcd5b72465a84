"""Several processes are started, and end, as one: one line of what was wrong, one exit status, nothing half-written."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LAUNCH = [sys.executable, "-m", "softshare.training.launch"]
TRAIN = ["train", "--dataset", "digits", "--model", "swrn-16-1-1", "--device", "cpu", "--threads", "1", "--quiet"]


def start(folder, *arguments, command=(*LAUNCH, "2", *TRAIN, "--out", "run"), **variables):
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"} | variables
    return subprocess.Popen(
        [*command, *arguments], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def ended(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def children(process):
    """The processes that a launcher started, by their rank."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (path / "environ").read_bytes().split(b"\0") if parent == process.pid else []
        except OSError:
            continue
        found |= {int(each[5:]): int(path.name) for each in variables if each.startswith(b"RANK=")}
    return found


def until_it_trains(process, folder):
    while not (folder / "run/history.csv").exists() and process.poll() is None:
        time.sleep(0.02)
    return children(process)


@pytest.mark.slow
def test_a_photograph_that_one_of_two_finds_damaged_ends_both(tmp_path, photograph_tree):
    tree = photograph_tree(tmp_path / "tree")
    file = sorted((tree / "train").rglob("*.JPEG"))[1]  # the second process's
    file.write_bytes(b"no photograph")
    photographs = ["--dataset", "folder", "--data", "tree", "--cache", "cache", "--workers", "0"]
    code, out, err = ended(start(tmp_path, *photographs))
    assert code == 2 and out == "" and err.startswith("softshare: error: ") and err.count("\n") == 1, err
    assert f"{file.relative_to(tmp_path)}: cannot be decoded (unknown format); mend" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_train_one_run(tmp_path):
    code, out, err = ended(start(tmp_path, "--epochs", "1"))
    assert code == 0 and out.count("test error") == 1 and err == ""
    assert len(list(csv.DictReader((tmp_path / "run/history.csv").open()))) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        pytest.param(["--device", "nope"], {}, "device: 'nope': unknown device", marks=pytest.mark.long),
        (["--seed", "x"], {}, "invalid int value: 'x'"),
        pytest.param(["--epochs", "1"], {"SOFTSHARE_LOADER": "none-such"}, "none-such", marks=pytest.mark.long),
        pytest.param(
            ["--epochs", "1", "--batch-size", "718"],
            {},
            "batch_size: 718: leaves a batch of 1 images to 2 processes",
            marks=pytest.mark.long,
        ),
    ],
)
def test_what_is_wrong_is_told_once(tmp_path, arguments, variables, said):
    code, out, err = ended(start(tmp_path, *arguments, **variables))
    assert code == 2 and out == "" and err.startswith("softshare: error: ") and err.count("\n") == 1, err
    assert said in err and not (tmp_path / "run/metrics.json").exists()


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_what_is_wrong_with_one_alone_is_told_once(tmp_path, rank):
    """Of one process a variable is another, as on a machine that is half set up."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import os\nif os.environ.get('RANK') == '{rank}':\n    os.environ['SOFTSHARE_LOADER'] = 'none-such'\n"
    )
    code, _, err = ended(start(tmp_path))
    assert code == 2 and err.startswith("softshare: error: ") and err.count("\n") == 1 and "none-such" in err, err


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_run_in_one_line(tmp_path, rank):
    process = start(tmp_path, "--epochs", "500")
    os.kill(until_it_trains(process, tmp_path)[rank], signal.SIGKILL)
    code, _, err = ended(process)
    assert (code, err) == (128 + signal.SIGKILL, f"softshare: process {rank + 1} of 2 was ended by SIGKILL\n")
    assert not (tmp_path / "run/metrics.json").exists()


@pytest.mark.long
def test_a_stopped_run_leaves_no_process_behind(tmp_path):
    process = start(tmp_path, "--epochs", "500")
    pids = until_it_trains(process, tmp_path)
    process.send_signal(signal.SIGTERM)
    code, _, err = ended(process)
    line = "softshare: stopped by SIGTERM; the same command goes on from the last checkpoint\n"
    assert (code, err) == (128 + signal.SIGTERM, line) and len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert (tmp_path / "run/checkpoint.pt").exists()


@pytest.mark.long
def test_under_torchrun_only_the_first_prints_what_is_wrong_with_all(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "softshare"]
    code, _, err = ended(start(tmp_path, command=[*command, *TRAIN, "--device", "nope", "--out", "run"]))
    lines = [line for line in err.splitlines() if line.startswith("softshare: error: device: 'nope'")]
    assert code != 0 and len(lines) == 1


@pytest.mark.parametrize("arguments", [[], ["0", "train"], ["two", "train"], ["1\u0662", "train"], ["2"]])
def test_how_many_must_be_a_number(tmp_path, arguments):
    code, _, err = ended(start(tmp_path, command=[*LAUNCH, *arguments]))
    assert code == 2 and "COUNT" in err and err.count("\n") == 1
