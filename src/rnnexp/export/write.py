"""The directory of an exported run: checked graphs and a description, complete or absent."""

import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rnnexp
from rnnexp.core.errors import UserError, first_line
from rnnexp.core.files.atomic import sync_directory, write_json
from rnnexp.core.validation import validate_choice
from rnnexp.export.checks import largest_difference, metrics_with, require_equal
from rnnexp.export.formats import FORMATS, Format, require_packages
from rnnexp.export.parts import Export, Part
from rnnexp.inference.loading import load_predictor
from rnnexp.runs.evaluation import load_finished
from rnnexp.tasks.registry import kind_of_target, load_function
from rnnexp.tracking.run_directory import RunDirectory

SCHEMA_VERSION = 1
DESCRIPTION = "export.json"


def export_run(
    run: RunDirectory, format_name: str, output: Path | None, weights: str | None, trust: Sequence[str]
) -> dict[str, Any]:
    """Write the network of a run as files of a format, and return their description.

    Args:
        run: the directory of the run.
        format_name: one of `FORMATS`.
        output: the directory to write; None for `exports/<format>` of the run.
        weights: see `rnnexp.runs.checkpoints.choose_weights`.
        trust: modules whose code may be called, see `rnnexp.runs.frozen.config`.

    Raises:
        UserError: for a task without an export, a directory that exists, a package that is missing, and files that
            differ from the run.
    """
    try:
        validate_choice("format", format_name, FORMATS)
    except ValueError as error:
        raise UserError(str(error)) from None
    require_packages(format_name)
    target = run.exports / format_name if output is None else output
    if target.exists():
        raise UserError(f"output {target} exists: remove it, or name another with output=")
    kind = kind_of_target(run.read_config()["task"]["_target_"])
    if kind.export is None:
        raise UserError(f"{run.path}: the task {kind.name!r} has no export")
    predictor = load_predictor(run.path, weights, trust)
    export: Export = load_function(kind.export)(predictor)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}")
    temporary.mkdir()
    try:
        description = _write(run, export, format_name, temporary, weights, trust)
        write_json(temporary / DESCRIPTION, description)
        sync_directory(temporary)
        temporary.rename(target)
        sync_directory(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {**description, "directory": str(target)}


def _write(
    run: RunDirectory, export: Export, format_name: str, place: Path, weights: str | None, trust: Sequence[str]
) -> dict[str, Any]:
    """Write the graphs of a run into a directory, check them, and return their description."""
    chosen = FORMATS[format_name]
    parts = export.parts(chosen.run_layer)
    for part in parts:
        try:
            chosen.write(part, place / f"{part.name}{chosen.ending}")
        except RuntimeError as error:  # of an exporter, such as an operator that the format does not have
            raise UserError(
                f"{run.path}: format={format_name} cannot hold this network: {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error
    stand_in = export.stand_in({part.name: chosen.read(part, place / f"{part.name}{chosen.ending}") for part in parts})
    experiment, checkpoint = load_finished(run, weights, {}, trust)
    batch = next(iter(experiment.datamodule.test_dataloader()))
    difference = largest_difference(export, stand_in.eval(), batch)
    expected = metrics_with(experiment.task.model, experiment)
    found = metrics_with(stand_in, experiment)
    require_equal(expected, found)
    return {
        "schema_version": SCHEMA_VERSION,
        "rnnexp": rnnexp.__version__,
        "run": run.path.name,
        "weights": str(checkpoint.relative_to(run.path)),
        "task": experiment.task.kind.name,
        "format": format_name,
        "model": experiment.task.model_info,
        "graphs": {f"{part.name}{chosen.ending}": _interface(part, place, chosen) for part in parts},
        **export.description(batch),
        "check": {"largest_difference": difference, "metrics_of_run": expected, "metrics": found},
    }


def _interface(part: Part, place: Path, chosen: Format) -> dict[str, Any]:
    def plain(axes: Mapping[str, Sequence[int | str]]) -> dict[str, list[int | str]]:
        return {name: list(shape) for name, shape in axes.items()}

    num_bytes = (place / f"{part.name}{chosen.ending}").stat().st_size
    return {"inputs": plain(part.axes), "outputs": plain(part.results), "bytes": num_bytes}
