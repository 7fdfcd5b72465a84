"""Claims that hold what was measured against a number: the paper's, within the band of chance, and others' numbers."""

from __future__ import annotations

import math
from dataclasses import replace

from softshare.evidence.claims.claim_runs import ClaimRuns
from softshare.evidence.claims.comparisons import names_of, tested
from softshare.evidence.claims.finding import Finding, UnansweredError, span
from softshare.evidence.claims.reading import Claim
from softshare.evidence.statistics import one_sample
from softshare.evidence.tables.lines import Line, judged_line
from softshare.evidence.verdict import Verdict, band_half_width, verdict_within
from softshare.evidence.wording import number
from softshare.recipes import load_recipe

UNIT = "percent"


def judge_value(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether the paper's number is reproduced."""
    line = _line(claim, runs, "setting", "row")
    judged, paper = line.judgement, line.number
    assert paper is not None and judged.mean is not None  # by read_claims and _line
    sentence = f"{number(judged.mean)} % over {judged.n} runs against the paper's {paper.value:g} %"
    if judged.difference is None or judged.band is None:
        sentence += f", to which it is no answer: {_why_not(runs, line)}"
    else:
        sentence += f": difference {number(judged.difference)}, of which {number(judged.band)} may be chance"
    return Finding(
        verdict=judged.verdict,
        sentence=sentence,
        test="distance from the paper's mean against the band of chance (t interval, spread between seeds)",
        n=judged.n,
        estimate=judged.mean,
        unit=UNIT,
        interval=judged.interval,
        bound=paper.value,
        details={"difference": judged.difference, "band": judged.band, "sd_used": judged.sd_used},
        notes=line.notes,
    )


def judge_below(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether the mean error is below a quoted number, which is taken as exact."""
    line, whose = _line(claim, runs, "setting", "row"), claim.test["quoted_row"]
    quoted = _quoted(claim, runs, line)
    found = one_sample(line.evidence.errors)
    said = {
        Verdict.REPRODUCED: "is below",
        Verdict.NOT_REPRODUCED: "is above",
        Verdict.INCONCLUSIVE: "cannot be told from",
    }
    ours, told = number(found.difference), f"{span(found.interval)}; {found.how}"
    finding = tested(
        found,
        (found.p_less(quoted), found.p_more(quoted)),
        runs.alpha,
        lambda verdict, p: f"{ours} % {said[verdict]} {quoted:g} % of {whose} ({told}; one-sided {p})",
        test=f"one-sided t-test of a mean against {quoted:g}, {found.how}",
        unit=UNIT,
        bound=quoted,
    )
    return replace(finding, notes=line.notes)


def judge_near(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether the mean error is within a margin of a quoted number, which is taken as exact: both one-sided tests."""
    line, whose, margin = _line(claim, runs, "setting", "row"), claim.test["quoted_row"], claim.test["margin"]
    quoted = _quoted(claim, runs, line)
    found = one_sample([error - quoted for error in line.evidence.errors])
    run = line.evidence.cell.run
    said = {
        Verdict.REPRODUCED: f"{run} is within {margin:g} points of",
        Verdict.NOT_REPRODUCED: f"{run} is {margin:g} points or more from",
        Verdict.INCONCLUSIVE: f"whether {run} is within {margin:g} points cannot be told of",
    }
    by = f"difference {number(found.difference)} points ({span(found.interval)}; {found.how})"
    finding = tested(
        found,
        (found.p_alike(margin), found.p_apart(margin)),
        runs.alpha,
        lambda verdict, p: f"{said[verdict]} {quoted:g} % of {whose}: {by}, {p}",
        test=f"two one-sided t-tests (TOST) of a mean around {quoted:g} with a margin of {margin:g}, {found.how}",
        unit="percentage points",
        bound=margin,
    )
    return replace(finding, notes=line.notes)


def judge_reduction(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether one error is lower than another by the paper's share of it: as `judge_value`, by the delta method.

    Both means are noisy, ours and the paper's alike, so the band is far wider than the share's two digits suggest.
    Where errors that are no lower lie within it, or close, they tell nothing.
    """
    lower, higher = runs.pair(claim, "lower", "higher", enough=False)  # _line asks for it
    lines = [_line(claim, runs, key, f"{key}_row") for key in ("lower", "higher")]
    ours, base = (line.judgement for line in lines)
    paper = lines[1].number
    assert ours.mean is not None and base.mean is not None and paper is not None
    if not base.mean:
        raise UnansweredError(Verdict.INCONCLUSIVE, f"{higher.cell.run} makes no error: there is no share of it")
    percent, n = claim.test["percent"], min(ours.n, base.n)
    ratio = ours.mean / base.mean
    reduction = 100.0 * (1.0 - ratio)
    one, other = names_of(lower, higher)
    errs = f"errs {number(abs(reduction), 1)} % {'less' if reduction >= 0 else 'more'}"
    sentence = f"{one} {errs} than {other}, where the paper tells {percent:g} % less"
    difference = band = None
    if ours.sd_used is None or base.sd_used is None:
        verdict = Verdict.NOT_COMPARABLE
        sentence += f", to which it is no answer: {_why_not(runs, *lines)}"
    else:
        difference = reduction - percent
        spread = 100.0 * math.hypot(ours.sd_used, ratio * base.sd_used) / base.mean
        band = band_half_width(spread, paper.n, n)
        verdict = verdict_within(difference, band, n)
        if reduction <= 0 and verdict is not Verdict.NOT_REPRODUCED:
            verdict = Verdict.INCONCLUSIVE
        sentence += f": of the difference {number(band, 1)} may be chance"
    return Finding(
        verdict=verdict,
        sentence=sentence,
        test="distance from the paper's share against the band of chance (spreads carried over by the delta method)",
        n=n,
        estimate=reduction,
        unit=UNIT,
        bound=percent,
        details={"difference": difference, "band": band},
        notes=(*lines[0].notes, *lines[1].notes),
    )


def _line(claim: Claim, runs: ClaimRuns, setting_key: str, row_key: str) -> Line:
    """A setting of the claim as a line of its table; not comparable where what was run is not what the paper ran.

    Raises:
        UnansweredError: There are too few runs of what the paper ran; more of anything else would answer nothing.
    """
    setting = claim.setting(setting_key)
    found = runs.table_cell(setting, claim.test[row_key])
    if not found.complete:
        runs.of(setting)
    paper_epochs, epochs = (load_recipe(setting.recipe, scale, runs.root)["epochs"] for scale in (None, runs.scale))
    line = judged_line(found, None, runs.claims.tables[claim.test["table"]], (paper_epochs, epochs))
    if line.judgement.verdict is not Verdict.NOT_COMPARABLE:
        runs.require_enough(found, len(found.complete), "are complete")
    return line


def _quoted(claim: Claim, runs: ClaimRuns, line: Line) -> float:
    """The quoted number that a line is held against.

    Raises:
        UnansweredError: What was run is not what the paper ran, or is of more than one kind.
    """
    whose = claim.test["quoted_row"]
    quoted = runs.claims.tables[claim.test["table"]].rows[whose].values[claim.setting("setting").dataset]
    assert quoted is not None  # by read_claims
    if line.judgement.verdict is Verdict.NOT_COMPARABLE:
        ours = line.judgement.mean
        assert ours is not None  # by _line
        what = f"{number(ours)} % is no answer to {quoted:g} % of {whose}: {_why_not(runs, line)}"
        raise UnansweredError(Verdict.NOT_COMPARABLE, what)
    if line.judgement.verdict is Verdict.MIXED:
        mixed = "; ".join(line.evidence.mixed)
        raise UnansweredError(Verdict.MIXED, f"the runs of {line.evidence.cell.run} are mixed: {mixed}")
    return quoted


def _why_not(runs: ClaimRuns, *lines: Line) -> str:
    """Why runs do not answer a number of the paper."""
    cells = [line.evidence.cell for line in lines]
    changed = [f"{cell.run} in place of {cell.paper}" for cell in cells if cell.run != cell.paper]
    if changed:
        return f"scale {runs.scale.name} ran {' and '.join(changed)}"
    return "; ".join(dict.fromkeys(note for line in lines for note in line.notes)) or "the runs depart from the plan"
