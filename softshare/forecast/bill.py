"""From the command line's words to a bill: what is forecast, bought and compared, and where it is written."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from softshare.cores import usable_cores
from softshare.errors import UserError, did_you_mean
from softshare.evidence.forecasts.reading import Foretold, read_forecast
from softshare.files import project_root, write_json, write_text
from softshare.forecast.budget import Piece, buy, parse_budget
from softshare.forecast.describe import as_json, describe, describe_needs, describe_purchase, describe_reality
from softshare.forecast.power import Need, seeds_needed
from softshare.forecast.predict import Forecast, forecast
from softshare.forecast.reality import compare, complete_runs, require_replaceable
from softshare.forecast.speed import Speed, settle
from softshare.names import SHORTEST_PATHS
from softshare.plan import Plan, load_plan
from softshare.runfiles import FOLDING
from softshare.runtimes import FORECAST
from softshare.scales import Run
from softshare.schemas import read_yaml


def write_bill(arguments: argparse.Namespace) -> str:
    """Does what `softshare forecast` was asked for; all that was asked is looked at before anything is measured.

    Returns:
        What to print.

    Raises:
        UserError: An unknown scale, experiment, device, precision, dataset or claim; fewer than one GPU; a budget that
            buys nothing; a forecast that would be lost, of more experiments or made before runs.
    """
    plan = load_plan(arguments.scale, arguments.experiments)
    a_part = {e.name for e in plan.experiments} < {e.name for e in load_plan(arguments.scale).experiments}
    budget = parse_budget(arguments.budget) if arguments.budget else None
    needs = seeds_needed()
    wanted = _wanted(needs, arguments.claims)
    speed = settle(arguments.device, arguments.precision, arguments.sustained, arguments.seconds)
    gpus_per_run = _gpus_per_run(arguments.gpus_per_run or (), plan, speed)
    units = _units(arguments, speed, max(gpus_per_run.values(), default=1))
    results = arguments.results / plan.scale.name
    earlier = read_forecast(results, plan.scale.name)
    if arguments.out and earlier:
        if a_part:
            _require_no_less(results, earlier, plan)
        require_replaceable(plan, results, earlier)
    pieces_of = {need.claim: _pieces(need, plan, speed) for need in wanted}
    asked = arguments.claims is not None or budget is not None
    besides = [piece for pieces in pieces_of.values() if asked for piece in pieces or ()]
    folded = [piece.run for piece in besides if piece.folding]
    made = replace(forecast(plan, speed, [piece.run for piece in besides], folded), gpus_per_run=gpus_per_run)
    parts = [describe(made, units, a_part)]
    if asked:
        parts.append(describe_needs(wanted, {claim: _hours(pieces, made) for claim, pieces in pieces_of.items()}))
    if budget is not None:
        parts.append(_bought(wanted, pieces_of, made, results, budget))
    content = as_json(made, units, needs)
    if held := compare(plan, results, earlier, content):
        parts.append(describe_reality(held))
    text = "\n".join(parts)
    if arguments.out:
        write_text(results / "forecast.md", text)
        write_json(results / FORECAST, content)
        text += f"\nwritten to {results / 'forecast.md'} and {results / FORECAST}"
    return text


def _units(arguments: argparse.Namespace, speed: Speed, widest: int) -> int:
    """GPUs or cores that the plan may take at once."""
    for key in ("gpus", "cores"):
        if (value := getattr(arguments, key)) is not None and value < 1:
            raise UserError("must be at least 1", key=key, value=value)
    if arguments.gpus and not speed.on_gpu:
        raise UserError("runs hold cores here, not GPUs", key="gpus", value=arguments.gpus, remedy="give --cores")
    if arguments.cores and speed.on_gpu:
        raise UserError("runs hold a GPU here, not cores", key="cores", value=arguments.cores, remedy="give --gpus")
    if arguments.gpus and arguments.gpus < widest:
        raise UserError(
            f"a run holds {widest} of them",
            key="gpus",
            value=arguments.gpus,
            remedy="give as many or more, or fewer with --gpus-per-run (default: gpus of config/config.yaml)",
        )
    return arguments.gpus or arguments.cores or (widest if speed.on_gpu else usable_cores())


def _gpus_per_run(told: Sequence[str], plan: Plan, speed: Speed) -> dict[str, int]:
    """GPUs a run by dataset, where it takes several: from words such as `imagenet=8`, else from config.yaml."""
    datasets = {run.setting.dataset for run in plan.runs} - {SHORTEST_PATHS}
    settings = read_yaml(project_root() / "config" / "config.yaml", schema="config")["gpus"] if speed.on_gpu else {}
    found = {dataset: int(count) for dataset, count in settings.items() if dataset in datasets}
    for each in told:
        dataset, _, count = each.partition("=")
        if not re.fullmatch(r"[1-9][0-9]{0,3}", count):
            raise UserError("is no DATASET=N", key="gpus-per-run", value=each, remedy="such as imagenet=8")
        if not speed.on_gpu:
            raise UserError("runs hold cores here, not GPUs", key="gpus-per-run", value=each, remedy="leave it out")
        if dataset not in datasets:
            remedy = did_you_mean(dataset, datasets)
            raise UserError(
                "no run of the plan trains on it with several GPUs", key="gpus-per-run", value=each, remedy=remedy
            )
        found[dataset] = int(count)
    return {dataset: count for dataset, count in found.items() if count > 1}


def _require_no_less(results: Path, earlier: Foretold, plan: Plan) -> None:
    """Refuses that a part of a scale takes the place of a forecast of more."""
    lost = set(earlier.runs) - {str(run) for run in plan.runs}
    if lost:
        raise UserError(
            f"tells of {len(lost)} runs that these experiments do not make",
            file=results / FORECAST,
            key="experiments",
            remedy="leave --experiments out, or delete the file",
        )


def _wanted(needs: Sequence[Need], names: Sequence[str] | None) -> list[Need]:
    known = {need.claim: need for need in needs}
    for name in names or ():
        if name not in known:
            raise UserError("unknown claim", key="claims", value=name, remedy=did_you_mean(name, known))
    return [known[name] for name in dict.fromkeys(names)] if names else list(needs)


def _pieces(need: Need, plan: Plan, speed: Speed) -> list[Piece] | None:
    """What a claim needs at the plan's scale; None where some is not made there, or no number is enough."""
    stands = [plan.scale.stand_in(setting) for setting in need.settings]
    if need.seeds is None or any(setting is None for setting in stands):
        return None
    if need.device:
        # A speed that was given may be that device's.
        on_it = speed.basis == "sustained" or need.device.casefold() in speed.device.casefold()
        if not on_it or plan.scale.training or tuple(stands) != need.settings:
            return None
    kinds = (False, True) if need.folded else (False,)
    runs = {Run(setting, seed) for setting in stands if setting for seed in range(need.seeds)}
    return sorted(Piece(run, folding) for run in runs for folding in kinds)


def _seconds(piece: Piece, made: Forecast) -> float:
    (row,) = made.of([piece.run])
    return row.fold_seconds if piece.folding else row.wall_seconds


def _hours(pieces: list[Piece] | None, made: Forecast) -> float | None:
    return None if pieces is None else sum(_seconds(piece, made) for piece in pieces) / 3600


def _bought(
    wanted: Sequence[Need], pieces_of: dict[str, list[Piece] | None], made: Forecast, results: Path, budget: float
) -> str:
    open_claims = {need.claim: pieces for need in wanted if (pieces := pieces_of[need.claim])}
    free = [need.claim for need in wanted if pieces_of[need.claim] == []]
    if not open_claims:
        if free:
            return describe_purchase(None, free, budget)
        remedy = f"none of these claims can be answered by runs at scale {made.plan.scale.name}"
        raise UserError("buys no claim", key="budget", value=f"{budget:g}h", remedy=remedy)
    every = sorted({piece for pieces in open_claims.values() for piece in pieces})
    there = complete_runs(results, sorted({piece.run for piece in every}))

    def is_there(piece: Piece) -> bool:
        folded = results / "runs" / piece.run.folder / FOLDING
        return piece.run in there and (not piece.folding or folded.is_file())

    seconds = {piece: 0.0 if is_there(piece) else _seconds(piece, made) for piece in every}
    return describe_purchase(buy(open_claims, seconds, 3600 * budget), free, budget)
