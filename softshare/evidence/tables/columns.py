"""What the columns of a table say of a line: for a reader, and plainly for a program."""

from __future__ import annotations

from softshare.evidence.tables.beside import BESIDE
from softshare.evidence.tables.lines import Line, QuotedLine
from softshare.evidence.verdict import FEWEST_SEEDS, Judgement
from softshare.evidence.wording import DASH, mean_and_sd, number, signed
from softshare.scales import Setting

QUOTED = "quoted"

# The columns of numbers.
RIGHT = frozenset(
    {"Params, paper", "Params, run", "n", "Error (%)", "Paper", "Difference", "95 % interval"}
    | {heading for each in BESIDE.values() for heading in (each.papers, each.ours)}
)


def shown(line: Line | QuotedLine, beside: list[str], compared: str | None) -> dict[str, str]:
    """A line for a reader, by column.

    Args:
        line: A line of the table.
        beside: What else the paper prints, by its keys.
        compared: The row that every other row is held against, if any.
    """
    cells = _shown_quoted(line) if isinstance(line, QuotedLine) else _shown(line)
    # Beside what it judges: a wide table is cut off on its right.
    verdict, ran = cells.pop("Verdict"), cells.pop("What was run")
    for key in beside:
        cells |= _shown_beside(line, key)
    if compared:
        cells[f"Minus {compared}"] = DASH if isinstance(line, QuotedLine) else _contrast(line)
    first = {key: cells.pop(key) for key in ("Row", "Dataset", "Error (%)", "Paper")}
    how_sure = {key: cells.pop(key) for key in ("Difference", "95 % interval", "n")}
    return first | {"Verdict": verdict} | how_sure | cells | {"What was run": ran}


def plain(line: Line | QuotedLine, beside: list[str], compared: str | None) -> dict[str, object]:
    """A line for a program, at full precision; None where nobody measured. Arguments as of `shown`."""
    cells = _plain_quoted(line) if isinstance(line, QuotedLine) else _plain(line)
    for key in beside:
        complete = [] if isinstance(line, QuotedLine) else line.evidence.complete
        cells[f"paper_{key}"] = line.row.beside.get(key)
        cells[f"run_{key}"] = BESIDE[key].value(complete) if complete else None
    if compared:
        cells |= {} if isinstance(line, QuotedLine) else _plain_contrast(line, compared)
    return cells


def _shown(line: Line) -> dict[str, str]:
    found, judgement, decimals = line.evidence, line.judgement, line.decimals
    return {
        "Row": line.row.label,
        "Dataset": line.dataset,
        "Params, paper": line.row.parameters,
        "Params, run": ", ".join(f"{count:,}" for count in found.values("parameters")) or DASH,
        "What was run": _what_was_run(line),
        "n": f"{judgement.n} of {len(found.records)}" if found.records else "0",
        "Error (%)": _error(judgement, decimals),
        "Paper": DASH if line.number is None else f"{line.number.value:.{decimals}f}",
        "Difference": DASH if judgement.difference is None else signed(judgement.difference, decimals),
        "95 % interval": DASH
        if judgement.interval is None or judgement.n < FEWEST_SEEDS
        else " to ".join(number(end, decimals) for end in judgement.interval),
        "Verdict": str(judgement.verdict),
    }


def _shown_quoted(line: QuotedLine) -> dict[str, str]:
    return {
        "Row": line.row.label,
        "Dataset": line.dataset,
        "Params, paper": line.row.parameters,
        "Params, run": DASH,
        "What was run": f"nothing; quoted: {line.row.source}",
        "n": DASH,
        "Error (%)": DASH,
        "Paper": DASH if line.value is None else f"{line.value:.{line.decimals}f}",
        "Difference": DASH,
        "95 % interval": DASH,
        "Verdict": QUOTED,
    }


def _shown_beside(line: Line | QuotedLine, key: str) -> dict[str, str]:
    papers = line.row.beside.get(key)
    complete = [] if isinstance(line, QuotedLine) else line.evidence.complete
    return {
        BESIDE[key].papers: DASH if papers is None else f"{papers:g}",
        BESIDE[key].ours: f"{BESIDE[key].value(complete):{BESIDE[key].shown}}" if complete else DASH,
    }


def _what_was_run(line: Line) -> str:
    cell, found = line.evidence.cell, line.evidence
    if cell.run is None:
        return "not run at this scale"
    paper_epochs, planned = line.epochs
    if not found.complete:
        return f"not run; planned: {_training(cell.run, str(planned))}"
    epochs = ", ".join(map(str, found.values("epochs")))
    ours = _training(cell.run, epochs)
    if ours == _training(cell.paper, str(paper_epochs)):
        return ours
    return f"{ours}; in place of {cell.paper.model} on {cell.paper.dataset}, {paper_epochs} epochs"


def _training(setting: Setting, epochs: str) -> str:
    return f"{setting.model} on {setting.dataset}, {epochs} epochs, recipe {setting.recipe}"


def _error(judgement: Judgement, decimals: int) -> str:
    return "not run" if judgement.mean is None else mean_and_sd(judgement.mean, judgement.sd, decimals)


def _contrast(line: Line) -> str:
    found, decimals = line.contrast, line.decimals
    if found is None:
        return DASH
    how = "Welch" if found.pairs is None else f"{found.pairs} pair{'s' if found.pairs > 1 else ''}"
    interval = "no interval"
    if found.interval is not None and (found.pairs is None or found.pairs >= FEWEST_SEEDS):
        interval = " to ".join(signed(end, decimals) for end in found.interval)
    return f"{signed(found.difference, decimals)} ({interval}; {how})"


def _plain(line: Line) -> dict[str, object]:
    cell, found, judgement = line.evidence.cell, line.evidence, line.judgement
    low, high = judgement.interval or (None, None)
    return {
        "row": cell.row,
        "paper_dataset": cell.paper.dataset,
        "paper_model": cell.paper.model,
        "paper_epochs": line.epochs[0],
        "recipe": cell.paper.recipe,
        "run_dataset": cell.run.dataset if found.complete and cell.run else None,
        "run_model": cell.run.model if found.complete and cell.run else None,
        "run_epochs": " ".join(map(str, found.values("epochs"))) or None,
        "paper_parameters": line.row.parameters,
        "paper_parameters_exact": str(line.exact_parameters) if line.exact_parameters else None,
        "run_parameters": " ".join(map(str, found.values("parameters"))) or None,
        "n_planned": len(found.records),
        "n": judgement.n,
        "mean": judgement.mean,
        "sd": judgement.sd,
        "interval_low": low,
        "interval_high": high,
        "paper_value": None if line.number is None else line.number.value,
        "paper_n": None if line.number is None else str(line.number.n),
        "difference": judgement.difference,
        "band": judgement.band,
        "sd_used": judgement.sd_used,
        "verdict": str(judgement.verdict),
        "notes": "; ".join(line.notes) or None,
    }


def _plain_quoted(line: QuotedLine) -> dict[str, object]:
    return {
        "row": line.row.label,
        "paper_dataset": line.place,
        "paper_parameters": line.row.parameters,
        "paper_value": line.value,
        "verdict": QUOTED,
        "notes": f"quoted: {line.row.source}",
    }


def _plain_contrast(line: Line, compared: str) -> dict[str, object]:
    found = line.contrast
    low, high = (found.interval if found else None) or (None, None)
    return {
        "compared_with": compared if found else None,
        "compared_difference": found.difference if found else None,
        "compared_low": low,
        "compared_high": high,
        "compared_by": ("Welch" if found.pairs is None else "paired by seed") if found else None,
        "compared_pairs": str(found.pairs) if found and found.pairs is not None else None,
    }
