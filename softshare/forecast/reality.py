"""A forecast stands once complete runs are held against it: those made after it, as it said."""

from __future__ import annotations

from pathlib import Path

from softshare.errors import UserError
from softshare.evidence.forecasts.against_runs import Held, hold
from softshare.evidence.forecasts.reading import Foretold, parse_forecast
from softshare.evidence.runs.checks import UnusableError
from softshare.evidence.runs.gather import gather
from softshare.evidence.runs.runfolder import State, read_run
from softshare.plan import Plan
from softshare.runtimes import FORECAST
from softshare.scales import Run


def compare(plan: Plan, results: Path, earlier: Foretold | None, made: object) -> Held | None:
    """Holds the forecast that was written before, or else the one made now, against the runs that are there.

    Args:
        plan: What was to be run.
        results: `results/<scale>`.
        earlier: The forecast that was written before, if any.
        made: That made now, as it would be written.

    Returns:
        None where no run is complete.

    Raises:
        UserError: That made now could not be read back, as where a speed beyond all devices leaves no seconds.
    """
    try:
        foretold = parse_forecast(made, plan.scale.name)
    except UnusableError as error:
        raise UserError(f"tells nothing to hold runs against ({error})", key="forecast") from None
    evidence = gather(plan, results)
    if not evidence.in_state(State.COMPLETE):
        return None
    return hold(earlier or foretold, evidence.records.values(), judged=earlier is not None)


def complete_runs(results: Path, runs: list[Run]) -> set[Run]:
    """Those of some runs that are complete."""
    return {run for run in runs if read_run(results, run).complete}


def require_replaceable(plan: Plan, results: Path, earlier: Foretold) -> None:
    """Refuses that a forecast takes the place of one that complete runs are held against.

    Raises:
        UserError: There are such runs.
    """
    held = hold(earlier, (read_run(results, run) for run in plan.runs)).runs
    if held:
        runs = f"{held} complete run{'s' if held > 1 else ''}"
        raise UserError(
            f"was made before {runs}, which are held against it; another would come after them",
            file=results / FORECAST,
            key="made",
            value=earlier.made.isoformat(),
            remedy="delete it to give that comparison up, or leave --out out",
        )
