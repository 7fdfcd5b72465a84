"""What is published: all that a reader needs, nothing heavy, nothing from uncommitted changes."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from softshare.cli import main
from softshare.errors import UserError
from softshare.evidence.publishing.everything import build_everything
from softshare.evidence.publishing.publish import OF_SCALE, publish
from softshare.evidence.publishing.rebuild import rebuild
from softshare.evidence.report import write_report
from softshare.plan import load_plan
from softshare.recipes import load_recipe


@pytest.fixture
def plan():
    return load_plan("quick", ["table1"])


@pytest.fixture
def results(tmp_path, plan, make_run, make_similarity):
    for index, run in enumerate(plan.runs[:4]):
        folder = make_run(run, 3.0 + index, scale="quick")
        make_similarity(folder)
        (folder / "model.safetensors").write_bytes(b"heavy")
        (folder / "folding").mkdir()
        (folder / "folding" / "folding.csv").write_text("threshold\n")
        (folder / "folding" / "folded.safetensors").write_bytes(b"heavy")
    write_report(plan, tmp_path, tmp_path / "report.md")
    return tmp_path


def test_all_but_weights_is_copied_and_links_hold(plan, results, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    files = publish(plan, results, out)
    there = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert there == sorted(files) and not [path for path in there if path.suffix == ".safetensors"]
    assert sum(path.name == "manifest.json" for path in there) == 4
    links = [link for link in re.findall(r"\]\(([^)]+)\)", (out / "report.md").read_text()) if "manifest" in link]
    assert len(links) == 4 and all((out / link).is_file() for link in links)
    assert not list(out.parent.glob(".*"))


def test_what_was_published_is_replaced_whole(plan, results, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    out.mkdir()
    (out / "stale.md").write_text("old")
    (out / "published.json").write_text("{}")
    publish(plan, results, out)
    assert not (out / "stale.md").exists() and (out / "report.html").exists()


def test_uncommitted_changes_are_refused_unless_told(plan, results, tmp_path_factory, make_run):
    out = tmp_path_factory.mktemp("published") / "quick"
    make_run(plan.runs[1], 4.0, scale="quick", manifest={"dirty": True})
    with pytest.raises(UserError, match=r"manifest.json: dirty: True: was made with uncommitted changes"):
        publish(plan, results, out)
    assert not out.exists()
    assert publish(plan, results, out, allow_dirty=True)


def test_a_folding_with_uncommitted_changes_is_refused_unless_told(plan, results, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    file = results / "runs" / plan.runs[1].folder / "folding" / "folding.json"
    for text, told in (('{"dirty": true}', "True"), ('{"commit": null, "dirty": null}', "None"), ("[]", "None")):
        file.write_text(text)
        with pytest.raises(UserError) as refused:
            publish(plan, results, out)
        assert str(refused.value) == (
            f"{file}: dirty: {told}: was made with uncommitted changes, or that is not recorded; "
            "make it again from a clean commit, or say --allow-dirty"
        )
    assert not out.exists() and publish(plan, results, out, allow_dirty=True)
    file.write_text('{"dirty": false}')
    assert file.relative_to(results) in publish(plan, results, out)


@pytest.mark.parametrize(
    ("told", "value"), [('{"dirty": true}', "True"), ('{"device": "cpu"}', "None"), (None, "None")]
)
def test_a_bench_with_uncommitted_changes_is_refused_unless_told(told, value, plan, results, tmp_path_factory):
    results = shutil.copytree(results, tmp_path_factory.mktemp("all") / "quick")
    write_bench(results.parent / "bench", told)
    out = tmp_path_factory.mktemp("published") / "quick"
    with pytest.raises(UserError) as refused:
        publish(plan, results, out)
    assert str(refused.value) == (
        f"{results.parent / 'bench' / 'manifest.json'}: dirty: {value}: was made with uncommitted changes, or that is "
        "not recorded; make it again from a clean commit, or say --allow-dirty"
    )
    assert not out.exists() and Path("bench/bench.csv") in publish(plan, results, out, allow_dirty=True)
    write_bench(results.parent / "bench")
    assert Path("bench/manifest.json") in publish(plan, results, out)


def write_bench(folder, manifest='{"device": "cpu", "dirty": false}'):
    folder.mkdir(exist_ok=True)
    (folder / "bench.csv").write_text("name,value,unit,bound,holds\nstep.swrn-28-10.batch16,1.01,ratio,,\n")
    if manifest is not None:
        (folder / "manifest.json").write_text(manifest)


def test_nothing_to_publish_is_said(plan, tmp_path, tmp_path_factory, results, capsys):
    out = tmp_path_factory.mktemp("elsewhere") / "out"
    with pytest.raises(UserError, match="no complete run"):
        publish(plan, tmp_path / "absent", out)
    with (results / "runs" / plan.runs[0].folder / "similarity.npz").open("ab") as file:
        file.truncate(5_000_001)
    with pytest.raises(UserError, match="too large"):
        publish(plan, results, out)
    assert not list(out.parent.iterdir())
    command = ["publish", "--scale", "quick", "--results", str(tmp_path / "none"), "--out", str(out)]
    assert main(command) == 2 and "no complete run" in capsys.readouterr().err
    assert not out.exists()


@pytest.fixture
def published(tmp_path_factory, make_run, make_similarity, tmp_path):
    plan = load_plan("quick", ["table1", "figure8", "figure5"])
    results = tmp_path / "quick"
    for index, run in enumerate(plan.experiment("table1").runs[:4]):
        make_run(run, 3.0 + index, scale="quick")
    (tmp_path / "runs").rename(tmp_path / "moved")
    results.mkdir()
    (tmp_path / "moved").rename(results / "runs")
    write_bench(tmp_path / "bench")
    build_everything(plan, results)
    out = tmp_path_factory.mktemp("published") / "quick"
    publish(plan, results, out)
    return out


def test_what_was_published_comes_out_byte_for_byte(published, tmp_path, capsys):
    assert main(["report", "--from", str(published), "--out", str(tmp_path / "again")]) == 0
    told = capsys.readouterr().out
    count = sum(1 for pattern in OF_SCALE for _ in published.glob(pattern))
    assert told == f"{count} files come out byte for byte\n" and count > 12
    assert (tmp_path / "again" / "report.html").read_bytes() == (published / "report.html").read_bytes()
    assert (published / "bench" / "bench.csv").is_file()


def test_a_run_that_diverged_is_published_as_one(tmp_path, plan, results, tmp_path_factory, capsys):
    run = plan.runs[4]
    setting = run.setting
    key = {"dataset": setting.dataset, "model": setting.model, "recipe": setting.recipe, "seed": run.seed}
    folder = results / "runs" / run.folder
    folder.mkdir(parents=True)
    settings = key | load_recipe(setting.recipe, plan.scale)
    told = {"epoch": 2, "reason": "the loss is no number", "dirty": True, "settings": settings}
    (folder / "diverged.json").write_text(json.dumps(told))
    (folder / "checkpoint.pt").write_bytes(b"heavy")
    out = tmp_path_factory.mktemp("elsewhere") / "quick"
    with pytest.raises(UserError, match=r"diverged\.json: dirty: True: was made with uncommitted changes"):
        publish(plan, results, out)
    (folder / "diverged.json").write_text(json.dumps(told | {"dirty": False}))
    publish(plan, results, out)
    assert [file.name for file in (out / "runs" / run.folder).iterdir()] == ["diverged.json"]
    assert f"`{run}`: diverged in epoch 2: the loss is no number" in (out / "report.md").read_text()
    assert main(["report", "--from", str(out)]) == 0 and "byte for byte" in capsys.readouterr().out


@pytest.fixture
def foretold(plan, results, make_forecast, tmp_path_factory):
    """Published with a forecast."""
    make_forecast(plan, results)
    out = tmp_path_factory.mktemp("published") / "quick"
    assert Path("forecast.json") in publish(plan, results, out)
    return out


def test_a_forecast_is_published_and_comes_out_byte_for_byte(foretold, results, tmp_path, capsys):
    assert (foretold / "forecast.json").read_bytes() == (results / "forecast.json").read_bytes()
    assert "in all took/forecast = " in (foretold / "report.md").read_text()
    assert (foretold / re.search(r"\]\((forecast\.json)\)", (foretold / "report.md").read_text())[1]).is_file()
    assert main(["report", "--from", str(foretold), "--out", str(tmp_path / "again")]) == 0, capsys.readouterr()
    assert (tmp_path / "again/report.md").read_bytes() == (foretold / "report.md").read_bytes()


@pytest.mark.parametrize("change", ["other seconds", "gone", "damaged"])
def test_a_published_forecast_that_was_changed_is_seen(change, foretold, capsys):
    file = foretold / "forecast.json"
    told = file.read_text()
    if change == "gone":
        file.unlink()
    else:
        file.write_text(told.replace("800.0", "900.0") if change == "other seconds" else told[:-9])
    assert main(["report", "--from", str(foretold)]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "forecast.json: is not JSON" in err if change == "damaged" else "report.md: differs" in out


def test_a_damaged_forecast_is_not_published(plan, results, make_forecast, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    make_forecast(plan, results, device=None)
    with pytest.raises(
        UserError, match=r"forecast\.json: is no forecast \(device is no text: None\); delete it"
    ) as told:
        publish(plan, results, out)
    assert ".new" not in str(told.value) and not out.exists()


@pytest.mark.attack("links in what is published")
def test_a_forecast_that_is_a_link_is_not_published(plan, results, make_forecast, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    file = make_forecast(plan, results).rename(elsewhere / "forecast.json")
    (results / "forecast.json").symlink_to(file)
    with pytest.raises(UserError, match="is a link"):
        publish(plan, results, elsewhere / "quick")
    assert not (elsewhere / "quick").exists()


def test_what_was_changed_after_publishing_is_seen(published, capsys):
    table = published / "tables" / "table1.md"
    table.write_text(table.read_text().replace("3.", "2."))
    (published / "figures" / "figure8.svg").unlink()
    assert main(["report", "--from", str(published)]) == 2
    out, err = capsys.readouterr()
    assert "tables/table1.md: differs" in out and "figures/figure8.svg: missing" in out
    assert "table1.md: does not come out as it was published" in err


def test_a_changed_number_of_a_run_is_seen(published, capsys):
    metrics = next(published.rglob("metrics.json"))
    content = json.loads(metrics.read_text())
    content["test"]["error"] -= 0.01
    content["best"]["error"] -= 0.01
    metrics.write_text(json.dumps(content))
    assert main(["report", "--from", str(published)]) == 2
    assert "report.md: differs" in capsys.readouterr().out


def test_a_folder_that_was_not_published_is_refused(tmp_path, capsys):
    assert main(["report", "--from", str(tmp_path)]) == 2
    assert "published.json: no such file" in capsys.readouterr().err
    (tmp_path / "published.json").write_text('{"scale": "quick", "experiments": ["tabel1"], "runs": 1}')
    assert main(["report", "--from", str(tmp_path)]) == 2
    assert "did you mean 'table1'" in capsys.readouterr().err
    assert main(["report", "--out", "elsewhere"]) == 2
    assert "works only with --from" in capsys.readouterr().err


@pytest.mark.attack("outputs where a link, a pipe, a socket or a folder stands")
@pytest.mark.parametrize("place", [os.mkfifo, lambda path: path.symlink_to(path.parent), lambda path: path.touch()])
def test_what_is_no_folder_is_not_replaced(place, plan, results, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    place(out)
    before = out.lstat()
    with pytest.raises(UserError, match="quick: is no folder, and is not replaced; name another"):
        publish(plan, results, out)
    assert out.lstat() == before and [path.name for path in out.parent.iterdir()] == ["quick"]


@pytest.mark.attack("several processes that publish into one folder")
def test_one_publishes_and_the_others_are_refused(plan, results, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    files = publish(plan, results, out)
    told = ["softshare", "publish", "--scale", "quick", "--experiments", "table1", "--allow-dirty"]
    command = [sys.executable, "-m", *told, "--results", results.parent, "--out", out.parent]
    (results.parent / "quick").symlink_to(results)
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in started]
    assert 0 in [status for _, status in ended], ended
    for said, status in ended:
        busy = status == 2 and said.count("\n") == 1 and "quick: process:" in said and "is being published" in said
        assert status == 0 or busy, said
    there = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert there == sorted(files) and [path.name for path in out.parent.iterdir()] == ["quick"]


@pytest.mark.parametrize("place", ["results", "above", "below"])
def test_the_results_are_not_published_over_themselves(place, plan, results):
    out = {"results": results, "above": results.parent, "below": results / "kept"}[place]
    before = sorted(results.rglob("*"))
    with pytest.raises(UserError, match="is, holds or lies in the results themselves"):
        publish(plan, results, out)
    assert sorted(results.rglob("*")) == before


def test_of_the_bench_its_pages_alone_are_kept(plan, results, tmp_path_factory):
    bench = tmp_path_factory.mktemp("all") / "bench"
    results = shutil.copytree(results, bench.parent / "quick")
    write_bench(bench)
    for name in (".bench.csv.77.tmp", "id_rsa"):
        (bench / name).write_text("name,value,unit,bound,holds\n")
    with (bench / "profile-wrn-28-10-batch16.json").open("wb") as file:
        file.truncate(6_000_000)
    out = tmp_path_factory.mktemp("published") / "quick"
    publish(plan, results, out)
    assert sorted(path.name for path in (out / "bench").iterdir()) == ["bench.csv", "manifest.json"]


@pytest.mark.attack("files that are, or say they are, far too large")
def test_a_huge_file_in_what_was_published_is_not_copied(plan, results, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    publish(plan, results, out)
    with (out / "runs" / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="huge: is too large to publish"):
        rebuild(out)


def test_what_a_kill_left_half_deleted_is_deleted(plan, results, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    for name in (".quick.old", ".quick.new"):
        (out.with_name(name) / "runs").mkdir(parents=True)
    publish(plan, results, out)
    publish(plan, results, out)
    assert [path.name for path in out.parent.iterdir()] == ["quick"]


@pytest.mark.attack("links in what is published")
@pytest.mark.parametrize("place", ["file", "folder"])
def test_links_in_a_run_are_not_followed(place, plan, results, tmp_path_factory):
    run, elsewhere = results / "runs" / plan.runs[0].folder, tmp_path_factory.mktemp("elsewhere")
    if place == "file":
        (elsewhere / "secret").write_text("mine")
        (run / "folding" / "folding.json").symlink_to(elsewhere / "secret")
    else:
        run.rename(elsewhere / "run")
        run.symlink_to(elsewhere / "run")
    with pytest.raises(UserError, match="is a link, or behind one that leads out of the results"):
        publish(plan, results, elsewhere / "quick")
    assert not (elsewhere / "quick").exists()


def test_pages_of_the_results_that_tell_of_a_run_in_training_are_built_anew(plan, results, tmp_path_factory, capsys):
    out = tmp_path_factory.mktemp("published") / "quick"
    training = results / "runs" / plan.runs[5].folder
    training.mkdir(parents=True)
    (training / "checkpoint.pt").touch()
    write_report(plan, results, results / "report.md")
    assert "in training" in (results / "report.md").read_text()
    publish(plan, results, out)
    assert "in training" not in (out / "report.md").read_text()
    assert main(["report", "--from", str(out)]) == 0, capsys.readouterr()


@pytest.mark.parametrize("name", ["quick", "quick.before"])
def test_what_nobody_published_is_not_replaced(name, plan, results, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    thesis = out.with_name(name) / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    with pytest.raises(UserError, match=rf"{name}: holds no published.json"):
        publish(plan, results, out)
    assert thesis.read_text() == "years of work" and [path.name for path in out.parent.iterdir()] == [name]


def test_evidence_is_not_built_anew_over_itself(plan, results, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    publish(plan, results, out)
    (out / "claims.md").write_text("forged")
    with pytest.raises(UserError, match="is, holds or lies in what was published"):
        rebuild(out, out)
    assert (out / "claims.md").read_text() == "forged"


def test_links_in_what_was_published_are_not_followed(plan, results, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    publish(plan, results, out)
    (out / "runs/a").symlink_to(".")
    with pytest.raises(UserError, match=r"a: is not a regular file or folder"):
        rebuild(out)


def test_a_link_where_it_is_built_anew_is_not_replaced(plan, results, tmp_path_factory):
    out = tmp_path_factory.mktemp("published") / "quick"
    publish(plan, results, out)
    there = tmp_path_factory.mktemp("anew")
    (there / "mine").write_text("mine")
    (there / "report.md").symlink_to("mine")
    with pytest.raises(UserError, match=r"report\.md: is not a regular file"):
        rebuild(out, there)
    assert (there / "mine").read_text() == "mine" and (there / "report.md").is_symlink()
