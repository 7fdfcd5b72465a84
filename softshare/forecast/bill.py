"""From the command line's words to a bill: what is forecast, bought and compared, and where it is written."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from softshare.errors import UserError, did_you_mean
from softshare.files import write_json, write_text
from softshare.forecast.budget import buy, parse_budget
from softshare.forecast.describe import as_json, describe, describe_needs, describe_purchase, describe_reality
from softshare.forecast.power import Need, seeds_needed
from softshare.forecast.predict import Forecast, forecast
from softshare.forecast.reality import compare, complete_runs, earlier_forecast
from softshare.plan import Plan, Run, load_plan
from softshare.runtimes import FORECAST


def write_bill(arguments: argparse.Namespace) -> str:
    """Does what `softshare forecast` was asked for.

    Returns:
        What to print.

    Raises:
        UserError: An unknown scale, experiment, device or claim; fewer than one GPU; a budget that buys nothing.
    """
    plan = load_plan(arguments.scale, arguments.experiments)
    for key in ("gpus", "cores"):
        if (value := getattr(arguments, key)) is not None and value < 1:
            raise UserError("must be at least 1", key=key, value=value)
    budget = parse_budget(arguments.budget) if arguments.budget else None
    needs = seeds_needed()
    wanted = _wanted(needs, arguments.claims)
    runs_of = {need.claim: _runs(need, plan) for need in wanted}
    asked = arguments.claims is not None or budget is not None
    besides = [run for runs in runs_of.values() if asked for run in runs or ()]
    made = forecast(plan, arguments.device, arguments.precision, arguments.sustained, arguments.seconds, besides)
    if arguments.gpus and not made.ground.on_gpu:
        raise UserError("runs hold cores here, not GPUs", key="gpus", value=arguments.gpus, remedy="give --cores")
    if arguments.cores and made.ground.on_gpu:
        raise UserError("runs hold a GPU here, not cores", key="cores", value=arguments.cores, remedy="give --gpus")
    units = arguments.gpus or arguments.cores or (1 if made.ground.on_gpu else os.cpu_count() or 1)
    results = arguments.results / plan.scale.name
    parts = [describe(made, units)]
    if asked:
        parts.append(describe_needs(wanted, {claim: _hours(runs, made) for claim, runs in runs_of.items()}))
    if budget is not None:
        parts.append(_bought(wanted, runs_of, made, results, budget))
    parts += _compared(plan, results, made)
    text = "\n".join(parts)
    if arguments.out:
        write_text(results / "forecast.md", text)
        write_json(results / FORECAST, as_json(made, units, needs))
        text += f"\nwritten to {results / 'forecast.md'} and {results / FORECAST}"
    return text


def _wanted(needs: Sequence[Need], names: Sequence[str] | None) -> list[Need]:
    known = {need.claim: need for need in needs}
    for name in names or ():
        if name not in known:
            raise UserError("unknown claim", key="claims", value=name, remedy=did_you_mean(name, known))
    return [known[name] for name in dict.fromkeys(names)] if names else list(needs)


def _runs(need: Need, plan: Plan) -> list[Run] | None:
    """The runs that a claim needs at the plan's scale; None where some are not made there, or no number is enough."""
    stands = [plan.scale.stand_in(setting) for setting in need.settings]
    if need.seeds is None or any(setting is None for setting in stands):
        return None
    return sorted({Run(setting, seed) for setting in stands if setting for seed in range(need.seeds)})


def _hours(runs: list[Run] | None, made: Forecast) -> float | None:
    return None if runs is None else sum(row.wall_seconds for row in made.of(runs)) / 3600


def _bought(
    wanted: Sequence[Need], runs_of: dict[str, list[Run] | None], made: Forecast, results: Path, budget: float
) -> str:
    open_claims = {need.claim: runs for need in wanted if (runs := runs_of[need.claim])}
    if not open_claims:
        remedy = f"none of these claims can be answered by runs at scale {made.plan.scale.name}"
        raise UserError("buys no claim", key="budget", value=f"{budget:g}h", remedy=remedy)
    every = sorted({run for runs in open_claims.values() for run in runs})
    there = complete_runs(made.plan, results, every)
    seconds = {row.run: 0.0 if row.run in there else row.wall_seconds for row in made.of(every)}
    return describe_purchase(buy(open_claims, seconds, 3600 * budget), budget)


def _compared(plan: Plan, results: Path, made: Forecast) -> list[str]:
    """The forecast that was written before, or else this one, against the runs that are there."""
    earlier = earlier_forecast(results)
    seconds, which = (
        (earlier[0], f"that was written before, for {earlier[1]}")
        if earlier
        else ({str(row.run): row.seconds for row in made.runs.values()}, "above, made after the runs")
    )
    found = compare(plan, results, seconds)
    return [describe_reality(found, which)] if found else []
