"""Claims that hold what was measured against a number: rule 1, and numbers quoted from others."""

from __future__ import annotations

import math

from softshare.evidence.claims.comparisons import names_of
from softshare.evidence.claims.finding import Finding, UnansweredError, chance, decided, number, span
from softshare.evidence.claims.ground import Ground
from softshare.evidence.claims.reading import Claim
from softshare.evidence.lines import Line, judged_line
from softshare.evidence.statistics import one_sample
from softshare.evidence.verdict import Verdict, band_half_width, verdict_within
from softshare.recipes import load_recipe

UNIT = "percent"


def judge_value(claim: Claim, ground: Ground) -> Finding:
    """Whether the paper's number is reproduced."""
    line = _line(claim, ground, "setting", "row")
    judged, paper = line.judgement, line.number
    assert paper is not None and judged.mean is not None  # by read_claims and _line
    sentence = f"{number(judged.mean)} % over {judged.n} runs against the paper's {paper.value:g} %"
    if judged.difference is None or judged.band is None:
        sentence += f", to which it is no answer: {_why_not(ground, line)}"
    else:
        sentence += f": difference {number(judged.difference)}, of which {number(judged.band)} may be chance"
    return Finding(
        verdict=judged.verdict,
        sentence=sentence,
        test="rule 1: distance from the paper's mean against the spread between seeds",
        n=judged.n,
        estimate=judged.mean,
        unit=UNIT,
        interval=judged.interval,
        bound=paper.value,
        details={"difference": judged.difference, "band": judged.band, "sd_used": judged.sd_used},
        notes=line.notes,
    )


def judge_below(claim: Claim, ground: Ground) -> Finding:
    """Whether the mean error is below a quoted number, which is taken as exact."""
    line, whose = _line(claim, ground, "setting", "row"), claim.test["quoted_row"]
    quoted = ground.claims.tables[claim.test["table"]].rows[whose].values[claim.setting("setting").dataset]
    assert quoted is not None  # by read_claims
    if line.judgement.verdict is Verdict.NOT_COMPARABLE:
        ours = line.judgement.mean
        assert ours is not None  # by _line
        what = f"{number(ours)} % is no answer to {quoted:g} % of {whose}: {_why_not(ground, line)}"
        raise UnansweredError(Verdict.NOT_COMPARABLE, what)
    found = one_sample(line.evidence.errors)
    p = found.p_less(quoted)
    verdict = decided(p, found.p_more(quoted), ground.alpha)
    said = {
        Verdict.REPRODUCED: "is below",
        Verdict.NOT_REPRODUCED: "is above",
        Verdict.INCONCLUSIVE: "cannot be told from",
    }[verdict]
    told = f"{span(found.interval)}; {found.how}; one-sided {chance(p or 0)}"
    return Finding(
        verdict=verdict,
        sentence=f"{number(found.difference)} % {said} {quoted:g} % of {whose} ({told})",
        test=f"one-sided t-test of a mean against {quoted:g}, {found.how}",
        n=found.n[0],
        estimate=found.difference,
        unit=UNIT,
        interval=found.interval,
        bound=quoted,
        p=p,
        notes=line.notes,
    )


def judge_reduction(claim: Claim, ground: Ground) -> Finding:
    """Whether one error is lower than another by the paper's share of it: rule 1, spreads carried over (delta method).

    Both means are noisy, ours and the paper's alike, so the band is far wider than the share's two digits suggest.
    """
    lower, higher = ground.pair(claim, "lower", "higher", enough=False)  # _line asks for it
    lines = [_line(claim, ground, key, f"{key}_row") for key in ("lower", "higher")]
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
        sentence += f", to which it is no answer: {_why_not(ground, *lines)}"
    else:
        difference = reduction - percent
        spread = 100.0 * math.hypot(ours.sd_used, ratio * base.sd_used) / base.mean
        band = band_half_width(spread, paper.n, n)
        verdict = verdict_within(difference, band, n)
        sentence += f": of the difference {number(band, 1)} may be chance"
    return Finding(
        verdict=verdict,
        sentence=sentence,
        test="rule 1 for a share of an error",
        n=n,
        estimate=reduction,
        unit=UNIT,
        bound=percent,
        details={"difference": difference, "band": band},
        notes=(*lines[0].notes, *lines[1].notes),
    )


def _line(claim: Claim, ground: Ground, setting_key: str, row_key: str) -> Line:
    """A setting of the claim as a line of its table; not comparable where what was run is not what the paper ran.

    Raises:
        UnansweredError: There are too few runs of what the paper ran; more of anything else would answer nothing.
    """
    setting = claim.setting(setting_key)
    found = ground.table_cell(setting, claim.test[row_key])
    if not found.complete:
        ground.runs(setting)
    paper_epochs, epochs = (load_recipe(setting.recipe, scale, ground.root)["epochs"] for scale in (None, ground.scale))
    line = judged_line(found, None, ground.claims.tables[claim.test["table"]], (paper_epochs, epochs))
    if line.judgement.verdict is not Verdict.NOT_COMPARABLE:
        ground.require_enough(found, len(found.complete), "are complete")
    return line


def _why_not(ground: Ground, *lines: Line) -> str:
    """Why runs do not answer a number of the paper."""
    cells = [line.evidence.cell for line in lines]
    changed = [f"{cell.run} in place of {cell.paper}" for cell in cells if cell.run != cell.paper]
    if changed:
        return f"scale {ground.scale.name} ran {' and '.join(changed)}"
    return "; ".join(dict.fromkeys(note for line in lines for note in line.notes)) or "the runs depart from the plan"
