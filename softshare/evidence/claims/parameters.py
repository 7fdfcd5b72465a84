"""Claims on the number of parameters, counted from the architecture of section 4.1 without making a network."""

from __future__ import annotations

from softshare.errors import UserError
from softshare.evidence.claims.claim_runs import ClaimRuns
from softshare.evidence.claims.finding import Finding
from softshare.evidence.claims.reading import Claim
from softshare.evidence.verdict import Verdict
from softshare.evidence.wording import number
from softshare.names import DATASETS, BottleneckName, WideResNetName, parse_model_name

AT = "the architecture"
_IMAGENET_CLASSES = 1000


def count_parameters(model: str, dataset: str) -> int:
    """Parameters of a (soft-shared) Wide ResNet on color images (section 4.1), or of one for ImageNet (section 4.2).

    Raises:
        UserError: The model is neither.
    """
    name = parse_model_name(model)
    if isinstance(name, WideResNetName):
        return _of_wide_resnet(name, DATASETS[dataset])
    if isinstance(name, BottleneckName) and dataset == "imagenet":
        return _of_bottlenecks(name, _IMAGENET_CLASSES)
    raise UserError(f"its parameters on {dataset} are not counted here", key="model", value=model)


def _of_wide_resnet(name: WideResNetName, classes: int) -> int:
    """Three stages of 16w, 32w and 64w channels.

    All 3x3 convolutions of a stage but the first block's two share k templates, with k coefficients each.
    """
    total, into = 3 * 3 * 3 * 16, 16
    for stage in range(3):
        out, stride = 16 * name.width * 2**stage, 1 if stage == 0 else 2
        total += 2 * into + 9 * into * out + 2 * out + 9 * out * out
        total += into * out if into != out or stride != 1 else 0
        total += 4 * out * (name.blocks - 1)
        templates = (name.templates or name.layers) if name.shared else name.layers
        total += 9 * out * out * templates + (name.layers * templates if name.shared else 0)
        into = out
    return total + 2 * into + (into + 1) * classes


def _of_bottlenecks(name: BottleneckName, classes: int) -> int:
    """Four stages of 256, 512, 1024 and 2048 channels, their 3x3 convolutions between 64w, 128w, 256w and 512w.

    A stage's 3x3 convolutions share k templates, its last 1x1 convolutions do, and its first but for the first block's,
    which has other channels.
    """
    total, into = 7 * 7 * 3 * 64 + 2 * 64, 64
    for stage, blocks in enumerate(name.blocks):
        inner, out = 64 * name.width * 2**stage, 256 * 2**stage
        total += into * inner + into * out + 2 * out  # the first block's own: its first convolution, and its shortcut
        for weight, layers in ((inner * out, blocks - 1), (9 * inner**2, blocks), (inner * out, blocks)):
            templates = (name.templates or layers) if name.shared else layers
            total += templates * weight + (layers * templates if name.shared else 0)
        total += blocks * 2 * (2 * inner + out)
        into = out
    return total + (into + 1) * classes


def judge_parameters(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether networks have as many parameters as printed, in millions; the paper cuts digits off, not rounds."""
    worst, told, counts = Verdict.REPRODUCED, [], {}
    order = [Verdict.REPRODUCED, Verdict.CLOSE, Verdict.NOT_REPRODUCED]
    for name, printed in claim.test["counts"].items():
        dataset, _, model = name.partition("/")
        counts[name] = count_parameters(model, dataset)
        verdict = _as_printed(counts[name], printed)
        told.append(f"{model} {counts[name]:,} ({'' if printed.startswith('<') else 'printed '}{printed} M)")
        ran = _other_counts(model, dataset, counts[name], runs)
        if ran:
            verdict = Verdict.NOT_REPRODUCED
            told.append(f"but runs of it tell {', '.join(f'{each:,}' for each in ran)}")
        worst = max(worst, verdict, key=order.index)
    return Finding(
        verdict=worst,
        sentence="parameters counted: " + ", ".join(told),
        test="exact count",
        estimate=float(next(iter(counts.values()))) if len(counts) == 1 else None,
        unit="parameters" if len(counts) == 1 else "",
        details={"counts": counts},
        at=AT,
    )


def judge_parameter_ratio(claim: Claim, runs: ClaimRuns) -> Finding:
    """Whether one network has the told share of another's parameters."""
    test = claim.test
    count, whole = (count_parameters(test[key], test["dataset"]) for key in ("model", "over"))
    off = abs(count / whole - test["ratio"])
    verdict = Verdict.CLOSE if off <= 2 * test["tolerance"] else Verdict.NOT_REPRODUCED
    if off <= test["tolerance"]:
        verdict = Verdict.REPRODUCED
    ratio = number(count / whole, 4)
    return Finding(
        verdict=verdict,
        sentence=f"{test['model']} has {count:,} parameters, {ratio} of the {whole:,} of {test['over']}",
        test=f"exact count, to within {test['tolerance']:g}",
        estimate=count / whole,
        unit="ratio",
        bound=test["ratio"],
        at=AT,
    )


def _as_printed(count: int, printed: str) -> Verdict:
    below = printed.startswith("< ")
    digits = printed.removeprefix("< ")
    if below:
        return Verdict.REPRODUCED if count < float(digits) * 1e6 else Verdict.NOT_REPRODUCED
    unit = 10 ** (6 - len(digits.partition(".")[2]))  # parameters behind one of the last digit
    told = int(digits.replace(".", ""))
    off = min(abs(count // unit - told), abs(round(count / unit) - told))  # the paper cuts off, and rounds in Table 3
    return Verdict.REPRODUCED if off == 0 else Verdict.CLOSE if off == 1 else Verdict.NOT_REPRODUCED


def _other_counts(model: str, dataset: str, count: int, runs: ClaimRuns) -> list[int]:
    """Counts that complete runs of the network tell, where they are not the architecture's."""
    cells = [cell for cell in runs.cells.values() if cell.cell.run is not None]
    of_it = [cell for cell in cells if (cell.cell.run.model, cell.cell.run.dataset) == (model, dataset)]  # type: ignore[union-attr]
    return sorted({each for cell in of_it for each in cell.values("parameters")} - {count})
