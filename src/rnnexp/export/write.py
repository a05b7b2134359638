"""The directory of an exported run: checked graphs and a description, complete or absent."""

import math
import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import rnnexp
from rnnexp.core.errors import UserError, first_line
from rnnexp.core.files.atomic import sync_directory, write_json
from rnnexp.core.signals import STOP_SIGNALS_BUT_CTRL_C, interrupted_by
from rnnexp.export.checks import LARGEST_DIFFERENCE, largest_difference, metrics_with, require_close, require_equal
from rnnexp.export.formats import Format, choose_format
from rnnexp.export.parts import Export, Part
from rnnexp.export.quantization import integer_operators
from rnnexp.export.read import DESCRIPTION
from rnnexp.inference.loading import load_predictor
from rnnexp.runs.evaluation import flat, load_finished
from rnnexp.runs.frozen.inputs import sha256_of, stamp_of
from rnnexp.tasks.inference_record import is_number
from rnnexp.tasks.registry import kind_of_target
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.run_directory import RunDirectory

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Request:
    """The request for an export.

    Args:
        format_name: one of `rnnexp.export.formats.FORMATS`.
        quantize: `int8`, or None for the weights as they are.
        tolerance: how much worse the main measure of a quantized file may be, relative to its value for the run.
        weights: see `rnnexp.runs.checkpoints.choose_weights`.
        trust: modules whose code may be called, see `rnnexp.runs.frozen.config`.
        data: other values for the config group `data`, on whose test set the files are checked.

    Raises:
        UserError: for a tolerance that is not a number of at least 0.
    """

    format_name: str
    quantize: str | None
    tolerance: float
    weights: str | None
    trust: Sequence[str]
    data: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not is_number(self.tolerance) or self.tolerance < 0:
            raise UserError(f"tolerance must be a number of at least 0, not {self.tolerance!r}")

    @property
    def name(self) -> str:
        """The name of the directory in `exports/`: `onnx`, `onnx_int8`."""
        return f"{self.format_name}_{self.quantize}" if self.quantize else self.format_name


def export_run(run: RunDirectory, request: Request, output: Path | None) -> dict[str, Any]:
    """Write the network of a run as files of a format, and return their description.

    Args:
        run: the directory of the run.
        request: what is asked for.
        output: the directory to write; None for one in `exports/` of the run.

    Raises:
        UserError: for a task without an export, a directory that exists, a package that is missing, and files that
            differ from the run.
    """
    chosen = choose_format(request.format_name, request.quantize)
    target = run.exports / request.name if output is None else output
    if target.exists():
        raise UserError(f"output {target} exists: remove it, or name another with output=")
    kind = kind_of_target(run.read_config()["task"]["_target_"])
    if kind.export is None:
        raise UserError(f"{run.path}: the task {kind.name!r} has no export")
    predictor = load_predictor(run.path, request.weights, request.trust)
    export: Export = resolve_name(kind.export)(predictor)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}")
    try:
        temporary.mkdir(parents=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"output {target}: {target.parent} is not a directory") from None
    try:
        with interrupted_by(STOP_SIGNALS_BUT_CTRL_C):
            description = _write(run, export, chosen, request, temporary)
            write_json(temporary / DESCRIPTION, description)
            sync_directory(temporary)
            temporary.rename(target)
            sync_directory(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):
            # `exports/` of the run, if nothing is in it.
            run.exports.rmdir()
    return {**description, "directory": str(target)}


def _write(run: RunDirectory, export: Export, chosen: Format, request: Request, place: Path) -> dict[str, Any]:
    """Write the graphs of a run into a directory, check them, and return their description."""
    parts = export.parts(chosen.run_layer)
    for part in parts:
        try:
            chosen.write(part, place / f"{part.name}{chosen.ending}")
        except RuntimeError as error:  # of an exporter, such as an operator that the format does not have
            raise UserError(
                f"{run.path}: format={request.format_name} cannot hold this network: {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error
    stand_in = export.stand_in({part.name: chosen.read(part, place / f"{part.name}{chosen.ending}") for part in parts})
    # The files compute in 32 bits, whatever the precision of training.
    changes = {"trainer": {"precision": "32-true"}, "data": request.data}
    experiment, checkpoint = load_finished(run, request.weights, changes, request.trust)
    batch = next(iter(experiment.datamodule.test_dataloader()))
    bound = math.inf if request.quantize else LARGEST_DIFFERENCE
    difference = largest_difference(export, stand_in.eval(), batch, bound)
    expected = metrics_with(experiment.task.model, experiment)
    found = metrics_with(stand_in, experiment)
    if request.quantize:
        main = experiment.task.kind.main
        require_close(main, expected[main.name], found[main.name], request.tolerance)
    else:
        require_equal(expected, found)
    return {
        "schema_version": SCHEMA_VERSION,
        "rnnexp": rnnexp.__version__,
        "run": run.path.name,
        "config_hash": config_hash(run.read_config()),
        "weights": str(checkpoint.relative_to(run.path)),
        "weights_sha256": sha256_of(checkpoint, stamp_of(checkpoint)),
        "task": experiment.task.kind.name,
        "format": request.format_name,
        "quantize": request.quantize,
        "model": experiment.task.model_info,
        "graphs": {f"{part.name}{chosen.ending}": _interface(part, place, chosen, request) for part in parts},
        **export.description(batch),
        "check": {
            "changed": flat({"data": request.data}),
            "largest_difference": difference,
            "metrics_of_run": expected,
            "metrics": found,
        },
    }


def _interface(part: Part, place: Path, chosen: Format, request: Request) -> dict[str, Any]:
    def plain(axes: Mapping[str, Sequence[int | str]]) -> dict[str, list[int | str]]:
        return {name: list(shape) for name, shape in axes.items()}

    file = place / f"{part.name}{chosen.ending}"
    quantized = {"integer_operators": integer_operators(file)} if request.quantize else {}
    return {"inputs": plain(part.axes), "outputs": plain(part.results), "bytes": file.stat().st_size, **quantized}
