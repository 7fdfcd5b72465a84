"""One run folder: complete, absent, or unusable and why. A bad folder is never an exception."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from softshare.errors import shorten
from softshare.evidence.paths.scores import planned_epochs, read_path_scores
from softshare.evidence.runs.checks import UnusableError, check_number, same_error
from softshare.evidence.runs.history import column, read_history
from softshare.files import LARGEST_TEXT, parse_json, plain_file
from softshare.names import SHORTEST_PATHS
from softshare.runfiles import CHECKPOINT, DIVERGED, HISTORY, MANIFEST, METRICS
from softshare.scales import Run


class State(StrEnum):
    """Whether a run's numbers may be used."""

    COMPLETE = "complete"
    ABSENT = "absent"
    UNUSABLE = "unusable"


@dataclass(frozen=True)
class Code:
    """The code that a run was trained with; a commit with changes is another code than the commit.

    Attributes:
        commit: None where none is recorded.
        dirty: Whether there were uncommitted changes; None where that is not recorded.
        digest: SHA-256 of the source files that train; None where that is not recorded.
    """

    commit: str | None
    dirty: bool | None
    digest: str | None = None

    def __str__(self) -> str:
        return f"{self.commit}{' with changes' if self.dirty else ''}"

    @property
    def words(self) -> str:
        """The same for a reader, who is told too where nothing is recorded."""
        if self.commit is None:
            return "commit not recorded"
        known = {True: "with uncommitted changes", False: "clean", None: "whether clean: not recorded"}
        return f"commit {self.commit[:12]} ({known[self.dirty]})"


@dataclass(frozen=True)
class Record:
    """What a run folder holds.

    Attributes:
        run: The run that the plan names.
        folder: Its folder below the results of the scale, such as `runs/digits/swrn-22-1/cifar/seed0`.
        state: Whether its numbers may be used.
        reason: Why not; empty for a complete run.
        diverged: Whether its loss became no number: no run that failed by chance, but a result of its setting.
        metrics: Content of metrics.json; empty unless complete.
        manifest: Content of manifest.json, or of diverged.json; empty of a run that neither ended nor diverged.
    """

    run: Run
    folder: Path
    state: State
    reason: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    diverged: bool = False

    @property
    def complete(self) -> bool:
        """Whether its numbers may be used."""
        return self.state is State.COMPLETE

    @property
    def error(self) -> float:
        """Test error after the last epoch, in percent; a run on shortest paths has none."""
        return float(self.metrics["test"]["error"])

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the training, apart from the seed."""
        return {key: value for key, value in self.manifest["settings"].items() if key != "seed"}

    @property
    def devices(self) -> tuple[str, ...]:
        """The hardware that trained it; several in turn if it was resumed elsewhere. Empty = not recorded."""
        of_run = self.manifest.get("device")
        # Stretches of before they told theirs were trained on the run's own, as far as is known.
        told = [stretch.get("device", of_run) for stretch in self.manifest.get("stretches") or [{}]]
        return tuple(dict.fromkeys(str(each) for each in told if each is not None))

    @property
    def device(self) -> str | None:
        """Its devices in words. None = not recorded."""
        return ", then ".join(self.devices) or None

    @property
    def lossy(self) -> str | None:
        """What is said of images that are not the original pixels; None where they are, or are none."""
        source = self.manifest.get("dataset", {}).get("source") or ""
        return f"lossy images in place of the original pixels: {source}" if "JPEG" in source else None

    @property
    def stretches(self) -> tuple[Code, ...]:
        """The code of each stretch that it was trained in: a further one wherever code, torch or device changed."""
        return tuple(_code(stretch) for stretch in self.manifest.get("stretches") or [self.manifest])

    @property
    def codes(self) -> tuple[Code, ...]:
        """The code it was trained with; several if it was resumed with another."""
        return tuple({str(code): code for code in self.stretches}.values())

    @property
    def clean(self) -> bool:
        """Whether it is recorded that no stretch of it was trained with uncommitted changes."""
        return all(told.get("dirty") is False for told in (self.manifest, *self.manifest.get("stretches", ())))


def _code(told: dict[str, Any]) -> Code:
    commit, dirty, digest = told.get("commit"), told.get("dirty"), told.get("code")
    known = digest if isinstance(digest, str) and digest else None
    return Code(None if commit is None else str(commit), None if dirty is None else bool(dirty), known)


def read_run(results: Path, run: Run) -> Record:
    """Reads the folder of a run.

    Args:
        results: `results/<scale>`.
        run: A run of the plan.
    """
    folder = Path("runs") / run.folder
    place = results / folder
    try:
        if not place.is_dir() or not any(place.iterdir()):
            return Record(run, folder, State.ABSENT, "not run")
        if (place / DIVERGED).is_file() and not (place / METRICS).exists():
            told = _read_object(place / DIVERGED)
            reason = _how_it_diverged(told, run)
            return Record(run, folder, State.UNUSABLE, reason, manifest=told, diverged=True)
        if (place / CHECKPOINT).is_file() and not (place / METRICS).exists():
            return Record(run, folder, State.ABSENT, "in training, or stopped before its end")
        metrics = _read_object(place / METRICS)
        manifest = _read_object(place / MANIFEST)
        _check_metrics(metrics, run)
        if run.setting.dataset == SHORTEST_PATHS:
            _check_manifest(manifest, metrics, run)
            read_path_scores(place / HISTORY, metrics, manifest["settings"])
        else:
            _check_errors(metrics)
            _check_manifest(manifest, metrics, run)
            _check_history(place / HISTORY, metrics)
    except UnusableError as error:
        return Record(run, folder, State.UNUSABLE, str(error))
    except OSError as error:
        return Record(run, folder, State.UNUSABLE, f"cannot be read ({error.strerror})")
    return Record(run, folder, State.COMPLETE, "", metrics, manifest)


def _how_it_diverged(told: dict[str, Any], run: Run) -> str:
    if not isinstance(told.get("settings"), dict):
        raise UnusableError(f"{DIVERGED}: settings are missing")
    _check_key(told["settings"], run, DIVERGED)
    check_number(told.get("epoch"), f"{DIVERGED}: epoch", low=1, whole=True)
    return f"diverged in epoch {told['epoch']}: {shorten(str(told.get('reason')))}"


def _read_object(file: Path) -> dict[str, Any]:
    try:
        value = parse_json(plain_file(file, LARGEST_TEXT).read_text(encoding="utf-8"))
        str(value).encode()  # JSON may hold halves of characters, which nothing can be written with
    except FileNotFoundError:
        raise UnusableError(f"{file.name} is missing: the run has not finished") from None
    except (ValueError, RecursionError):
        raise UnusableError(f"{file.name} is not JSON: truncated?") from None
    except OSError as error:
        raise UnusableError(f"{file.name} cannot be read ({error.strerror})") from None
    if not isinstance(value, dict):
        raise UnusableError(f"{file.name} holds no JSON object")
    return value


def _check_metrics(metrics: dict[str, Any], run: Run) -> None:
    _check_key(metrics, run, METRICS)
    for key in ("epochs", "parameters"):
        check_number(metrics.get(key), f"metrics.json: {key}", low=1, whole=True)
    check_number(metrics.get("train_loss"), "metrics.json: train_loss")


def _check_errors(metrics: dict[str, Any]) -> None:
    _check_evaluation(metrics.get("test"), "test")
    if metrics.get("validation") is not None:
        _check_evaluation(metrics["validation"], "validation")


def _check_evaluation(value: object, name: str) -> None:
    if not isinstance(value, dict):
        raise UnusableError(f"metrics.json: {name} is missing")
    name = f"metrics.json: {name}"
    check_number(value.get("error"), f"{name}.error", low=0, high=100)
    check_number(value.get("top5_error"), f"{name}.top5_error", low=0, high=100)
    check_number(value.get("loss"), f"{name}.loss", low=0)
    check_number(value.get("images"), f"{name}.images", low=1, whole=True)
    if value["top5_error"] > value["error"]:
        raise UnusableError(f"{name}.top5_error is above the error")


def _check_manifest(manifest: dict[str, Any], metrics: dict[str, Any], run: Run) -> None:
    settings = manifest.get("settings")
    if not isinstance(settings, dict):
        raise UnusableError("manifest.json: settings are missing")
    _check_key(settings, run, MANIFEST)
    epochs = planned_epochs(settings) if run.setting.dataset == SHORTEST_PATHS else settings.get("epochs")
    if metrics["epochs"] != epochs:
        raise UnusableError(f"metrics.json tells of epoch {metrics['epochs']} of {epochs}")
    for key in ("wall_seconds", "device_seconds"):
        check_number(manifest.get(key), f"manifest.json: {key}", low=0)
    for key in ("versions", "dataset"):
        if not isinstance(manifest.get(key), dict):
            raise UnusableError(f"manifest.json: {key} is missing")
    stretches = manifest.get("stretches", [])
    if not isinstance(stretches, list) or not all(isinstance(stretch, dict) for stretch in stretches):
        raise UnusableError("manifest.json: stretches are no list of objects")


def _check_history(file: Path, metrics: dict[str, Any]) -> None:
    rows = read_history(file)
    errors = column(rows, "test_error")
    if len(rows) != metrics["epochs"]:
        raise UnusableError(f"history.csv tells of {len(rows)} epochs, metrics.json of {metrics['epochs']}")
    error = metrics["test"]["error"]
    # The last row and metrics.json tell of the same weights; a best epoch would flatter by 0.14 and more.
    if not same_error(errors[-1], error, metrics["test"]["images"]):
        raise UnusableError(f"metrics.json: test.error {error} is not the last epoch's in history.csv, {errors[-1]}")


def _check_key(value: dict[str, Any], run: Run, file: str) -> None:
    setting = run.setting
    # Until 27 November 2026 runs recorded a recipe's name up to its last dot: `cifar-recurrent-0` of
    # `cifar-recurrent-0.1`. What parts such recipes is their settings, which `gather` holds against the plan.
    recipe = setting.recipe
    if "." in recipe and value.get("recipe") == recipe.rpartition(".")[0]:
        recipe = value["recipe"]
    wanted = {"dataset": setting.dataset, "model": setting.model, "recipe": recipe, "seed": run.seed}
    for key, right in wanted.items():
        if value.get(key) != right or isinstance(value.get(key), bool):
            raise UnusableError(f"{file} belongs to another run: {key} {value.get(key)!r} in place of {right!r}")
