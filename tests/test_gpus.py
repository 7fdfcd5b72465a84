"""Jobs of one machine and its GPUs: no two share one, a killed one frees its own, and what cannot be is one line."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from softshare.gpus import power_limit, visible_gpus

UUIDS = [f"GPU-{index}0000000-1111-2222-3333-444444444444" for index in range(4)]
ROOT = Path(__file__).parent.parent
# Tells when it began and ended, on a clock that all processes share, and what it sees.
JOB = (
    "import os, sys, time; begun = time.monotonic(); time.sleep(float(sys.argv[1]));"
    "print(os.environ['CUDA_VISIBLE_DEVICES'], begun, time.monotonic())"
)


LIMITS = {0: "250.00", 1: "[N/A]", 2: "", 3: "nan"}


@pytest.fixture
def powered(machine):
    """The same machine, whose driver also tells how much each GPU may draw."""
    told = "".join(f'*"--id={UUIDS[index]}"*) echo "{watts}";;\n' for index, watts in LIMITS.items())
    uuids = "".join(f"echo {uuid}\n" for uuid in UUIDS)
    script = f'case "$*" in\n*power.limit*nounits*) case "$*" in\n{told}*) exit 6;; esac;;\n*) {uuids};;\nesac\n'
    (machine / "bin/nvidia-smi").write_text(f"#!/bin/sh\n{script}")


@pytest.mark.parametrize(
    ("index", "visible", "watts"),
    [
        (0, None, 250.0),
        (1, None, None),
        (2, None, None),
        (3, None, None),
        (9, None, None),
        (1, f"{UUIDS[3]},{UUIDS[0]}", 250.0),
        (0, "MIG-10000000-1111-2222-3333-444444444444", None),
        (0, "", None),
    ],
)
def test_what_a_gpu_may_draw_is_what_the_driver_tells(powered, index, visible, watts):
    assert power_limit(index, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == watts


def test_without_a_driver_nobody_tells(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power_limit(0, {"CUDA_VISIBLE_DEVICES": UUIDS[0]}) is None


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of four GPUs, with a temporary folder of its own."""
    (tmp_path / "bin").mkdir()
    driver = tmp_path / "bin/nvidia-smi"
    driver.write_text("#!/bin/sh\n" + "".join(f"echo {uuid}\n" for uuid in UUIDS))
    driver.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def start(*arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "softshare.gpus", *map(str, arguments)],
        env=os.environ | variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def job(count, seconds=0.3, **variables):
    return start(count, "--", sys.executable, "-c", JOB, seconds, **variables)


def told(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    seen, begun, ended = out.split()
    return set(seen.split(",")), float(begun), float(ended)


def test_jobs_at_one_time_never_share_a_gpu(machine):
    counts = [1, 3, 1, 2, 4, 1, 2, 1]
    done = [told(process) for process in [job(count) for count in counts]]
    assert [len(seen) for seen, *_ in done] == counts
    assert set().union(*(seen for seen, *_ in done)) == set(UUIDS)
    for (one, begun, ended), (other, began, end) in itertools.combinations(done, 2):
        assert not one & other or ended <= began or end <= begun


def test_a_killed_job_frees_its_gpu(machine):
    first = start(4, "--", sys.executable, "-uc", "print('there'); import time; time.sleep(600)")
    assert first.stdout.readline() == "there\n"
    waiting = job(2)
    assert waiting.stderr.readline() == "softshare: waits for 2 of 4 GPUs, which other jobs hold\n"
    assert waiting.poll() is None
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    assert len(told(waiting)[0]) == 2


def test_one_that_wants_all_gets_its_turn_before_those_that_come_later(machine):
    holding = start(4, "--", sys.executable, "-uc", "print('there'); import time; time.sleep(600)")
    assert holding.stdout.readline() == "there\n"
    whole = job(4, 0.0)
    assert "waits" in whole.stderr.readline()
    crowd = [job(1, 0.2) for _ in range(8)]
    assert all("waits" in process.stderr.readline() for process in crowd)
    holding.kill()
    holding.communicate(timeout=60)
    _, begun, _ = told(whole)
    assert all(began > begun for _, began, _ in map(told, crowd))


def test_takers_of_several_from_different_gpus_do_not_wait_for_each_other(machine):
    sets = [(0, 1), (1, 2), (2, 3), (3, 0)] * 2
    jobs = [job(2, 0.1, CUDA_VISIBLE_DEVICES=f"{one},{other}") for one, other in sets]
    for chosen, process in zip(sets, jobs, strict=True):
        assert told(process)[0] == {str(index) for index in chosen}


@pytest.mark.parametrize(
    ("variable", "seen"),
    [
        ("2", {"2"}),
        ("3,1", {"3", "1"}),
        (UUIDS[1], {UUIDS[1]}),
        ("GPU-2,GPU-3", {"GPU-2", "GPU-3"}),
        ("MIG-00000000-1111-2222-3333-444444444444", {"MIG-00000000-1111-2222-3333-444444444444"}),
        ("1,-1,2", {"1"}),
    ],
)
def test_a_job_keeps_to_the_gpus_it_was_given(machine, variable, seen):
    assert told(job(len(seen), 0.0, CUDA_VISIBLE_DEVICES=variable))[0] == seen
    result = job(len(seen) + 1, 0.0, CUDA_VISIBLE_DEVICES=variable)
    _, err = result.communicate(timeout=60)
    assert result.returncode == 2 and f"there are only {len(seen)} GPUs here" in err


@pytest.mark.parametrize(
    ("visible", "order", "handed_on", "warned"),
    [
        ("2", None, "PCI_BUS_ID", False),
        (None, None, "PCI_BUS_ID", False),
        ("2", "PCI_BUS_ID", "PCI_BUS_ID", False),
        ("2", "FASTEST_FIRST", "FASTEST_FIRST", True),
        (UUIDS[2], "FASTEST_FIRST", "FASTEST_FIRST", False),
    ],
)
def test_gpus_are_counted_as_the_driver_does(machine, monkeypatch, visible, order, handed_on, warned):
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    given = {"CUDA_VISIBLE_DEVICES": visible, "CUDA_DEVICE_ORDER": order}
    code = "import os; print(os.environ['CUDA_DEVICE_ORDER'])"
    process = start(1, "--", sys.executable, "-c", code, **{name: value for name, value in given.items() if value})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, handed_on + "\n")
    assert err.count("\n") == warned and ("CUDA_DEVICE_ORDER is FASTEST_FIRST" in err) is warned


def test_one_gpu_has_one_lock_however_it_is_named(machine):
    names = [visible_gpus({"CUDA_VISIBLE_DEVICES": each})[0].name for each in ("1", UUIDS[1], UUIDS[1][:8])]
    assert names == [UUIDS[1]] * 3 and visible_gpus({})[1].name == UUIDS[1]


def test_without_a_driver_s_command_the_entries_themselves_are_told_apart(machine, path_without, monkeypatch):
    monkeypatch.setenv("PATH", path_without("nvidia-smi"))
    assert told(job(2, 0.0, CUDA_VISIBLE_DEVICES="0,3"))[0] == {"0", "3"}


def test_only_one_of_a_number_is_taken(machine):
    command = ["1", "--only", "2", "--", sys.executable, "-c", JOB, "0.2"]
    done = [told(process) for process in (start(*command), start(*command))]
    assert [seen for seen, *_ in done] == [{UUIDS[2]}] * 2
    (_, begun, ended), (_, began, end) = done
    assert ended <= began or end <= begun


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["5", "--", "true"], {}, "GPUs: 5: there are only 4 GPUs here"),
        (["1", "--", "true"], {"CUDA_VISIBLE_DEVICES": ""}, "GPUs: 1: there are only 0 GPUs here"),
        (["1", "--", "true"], {"CUDA_VISIBLE_DEVICES": "-1"}, "GPUs: 1: there are only 0 GPUs here"),
        (["1", "--only", "4", "--", "true"], {}, "--only: 4: there are only 4 GPUs here"),
        (["0", "--", "true"], {}, "GPUs: '0': needs a number of GPUs from 1, and a command after --"),
        (["1\u0662", "--", "true"], {}, "needs a number of GPUs from 1, and a command after --"),
        (["1", "true"], {}, "GPUs: '1 true': needs a number of GPUs from 1, and a command after --"),
        ([], {}, "GPUs: '': needs a number of GPUs from 1, and a command after --"),
        (["1", "--", "no-such-command"], {}, "command: 'no-such-command': cannot be started"),
    ],
)
def test_what_cannot_be_is_one_line(machine, arguments, variables, said):
    process = start(*arguments, **variables)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and err.startswith("softshare: error: ") and err.count("\n") == 1
    assert said in err, err


def test_a_folder_of_locks_that_is_none_is_one_line(machine):
    place = machine / "tmp" / f"softshare-gpus-{os.getuid()}"
    place.symlink_to(machine)
    process = job(1)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and err.count("\n") == 1 and f"{place}: is no folder of this user's own" in err


def test_a_driver_that_does_not_answer_is_one_line(machine):
    (machine / "bin/nvidia-smi").write_text("#!/bin/sh\necho NVIDIA-SMI has failed\nexit 9\n")
    process = job(1)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and err.count("\n") == 1
    assert "nvidia-smi: does not answer (NVIDIA-SMI has failed)" in err


def test_no_torch_is_loaded(machine):
    command = [sys.executable, "-X", "importtime", "-m", "softshare.gpus", "1", "--", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "softshare.errors" in done.stderr and "torch" not in done.stderr
