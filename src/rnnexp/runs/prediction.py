"""Predictions of a finished run for new samples."""

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rnnexp.compat.lightning import lightning_errors
from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import write_text
from rnnexp.core.printable import spreadsheet_cell
from rnnexp.runs.evaluation import Changes, load_finished
from rnnexp.tracking.run_directory import RunDirectory

log = logging.getLogger(__name__)

Columns = Mapping[str, Sequence[object]]
"""Name -> a value of each row."""


def predictions_of(run: RunDirectory, weights: str | None, changes: Changes, trust: Sequence[str]) -> Columns:
    """Return the names of the samples of a file, and the predictions for them.

    Args:
        run: the directory of the run.
        weights: see `choose_weights`.
        changes: other values for the config group `data`; its `predict` is the file.
        trust: modules whose code may be called, see `rnnexp.runs.frozen.config`.

    Raises:
        UserError: for a run whose data read no such files, and see `load_finished`.
    """
    if "predict" not in run.read_config()["data"]:
        raise UserError(
            f"run: {run.path} was not trained on data=sequences, and no other data read new samples from a file: "
            "use python -m rnnexp.translate for a translation, or evaluate"
        )
    experiment, _ = load_finished(run, weights, changes, trust)
    datamodule: Any = experiment.datamodule
    with lightning_errors():
        batches: Any = experiment.trainer.predict(experiment.task, datamodule=datamodule)
    outputs = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    keys, columns = datamodule.prediction_keys(), experiment.task.prediction_columns(outputs)
    # A number to predict may have the name of the column of ids.
    return {**keys, **{f"predicted {name}" if name in keys else name: values for name, values in columns.items()}}


def write_csv(path: Path, columns: Columns) -> None:
    """Write columns of equal length as a CSV file with a header, completely or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(spreadsheet_cell, columns))
    # All digits of a number: if rounded, times and large numbers that differ little would become equal.
    writer.writerows(map(spreadsheet_cell, row) for row in zip(*columns.values(), strict=True))
    write_text(path.resolve(), text.getvalue())
    log.info("%s rows: %s", f"{len(next(iter(columns.values()))):,}", path)
