"""The callback that measures the gradient through time, gate saturation and spectral radii in each epoch."""

import copy
import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import write_text
from rnnexp.core.validation import require_positive
from rnnexp.data.loading.resumable import ResumableLoader
from rnnexp.recurrent.gradient_flow import (
    first_over_last,
    gradient_norms,
    mean_over_running,
    recorded,
    saturation,
    spectral_radii,
)
from rnnexp.tasks.base import Task
from rnnexp.tasks.examples import spread

Row = tuple[int, str, int | str, float]
"""layer, quantity, index, value"""


class GradientFlow(Callback):
    """A callback that measures a copy of the model after each validation, on the same few validation sequences.

    The copy runs its equations step by step in float32 and without dropout: weights, their gradients, random numbers
    and the precision of training do not change. The rows of an epoch are those of its last validation.

    Logs `gradient_flow/gradient_ratio`, the mean norm of dL/dh of the first layer at the first step over that at each
    sequence's last step; `gradient_flow/saturation`, the mean over gates, layers and directions; and
    `gradient_flow/spectral_radius`, the largest of all blocks. A cell that names no gates has no saturation.

    Args:
        path: the file to write, a row per number: `epoch` from 1, `layer` from 0, `quantity`, `index`, `value`.
            `gradient_norm`: ||dL/dh_t|| of the forward direction, the mean over sequences that still run; t from 1.
            `saturation` and `spectral_radius`: by block, `f` or `f_reverse`. See `rnnexp.recurrent.gradient_flow`.
        num_sequences: the number of sequences, spread evenly over the split.
    """

    COLUMNS = ("epoch", "layer", "quantity", "index", "value")

    def __init__(self, path: str, num_sequences: int) -> None:
        require_positive(num_sequences=num_sequences)
        self.path = Path(path)
        self.num_sequences = num_sequences
        self._epochs: dict[int, str] = {}
        """Epoch -> its rows as in the file; a resumed run continues with them."""

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": dict(self._epochs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._epochs = dict(state_dict["epochs"])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Write the rows of a resumed run.

        Raises:
            UserError: if single samples of the validation split cannot be chosen.
        """
        loader = trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
        # It is an empty list without a validation split.
        if loader and not isinstance(loader, ResumableLoader):
            raise UserError(
                f"callbacks: GradientFlow chooses validation sequences from a ResumableLoader, and these data have a "
                f"{type(loader).__name__}: set its key in callbacks to null"
            )
        # A run that continues in a new directory may have no validation left.
        if self._epochs and trainer.is_global_zero:
            self._write()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        # Validation runs in inference mode, whose tensors cannot be differentiated.
        with torch.inference_mode(mode=False), torch.enable_grad():
            assert isinstance(pl_module, Task)
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            batch = data.transfer_batch_to_device(self._sequences(data), pl_module.device, 0)
            rows, summary = measure(pl_module, batch)
        epoch = trainer.current_epoch + 1
        self._epochs[epoch] = _as_csv((epoch, *row) for row in rows)
        self._write()
        for name, value in summary.items():
            pl_module.log(f"gradient_flow/{name}", value, rank_zero_only=True)

    def _write(self) -> None:
        write_text(self.path, _as_csv([self.COLUMNS]) + "".join(self._epochs.values()))

    def _sequences(self, data: Any) -> Any:  # noqa: ANN401 (a data module, and a batch of its type)
        loader: ResumableLoader[Any] = data.val_dataloader()
        samples = torch.cat(list(loader.batches()))
        # Spread over the split, since sentences are sorted by length.
        return loader.gather(samples[spread(len(samples), self.num_sequences)])


def measure(task: Task, batch: Any) -> tuple[list[Row], dict[str, float]]:  # noqa: ANN401 (a batch of its type)
    """Return all rows for a batch on the task's device, and the values that are logged, by name."""
    model, stack = copy.deepcopy((task.model, task.stack))
    model.eval().float()
    with recorded(stack) as steps:
        norms = gradient_norms(task.loss(task.logits(model, batch), batch), stack, steps)
    mask = steps.mask.cpu()
    ratio = first_over_last(norms[0], mask).item()
    rows: list[Row] = []
    for layer, means in enumerate(mean_over_running(norms, mask).tolist()):
        rows += [(layer, "gradient_norm", t, mean) for t, mean in enumerate(means, start=1)]
        for reverse in (False, True)[: stack.directions]:
            suffix = "_reverse" * reverse
            shares, radii = saturation(stack, steps, layer, reverse), spectral_radii(stack, layer, reverse)
            rows += [(layer, "saturation", f"{block}{suffix}", share) for block, share in shares.items()]
            rows += [(layer, "spectral_radius", f"{block}{suffix}", radius) for block, radius in radii.items()]
    return rows, {"gradient_ratio": ratio, **_summary(rows)}


def _summary(rows: Sequence[Row]) -> dict[str, float]:
    values = defaultdict(list)
    for _layer, quantity, _index, value in rows:
        values[quantity].append(value)
    summary = {}
    if values["spectral_radius"]:
        # torch's maximum is NaN if one of the values is.
        summary["spectral_radius"] = torch.tensor(values["spectral_radius"]).max().item()
    if values["saturation"]:
        summary["saturation"] = fmean(values["saturation"])
    return summary


def _as_csv(rows: Iterable[tuple[Any, ...]]) -> str:
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows)
    return table.getvalue()
