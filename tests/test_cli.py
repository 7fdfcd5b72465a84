"""The command line from outside: what a person sees, above all where the input is at fault."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from softshare.cli import main

TINY = [
    "--model",
    "swrn-16-1-1",
    "--dataset",
    "digits",
    "--epochs",
    "3",
    "--quiet",
    "--threads",
    "1",
    "--device",
    "cpu",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert main(["train", *TINY, "--out", str(folder)]) == 0
    return folder


def in_process(*arguments):
    return [sys.executable, "-m", "softshare", *arguments]


def test_import_is_light():
    code = "import sys, softshare; assert not {'torch', 'numpy', 'pandas'} & set(sys.modules); softshare.share"
    subprocess.run([sys.executable, "-c", code + "; assert 'torch' in sys.modules"], check=True)


def test_every_promised_name_is_there():
    import softshare

    promised = {"TemplateBank", "share", "layer_similarity", "chance_similarity", "recurrence_penalty"}
    assert promised | {"parameter_groups", "create_model", "banks"} <= set(softshare.__all__)
    assert all(callable(getattr(softshare, name)) for name in softshare.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = softshare.nonsense


@pytest.mark.slow
def test_killed_in_its_second_epoch_it_ends_with_the_same_bits(run, tmp_path):
    command = in_process("train", *TINY, "--out", str(tmp_path / "killed"))
    for _ in range(3):  # killed anew at each try, until the checkpoint of the last epoch is there
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        history = tmp_path / "killed" / "history.csv"
        lines = len(history.read_text().splitlines()) if history.exists() else 1
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if history.exists() and len(history.read_text().splitlines()) > lines:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for name in ("model.safetensors", "metrics.json", "similarity.npz"):
        assert (tmp_path / "killed" / name).read_bytes() == (run / name).read_bytes(), name


def test_evaluate_finds_the_error_that_training_reported(run, capsys):
    assert main(["evaluate", str(run), "--device", "cpu"]) == 0
    error = json.loads((run / "metrics.json").read_text())["test"]["error"]
    assert f"test error {error:.2f} %" in capsys.readouterr().out


def test_similarity_prints_matrices_with_their_chance_level(run, capsys):
    assert main(["similarity", str(run)]) == 0
    out = capsys.readouterr().out
    assert out.count("chance level mean 1.00, maximum 1.00") == 3 and "stage3" in out and "effective weights" in out


def test_data_check_writes_what_it_found(tmp_path, capsys):
    assert main(["data", "check", "digits", "--out", str(tmp_path / "digits.json")]) == 0
    facts = json.loads((tmp_path / "digits.json").read_text())
    assert facts["train_images"] + facts["test_images"] == 1797 and len(facts["fingerprint"]) == 64


BAD = {
    "model": (["train", *TINY, "--model", "resnet"], ["model: 'resnet'", "swrn-L-w-k"]),
    "templates": (["train", *TINY, "--model", "swrn-16-1-3"], ["'swrn-16-1-3'", "k from 1 to 2"]),
    "dataset": (["train", *TINY, "--dataset", "cifar1"], ["'cifar1'", "did you mean 'cifar10'"]),
    "recipe": (["train", *TINY, "--recipe", "cifr"], ["recipe: 'cifr'", "did you mean 'cifar'"]),
    "recipe file": (["train", *TINY, "--recipe", "absent.yaml"], ["absent.yaml", "no such file"]),
    "scale": (["train", *TINY, "--scale", "big"], ["scale: 'big'", "quick"]),
    "epochs": (["train", *TINY, "--epochs", "0"], ["epochs: 0"]),
    "batch size": (["train", *TINY, "--batch-size", "-4"], ["batch_size: -4"]),
    "dropout": (["train", *TINY, "--dropout", "1.5"], ["dropout", "1.5"]),
    "coefficients": (["train", *TINY, "--coefficients", "zero"], ["coefficients: 'zero'", "orthogonal"]),
    "validation": (["train", *TINY, "--validation", "1"], ["validation", "below 1"]),
    "seed": (["train", *TINY, "--seed", "-1"], ["seed: -1"]),
    "device": (["train", *TINY, "--device", "cuda:99"], ["device: 'cuda:99'", "no such device"]),
    "odd device": (["train", *TINY, "--device", "abacus"], ["device: 'abacus'"]),
    "precision": (["train", *TINY, "--precision", "fp8"], ["precision: 'fp8'", "bf16"]),
    "threads": (["train", *TINY, "--threads", "0"], ["threads: 0"]),
    "data": (["train", *TINY, "--dataset", "cifar10", "--data", "/absent/cifar.tar.gz"], ["/absent/cifar.tar.gz"]),
    "identity": (
        ["train", *TINY, "--model", "swrn-22-1-2", "--coefficients", "identity"],
        ["coefficients: 'identity'", "one template per layer"],
    ),
    "no run": (["evaluate", "/absent"], ["/absent", "no such folder"]),
    "no similarity": (["similarity", "/absent"], ["/absent"]),
    "report scale": (["report", "--scale", "huge"], ["scale: 'huge'"]),
    "table": (["table", "table9", "--scale", "quick"], ["'table9'", "no experiment of kind 'table'"]),
    "results": (["report", "--results", "resluts"], ["results: 'resluts'", "no such folder"]),
    "results of a table": (["table", "table1", "--results", "resluts"], ["results: 'resluts'", "no such folder"]),
    "results of claims": (["claims", "--results", "resluts"], ["results: 'resluts'", "no such folder"]),
    "results of all": (["report", "--everything", "--results", "resluts"], ["results: 'resluts'", "no such folder"]),
    "experiment": (["report", "--experiments", "tabel1"], ["experiments: 'tabel1'", "did you mean 'table1'"]),
    "bench": (["bench", "--only", "nothing"], ["no such bench"]),
    "rounds": (["bench", "--rounds", "2"], ["rounds: 2", "at least 5"]),
}


@pytest.mark.attack("bad input: commands, names, recipes, runs, checkpoints, images")
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(case, tmp_path, capsys, monkeypatch):
    arguments, said = BAD[case]
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "train":
        arguments = [*arguments, "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("softshare: error: ")
    assert all(part in captured.err for part in said), captured.err
    assert list(tmp_path.rglob("*")) == []


def test_a_terminal_that_cannot_show_a_letter_is_no_reason_to_end(tmp_path):
    command = [sys.executable, "-m", "softshare", "claims", "--scale", "quick", "--results", str(tmp_path)]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stderr) == (0, "") and "\\u" in done.stdout


def test_weights_that_do_not_fit_are_refused(run, tmp_path, capsys):
    for name in ("metrics.json", "manifest.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    raw = (run / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(raw[: len(raw) // 2])
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "truncated" in capsys.readouterr().err
    (tmp_path / "model.safetensors").write_bytes(raw)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    (tmp_path / "metrics.json").write_text(json.dumps(metrics | {"model": "wrn-16-1"}))
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "another model" in capsys.readouterr().err


def test_other_settings_in_the_same_folder_are_refused(run, capsys):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert main(["train", *TINY, "--epochs", "4", "--out", str(run)]) == 2
    assert "epochs: was left by a run with 3, this one has 4" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_debug_shows_the_traceback():
    result = subprocess.run(
        in_process("--debug", "report", "--scale", "huge"), capture_output=True, text=True, env=os.environ
    )
    assert result.returncode == 1 and "Traceback" in result.stderr
