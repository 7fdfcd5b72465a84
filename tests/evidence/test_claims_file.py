"""The paper's claims as a file: what it holds, what bad input gets, and what is written."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from softshare.cli import main
from softshare.errors import UserError
from softshare.evidence.claims import Claim, judge_claims, read_claims, write_claims
from softshare.evidence.claims.judge import VERDICTS
from softshare.evidence.claims.parameters import count_parameters
from softshare.evidence.statistics import holm
from softshare.evidence.verdict import FEWEST_SEEDS
from softshare.files import project_root
from softshare.plan import Plan, load_plan
from softshare.scales import Run

CLAIMS = read_claims().claims
# Claims that no run answers.
WITHOUT_RUNS = {"parameters", "parameter-ratio", "similarity-start", "cost", "waiting"}


def test_every_part_of_the_paper_has_claims() -> None:
    assert len(CLAIMS) >= 28 and len({claim.words for claim in CLAIMS}) == len(CLAIMS)
    sections = " ".join(claim.section for claim in CLAIMS)
    for part in ("Abstract", "Section 3", "4.1", "4.2", "4.3", "4.4", "Appendix A", "Appendix B"):
        assert part in sections
    kinds = {claim.kind for claim in CLAIMS}
    schema = yaml.safe_load((project_root() / "workflow" / "schemas" / "claims.schema.yaml").read_text())
    assert kinds == set(schema["$defs"]["test"]["properties"]["kind"]["enum"])


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_the_paper_s_runs_of_each_claim_are_planned(claim: Claim) -> None:
    plan = load_plan("paper")
    planned = set(plan.runs)
    assert bool(claim.settings) == (claim.kind not in WITHOUT_RUNS)
    for setting in claim.settings:
        ours = plan.scale.stand_in(setting)
        assert ours == setting
        seeds = sum(Run(setting, seed) in planned for seed in plan.scale.seeds)
        assert seeds >= FEWEST_SEEDS or claim.unplanned, f"{setting}: {seeds} runs are planned"


@pytest.mark.parametrize("scale", ["quick", "compact", "paper"])
def test_every_claim_has_a_verdict_at_every_scale_with_nothing_run(scale: str, tmp_path: Path) -> None:
    judged = judge_claims(load_plan(scale), tmp_path)
    assert len(judged.judged) == len(CLAIMS) and judged.tested == 0
    for each in judged.judged:
        if each.claim.kind in {"parameters", "parameter-ratio", "similarity-start"}:
            assert each.finding.verdict in ("reproduced", "close", "not reproduced")
        else:
            assert each.finding.verdict in ("not run", "not comparable") and each.finding.sentence


def test_the_paper_s_counts_and_the_start_need_no_run(tmp_path: Path) -> None:
    found = {each.claim.id: each.finding.verdict for each in judge_claims(load_plan("quick"), tmp_path).judged}
    for table in (1, 2, 3, 4):  # Table 3's 68.88 million are rounded to 69, the others' are cut off
        assert found[f"parameters-of-table-{table}"] == "reproduced"
    assert found["a-third-of-the-parameters"] == found["fewer-parameters-than-resnext"] == "reproduced"
    # Appendix B's remark holds for k = L alone.
    assert found["start-is-identity-one-template-a-layer"] == "reproduced"
    assert found["start-is-identity-fewer-templates"] == "not reproduced"


@pytest.fixture
def everything(make_run: Callable[..., Path], tmp_path: Path) -> tuple[Plan, Path]:
    """Every planned run on images of the compact scale, with errors that differ a little."""
    plan = load_plan("compact")
    random = np.random.default_rng(0)
    for run in (run for run in plan.runs if run.setting.dataset == "cifar10"):
        parameters = count_parameters(run.setting.model, "cifar10")
        make_run(run, round(random.normal(8, 0.3), 2), "compact", metrics={"parameters": parameters})
    return plan, tmp_path


def test_what_is_written_agrees(everything: tuple[Plan, Path]) -> None:
    plan, results = everything
    judged = write_claims(plan, results, results / "out")
    written = json.loads((results / "out" / "claims.json").read_text())
    assert len(written["claims"]) == len(CLAIMS) == sum(written["counts"].values()) + written["exploratory"]
    assert written["exploratory"] == sum("compact" in claim.exploratory_at for claim in CLAIMS) > 0
    assert list(written["counts"]) == [str(verdict) for verdict in VERDICTS]
    with (results / "out" / "claims.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    text = (results / "out" / "claims.md").read_text()
    for claim, row, plain in zip(CLAIMS, rows, written["claims"], strict=True):
        assert row["id"] == plain["id"] == claim.id and row["verdict"] == plain["verdict"]
        assert (row["p"] == "") == (plain["p"] is None)
        assert f"| {claim.id} " in text and plain["sentence"]
        assert plain["asked"] == claim.test and plain["at"]
    for key in ("p", "p_contrary"):
        told = [each for each in written["claims"] if each[key] is not None and not each["exploratory"]]
        assert [each[f"{key}_holm"] for each in told] == pytest.approx(holm([each[key] for each in told]))
    with_p = [each for each in written["claims"] if each["p"] is not None and not each["exploratory"]]
    assert len(with_p) == written["tested"] == judged.tested >= 5
    assert f"{judged.tested} claims were tested with a p at a level of 0.05" in text
    assert "would still pass by chance" in written["on_multiple_tests"] and "scale compact" in text
    assert all(change in text for change in written["changes"])
    values = [each for each in written["claims"] if each["kind"] == "value" and each["n"]]
    assert all(each["verdict"] == "not comparable" for each in values)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1


def test_the_same_folders_give_the_same_bytes(everything: tuple[Plan, Path]) -> None:
    plan, results = everything
    texts = []
    for out in ("one", "two"):
        write_claims(plan, results, results / out)
        texts.append([(results / out / f"claims.{ending}").read_bytes() for ending in ("json", "md", "csv")])
    assert texts[0] == texts[1] and str(results).encode() not in b"".join(texts[0])


def test_the_command_prints_a_verdict_for_every_claim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--scale", "paper", "--results", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert all(claim.id in printed for claim in CLAIMS) and f"{len(CLAIMS)} claims: " in printed
    assert {file.name for file in (tmp_path / "paper").iterdir()} == {
        f"claims.{ending}" for ending in ("json", "md", "csv", "html")
    }


GOOD = {"id": "it", "section": "4.1", "words": "so it is"}
SWRN, WRN = "cifar10/swrn-28-10/cifar", "cifar10/wrn-28-10/cifar"
DIRECTION = {"kind": "direction", "lower": SWRN, "higher": WRN}
FOLDING = {"kind": "folding", "setting": SWRN, "threshold": 0.8, "increase": 1}
VALUE = {"kind": "value", "setting": SWRN, "table": "table1", "row": "SWRN 28-10"}


@pytest.mark.attack("bad input: scales, experiments, recipes, claims, run folders, data")
@pytest.mark.parametrize(
    ("test", "said"),
    [
        (
            {**DIRECTION, "lowr": SWRN},
            "claims.0.test.lowr: 'cifar10/swrn-28-10/cifar': unknown key; did you mean 'lower'?",
        ),
        ({"kind": "directoin"}, "claims.0.test.kind: 'directoin': unknown value; did you mean 'direction'?"),
        ({"kind": "direction", "lower": SWRN}, "claims.0.test: the key 'higher' is missing"),
        ({**DIRECTION, "lower": 3}, "claims.0.test.lower: 3 is not of type 'string'; expected: dataset/model/recipe"),
        ({**DIRECTION, "lower": "swrn-28-10"}, "claims.0.test.lower"),
        ({**DIRECTION, "lower": "cifar11/swrn-28-10/cifar"}, "did you mean 'cifar10'?"),
        ({**DIRECTION, "lower": "cifar10/swrn-27-10/cifar"}, "the depth must be 6n + 4"),
        ({**DIRECTION, "lower": "cifar10/swrm-28-10/cifar"}, "unknown model"),
        ({**DIRECTION, "lower": "cifar10/swrn-28-10/cifer"}, "unknown recipe; did you mean 'cifar'?"),
        ({**VALUE, "table": "tabel1"}, "claims.0.test.table: 'tabel1': unknown table; did you mean 'table1'?"),
        ({**VALUE, "row": "SWRN 28-11"}, "claims.0.test.row: 'SWRN 28-11': unknown row; did you mean"),
        ({**VALUE, "table": "appendix-b", "row": "identity"}, "has no number on cifar10 in appendix-b"),
        (
            {"kind": "alike", "one": SWRN, "other": WRN, "margin_of": "appendix-b"},
            "claims.0.test.margin_of: 'appendix-b': gives no margin on cifar10",
        ),
        ({"kind": "cost", "rows": ["step.swrn-28-9.batch128"], "at_most": 1.1}, "unknown bench; did you mean"),
        ({"kind": "cost", "rows": [], "at_most": 1.1}, "claims.0.test.rows"),
        ({"kind": "parameters", "counts": {"cifar10/wrn-28-10": 36}}, "millions as printed"),
        ({"kind": "parameters", "counts": {"wrn-28-10": "36"}}, "claims.0.test.counts: 'wrn-28-10': unknown dataset"),
        ({"kind": "similarity-near-one", "setting": SWRN, "at_least": 1.5}, "claims.0.test.at_least"),
        ({"kind": "lowest", "setting": SWRN, "others": [WRN]}, "claims.0.test.others"),
        (
            {"kind": "lowest", "setting": SWRN, "others": [WRN, "cifar10/swrm-1/cifar"]},
            "claims.0.test.others: model: 'swrm-1'",
        ),
        ({"kind": "frontier", "shared": [SWRN], "plain": [WRN]}, "claims.0.test.plain"),
        (
            {"kind": "frontier", "shared": [SWRN], "plain": [WRN, "cifar10/wrm-28-4/cifar"]},
            "claims.0.test.plain: model: 'wrm-28-4'",
        ),
        ({**DIRECTION, "of": "top1"}, "claims.0.test.of: 'top1': unknown value; known: error, top5_error, train_loss"),
        ({"kind": "folding", "setting": SWRN, "threshold": 0.8, "increase": 1}, "the key 'layers' is missing"),
        (
            {
                "kind": "folding",
                "setting": SWRN,
                "threshold": 0.8,
                "increase": 1,
                "each_stage_to": 1,
                "stage": "stage1",
            },
            "claims.0.test.stage",
        ),
        ({"kind": "waiting"}, "the key 'reason' is missing"),
        ("direction", "claims.0.test"),
    ],
)
def test_a_bad_test_is_one_clear_line(test: Any, said: str, judge_claim: Callable[..., Any]) -> None:
    with pytest.raises(UserError) as error:
        judge_claim(test)
    line = str(error.value)
    assert said in line and "claims.yaml" in line and "\n" not in line, line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("claims: [", "is not YAML"),
        ("{source: x, alpha: 0.05, claims: []}", "claims"),
        ("{source: x, alpha: 5, claims: [1]}", "claims.yaml"),
        ("{source: x, alpha: five, claims: [1]}", "claims.yaml"),
    ],
)
def test_a_bad_file_is_one_clear_line(content: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "paper"
    folder.mkdir(parents=True)
    (folder / "claims.yaml").write_text(content)
    with pytest.raises(UserError, match=said) as error:
        read_claims(tmp_path)
    assert "\n" not in str(error.value)


def test_an_id_stands_there_once(judge_claim: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"claims\.0\.sectoin.*did you mean 'section'"):
        judge_claim(DIRECTION, sectoin="4")
    with pytest.raises(UserError, match=r"claims\.0\.exploratory_at: 'compcat': unknown scale; did you mean 'compact'"):
        judge_claim(DIRECTION, exploratory_at=["compcat"])
    file = tmp_path / "root" / "reports" / "paper" / "claims.yaml"
    twice = [{**GOOD, "test": DIRECTION}, {**GOOD, "test": VALUE}]
    file.write_text(json.dumps({"source": "x", "alpha": 0.05, "claims": twice}))
    with pytest.raises(UserError, match=r"claims\.1\.id: 'it': appears twice"):
        read_claims(tmp_path / "root")
