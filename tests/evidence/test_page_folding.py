"""The page's own folding says what the library says."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch

import softshare
from softshare.files import project_root
from softshare.sharing.clusters import cluster_layers
from softshare.sharing.loops import find_loops

SCRIPT = project_root() / "reports" / "templates" / "folding.js"

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")


def in_page(expression, cases):
    program = (
        f"const Folding = require({json.dumps(str(SCRIPT))});"
        f"const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        f"console.log(JSON.stringify(cases.map((each) => {expression})));"
    )
    result = subprocess.run(
        ["node", "-e", program], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout)


def test_loops_are_the_same():
    generator = np.random.default_rng(0)
    cases = [[], [0], *([int(x) for x in generator.integers(0, 4, generator.integers(1, 13))] for _ in range(300))]
    cases += [list(range(60)), [0, 1] * 8, [1, 2, 3, 4, 3, 4, 1, 2, 3, 4]]
    answers = in_page(
        "((found) => [Folding.written(found.items), found.distinct, found.jumps])(Folding.loops(each))", cases
    )
    for case, (written, distinct, jumps) in zip(cases, answers, strict=True):
        loops = find_loops(case)
        assert written == str(loops) and distinct == list(loops.distinct)
        assert [(jump["source"], jump["target"], tuple(jump["steps"])) for jump in jumps] == [
            (jump.source, jump.target, jump.steps) for jump in loops.jumps
        ]


def test_similarities_and_clusters_are_the_same():
    generator = np.random.default_rng(1)
    cases = [
        {"rows": generator.normal(size=(generator.integers(2, 11), generator.integers(1, 9))).tolist(), "threshold": t}
        for t in (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97, 1.0)
        for _ in range(25)
    ]
    answers = in_page("((s) => [s, Folding.clusters(s, each.threshold)])(Folding.similarity(each.rows))", cases)
    for case, (matrix, clusters) in zip(cases, answers, strict=True):
        rows = np.array(case["rows"])
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        np.testing.assert_allclose(matrix, np.abs(unit @ unit.T).clip(0, 1), atol=1e-12)
        assert clusters == list(cluster_layers(matrix, case["threshold"]))


def test_parameters_are_the_same():
    for templates in (1, 2, 3, 6):
        for threshold in (0.0, 0.5, 0.9):
            torch.manual_seed(templates)
            model = softshare.create_model(f"swrn-28-1-{templates}")
            for bank in softshare.banks(model).values():
                torch.nn.init.normal_(bank.coefficients)
            groups = [
                {"layers": bank.num_layers, "templates": bank.num_templates, "size": int(np.prod(bank.weight_shape)),
                 "rows": bank.coefficients.tolist(), "threshold": threshold}
                for bank in softshare.banks(model).values()
            ]  # fmt: skip
            answers = in_page(
                "Folding.parameters(each, Folding.clusters(Folding.similarity(each.rows), each.threshold))", groups
            )
            before = sum(parameter.numel() for parameter in model.parameters())
            folded = sum(parameter.numel() for parameter in softshare.fold(model, threshold).parameters())
            assert before - folded == sum(answer["soft"] - answer["tied"] for answer in answers)
