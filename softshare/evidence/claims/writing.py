"""What was found of the paper's claims: as JSON for the report, Markdown, CSV, a page, and a table for the terminal."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from softshare.evidence.claims.judge import Judged, JudgedClaim, judge_claims
from softshare.evidence.digits import agreed
from softshare.evidence.markup import markdown
from softshare.evidence.tables.page import table_page
from softshare.evidence.verdict import Verdict
from softshare.evidence.wording import DASH, number
from softshare.files import write_json, write_text
from softshare.plan import Plan


def write_claims(plan: Plan, results: Path, out_dir: Path) -> Judged:
    """Judges every claim and writes `claims.json`, `claims.md`, `claims.csv` and `claims.html`.

    Args:
        plan: What was to be run.
        results: `results/<scale>`.
        out_dir: Where to write.

    Raises:
        UserError: The claims cannot be read, or nothing can be written.
    """
    judged = judge_claims(plan, results)
    write_text(out_dir / "claims.md", to_markdown(judged))
    write_text(out_dir / "claims.csv", to_csv(judged))
    write_text(out_dir / "claims.html", to_page(judged))
    write_json(out_dir / "claims.json", to_json(judged))
    return judged


def to_json(judged: Judged) -> dict[str, Any]:
    """All that is known, in plain values; what cannot be said is null."""
    return {
        "scale": judged.scale,
        "is_paper": judged.is_paper,
        "source": judged.claims.source,
        "notes": list(judged.claims.notes),
        "changes": list(judged.claims.changes),
        "alpha": judged.claims.alpha,
        "counts": judged.counts,
        "exploratory": len(judged.judged) - len(judged.confirmatory),
        "tested": judged.tested,
        "on_multiple_tests": on_multiple_tests(judged),
        "claims": [_plain(each, judged) for each in judged.judged],
    }


def to_csv(judged: Judged) -> str:
    """A row a claim, to ten digits; empty where nothing can be said."""
    rows = []
    for each in judged.judged:
        plain = _plain(each, judged)
        low, high = plain["interval"] or (None, None)
        keys = (
            "id",
            "section",
            "words",
            "kind",
            "verdict",
            "at",
            "exploratory",
            "sentence",
            "test",
            "n",
            "estimate",
            "unit",
        )
        rest = ("bound", "p", "p_holm", "p_contrary", "p_contrary_holm")
        row = {key: plain[key] for key in keys} | {"interval_low": low, "interval_high": high}
        row |= {key: plain[key] for key in rest}
        row["runs"] = " ".join(run["run"] for run in plain["runs"] if run["run"]) or None
        row["notes"] = "; ".join(plain["notes"]) or None
        rows.append(row)
    return pd.DataFrame(rows).astype({"n": "Int64"}).to_csv(index=False, lineterminator="\n")


def to_markdown(judged: Judged) -> str:
    """The claims for a reader, in the paper's order."""
    rows = [{head: markdown(text) for head, text in row.items()} for row in _shown(judged)]
    for row in rows:
        row["Verdict"] = f"**{row['Verdict']}**"
    notes = _notes(judged)
    parts = [
        f"# {_title(judged)}",
        _summary(judged),
        on_multiple_tests(judged),
        tabulate(rows, headers="keys", tablefmt="pipe", disable_numparse=True),
        "## How they are judged",
        "\n".join(f"- {markdown(note)}" for note in judged.claims.notes),
        "## What was changed after the first runs",
        "\n".join(f"- {markdown(change)}" for change in judged.claims.changes) or "Nothing.",
        "## Notes",
        "\n".join(f"- {markdown(note)}" for note in notes) or "None.",
    ]
    return "\n\n".join(parts) + "\n"


def to_page(judged: Judged) -> str:
    """The claims as a page by itself."""
    about = f"{_summary(judged)} {on_multiple_tests(judged)}"
    notes = [*judged.claims.notes, *judged.claims.changes, *_notes(judged)]
    return table_page(_title(judged), pd.DataFrame(_shown(judged)), notes, about)


def describe_claims(judged: Judged) -> str:
    """The claims as a narrow table."""
    rows = [
        [each.claim.id, str(each.finding.verdict), _p(each.finding.p), _p(each.p_holm), each.finding.sentence]
        for each in judged.judged
    ]
    heads = ["claim", "verdict", "p", "p, Holm", "found"]
    table = tabulate(rows, heads, "simple", disable_numparse=True, maxcolwidths=[None, None, None, None, 80])
    return f"{table}\n\n{_summary(judged)}\n{on_multiple_tests(judged)}"


def on_multiple_tests(judged: Judged) -> str:
    """What a reader of many tests should know."""
    tested, alpha = judged.tested, judged.claims.alpha
    if not tested:
        return "No claim was tested with a p."
    claims = [(each.finding.p, each.p_holm) for each in judged.confirmatory]
    contraries = [(each.finding.p_contrary, each.p_contrary_holm) for each in judged.confirmatory]
    both = sum(p is not None for p, _ in contraries)
    return (
        f"{tested} claims were tested with a p at a level of {alpha:g}: if none of them were true, up to about "
        f"{number(alpha * tested, 1)} would still pass by chance; of the {both} whose contrary is tested, too, up to "
        f"about {number(alpha * both, 1)} would be called not reproduced if all were true. Below that level: "
        f"{_passing(claims, alpha)}; of the tests of the contrary, {_passing(contraries, alpha)}. "
        "Verdicts rest on the plain p."
    )


def _passing(ps: list[tuple[float | None, float | None]], alpha: float) -> str:
    """How many p are below the level, plain and after Holm."""
    held = [holm for p, holm in ps if p is not None and p < alpha]
    kept = sum(holm is not None and holm < alpha for holm in held)
    return f"{len(held)} ({kept} after Holm's correction)" if held else "none"


def verdict_at(each: JudgedClaim, judged: Judged) -> str:
    """The verdict, and where it was reached if that is not the paper's own scale."""
    where = _where(each, judged)
    return f"{each.finding.verdict} ({where})" if where else str(each.finding.verdict)


def _where(each: JudgedClaim, judged: Judged) -> str:
    finding = each.finding
    unsaid = finding.verdict in (Verdict.NOT_RUN, Verdict.NOT_COMPARABLE)
    exploratory = "exploratory, " if each.exploratory else ""
    if finding.at != f"scale {judged.scale}":
        return exploratory + finding.at
    return "" if judged.is_paper or unsaid else f"{exploratory}at {finding.at}"


def _title(judged: Judged) -> str:
    return f"Claims of the paper (scale: {judged.scale})"


def _summary(judged: Judged) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in judged.counts.items() if count)
    beside = len(judged.judged) - len(judged.confirmatory)
    exploratory = f"{beside} more are exploratory, drawn up when their runs were known. " if beside else ""
    return f"{len(judged.confirmatory)} claims: {counts}. {exploratory}{_of_scale(judged)}"


def _shown(judged: Judged) -> list[dict[str, str]]:
    """A row a claim, for a reader."""
    return [
        {
            "Claim": each.claim.id,
            "Section": each.claim.section,
            "The paper's words": each.claim.words,
            "Verdict": verdict_at(each, judged),
            "Found": _sentence(each.finding.sentence),
            "Tested by": each.finding.test or DASH,
            "n": DASH if each.finding.n is None else str(each.finding.n),
            "p": _p(each.finding.p),
            "p, Holm": _p(each.p_holm),
            "p of the contrary": _p(each.finding.p_contrary),
            "the same, Holm": _p(each.p_contrary_holm),
        }
        for each in judged.judged
    ]


def _notes(judged: Judged) -> list[str]:
    return [
        f"{each.claim.id}: {note}"
        for each in judged.judged
        for note in ([each.claim.note] if each.claim.note else []) + list(each.finding.notes)
    ]


def _of_scale(judged: Judged) -> str:
    if judged.is_paper:
        return "At this scale what is run is what the paper ran."
    return (
        f"Claims of direction and structure are tested at scale {judged.scale}, on the networks and data that stand in "
        "there, which tells nothing sure of the paper's own scale; numbers are not comparable."
    )


def _plain(each: JudgedClaim, judged: Judged) -> dict[str, Any]:
    claim, finding = each.claim, asdict(each.finding)
    plain = {
        "id": claim.id,
        "section": claim.section,
        "words": claim.words,
        "note": claim.note or None,
        "kind": claim.kind,
        "asked": claim.test,
        **finding,
        "verdict": str(each.finding.verdict),
        "interval": list(each.finding.interval) if each.finding.interval else None,
        "p_holm": each.p_holm,
        "p_contrary_holm": each.p_contrary_holm,
        "where": _where(each, judged),
        "exploratory": each.exploratory,
        "p_shown": _p(each.finding.p),
        "p_holm_shown": _p(each.p_holm),
        "p_contrary_shown": _p(each.finding.p_contrary),
        "p_contrary_holm_shown": _p(each.p_contrary_holm),
        "notes": list(each.finding.notes),
        "runs": list(each.runs),
    }
    rounded: dict[str, Any] = agreed(plain)
    return rounded


def _sentence(text: str) -> str:
    """With a capital, unless it begins with a name."""
    return text[0].upper() + text[1:] if text.split(maxsplit=1)[0].isalpha() else text


def _p(p: float | None) -> str:
    if p is None:
        return DASH
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
