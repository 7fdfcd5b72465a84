"""Every table compiles with pdflatex as it is, with nothing but booktabs."""

import shutil
import subprocess

import pytest

from softshare.evidence.tables.writing import write_table
from softshare.plan import load_plan

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\usepackage[landscape,margin=1cm]{geometry}
\begin{document}
\scriptsize
%s
\end{document}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_tables_compile(tmp_path, make_run):
    for scale in ("quick", "paper"):
        plan = load_plan(scale)
        results = tmp_path / scale
        for index, run in enumerate(plan.runs):
            if run.setting.dataset != "shortest-paths" and index % 5:
                folder = make_run(run, 3.0 + index / 100, scale=scale)
                target = results / "runs" / run.folder
                target.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(target)
        names = [experiment.name for experiment in plan.of_kind("table")]
        for name in names:
            write_table(plan, name, results, results / "tables")
        inputs = "\n\n".join(rf"\input{{{results / 'tables' / name}.tex}}" for name in names)
        (results / "all.tex").write_text(DOCUMENT % inputs)
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
        result = subprocess.run(command, cwd=results, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout[-2000:]
        assert (results / "all.pdf").stat().st_size > 10_000
