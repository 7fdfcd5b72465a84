"""Values that would be commands, wherever configuration meets a shell: in the rules, in paths, in names of files."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_kills import content

from softshare.errors import UserError
from softshare.scales import names_in

ROOT = Path(__file__).parent.parent.parent
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
HOSTILE = [
    "$(touch it-ran)",
    "`touch it-ran`",
    "a; touch it-ran",
    "a' ; touch it-ran '",
    'a" && touch it-ran "',
    "a\ntouch it-ran",
]
HOSTILE += [
    "a | touch it-ran",
    "a > it-ran",
    "{it-ran}",
    "{wildcards.seed}",
    "-rf",
    "--out=/tmp/it-ran",
    "a b",
    "*",
    "é",
]


@pytest.mark.attack("values that would be commands of a shell")
@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_every_value_in_a_rule_s_command_is_quoted(file):
    text = file.read_text()
    commands = re.findall(r"^( *)shell:\n((?:\1    .*\n)+)", text + "\n", re.M)
    assert len(commands) == text.count("shell:\n")
    for _, command in commands:
        for value in re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", command):
            assert value.endswith(":q") or value == "threads", (file.name, value)


@pytest.mark.attack("values that would be commands of a shell")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_whose_name_would_be_a_command_is_refused(name, tmp_path):
    (tmp_path / f"{name.replace('/', '_')}.yaml").write_text("x: 1")
    with pytest.raises(UserError, match="is no name; rename it") as caught:
        names_in(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def project(tmp_path):
    """A copy of the project, in a folder of a hostile name, with a scale of one run that takes seconds."""
    # Braces Snakemake itself takes for a wildcard, in the path of an environment's file.
    folder = tmp_path / 'it\'s $(touch it-ran) `touch it-ran` "q"'
    folder.mkdir()
    for name in ("Snakefile", "config", "workflow", "reports", "envs", "profiles", "softshare"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    (folder / "config/scales/tiny.yaml").write_text(
        "description: A few epochs of a small network on digits.\n"
        "seeds: [0]\nthreads: 1\nminutes_per_run: 1\ndatasets: {cifar10: digits}\n"
        "models: {swrn-40-8-8: swrn-16-1-1}\ntraining: {epochs: 3}\n"
    )
    return folder


FIGURE = "results/tiny/figures/figure8.svg"


def snakemake(folder, *arguments, wait=True):
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    command += [FIGURE, "--config", "scale=tiny", "device=cpu", "experiments=['figure8']"]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    options = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment}
    # Whoever runs the tests in the background of a shell has them ignore Ctrl-C, and what they start would too.
    heeds = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    process = subprocess.Popen(command, start_new_session=True, preexec_fn=heeds, **options)
    if not wait:
        return process
    said, _ = process.communicate(timeout=540)
    return process.returncode, said


@pytest.mark.torture_alone
@pytest.mark.attack("values that would be commands of a shell")
@pytest.mark.parametrize("value", HOSTILE[:6])
def test_a_path_of_data_that_would_be_a_command(value, project):
    config = project / "config/config.yaml"
    config.write_text(
        re.sub(r"  cifar10: null", lambda _: f"  cifar10: {value!r}".replace("\\n", "\n\n    "), config.read_text())
    )
    status, said = snakemake(project, "-n")
    assert status == 0, said
    command = [sys.executable, "-m", "softshare", "data", "check", "cifar10", "--out", "facts.json"]
    environment = os.environ | {"PYTHONPATH": str(project), "SOFTSHARE_DATA_CIFAR10": f"absent/{value}.tar"}
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert not list(project.parent.rglob("it-ran"))


def kill_before_its_end(project, instant, number, group):
    """Starts Snakemake and ends it by a signal while its figure is not there; where that was late, again, sooner."""
    while instant > 1:
        shutil.rmtree(project / "results", ignore_errors=True)
        shutil.rmtree(project / ".snakemake", ignore_errors=True)
        process = snakemake(project, wait=False)
        time.sleep(instant)
        if at_work := process.poll() is None and not (project / FIGURE).exists():
            (os.killpg if group else os.kill)(process.pid, number)
        if process.wait(timeout=300) != 0:
            assert at_work, "Snakemake failed by itself"
            return
        instant *= 0.8
    raise AssertionError("no instant at which Snakemake was at work")


@pytest.mark.torture_alone
@pytest.mark.attack("SIGKILL, SIGTERM and SIGINT of snakemake, started again")
def test_snakemake_killed_and_started_again(project, tmp_path, tries):
    begun = time.monotonic()
    status, said = snakemake(project)
    seconds = time.monotonic() - begun
    assert status == 0, said
    assert not [path for path in tmp_path.rglob("it-ran*") if path.parent != tmp_path]
    results = project / "results"
    names = ("metrics.json", "model.safetensors", "similarity.npz")
    run_folder = results / "tiny/runs/digits/swrn-16-1-1/cifar/seed0"
    whole = {name: (run_folder / name).read_bytes() for name in names}
    figure = content(results / "tiny/figures")
    # Of snakemake alone, whose job may go on; of all its processes; as Ctrl-C does; and as a cluster or `kill` does.
    instants = [
        (0.45, signal.SIGKILL, False),
        (0.6, signal.SIGKILL, True),
        (0.75, signal.SIGKILL, False),
        (0.6, signal.SIGINT, True),
        (0.6, signal.SIGTERM, False),
        (0.7, signal.SIGTERM, True),
    ]
    for part, number, group in tries.each(instants):
        kill_before_its_end(project, part * seconds, number, group)
        snakemake(project, "--unlock")
        for _ in range(6):  # while the orphan trains, its folder is refused to others
            status, said = snakemake(project)
            if status == 0:
                break
            assert "another process" in "".join(log.read_text() for log in (results / "tiny/logs").rglob("*.log")), said
            time.sleep(5)
        assert status == 0, said
        assert {name: (run_folder / name).read_bytes() for name in names} == whole
        assert content(results / "tiny/figures") == figure
