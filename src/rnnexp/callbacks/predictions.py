"""The callback that saves the prediction for every test sample, so that runs can be compared sample by sample."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from rnnexp.core.files.atomic import write_bytes
from rnnexp.tasks.base import Task
from rnnexp.tasks.callbacks import ResultWriter


class PredictionWriter(ResultWriter):
    """A callback that gathers tensors that `test_step` returns and saves them, in the order of the test set.

    It writes nothing for a task that names no `test_outputs` and whose row of the registry names no callbacks that fit.

    Args:
        path: the file to write, with `torch.save`: a dict of the tensors [samples] that `Task.test_outputs` names, and
            `ids`, a list of text, if the samples have names in their file, see `DataModule.test_ids`.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._batches: list[dict[str, Tensor]] = []

    def fits(self, task: Task) -> bool:
        return bool(task.test_outputs) or not task.kind.callbacks_options

    def on_test_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,  # noqa: ARG002
    ) -> None:
        assert isinstance(pl_module, Task)
        if pl_module.test_outputs:
            self._batches.append({name: outputs[name] for name in pl_module.test_outputs})

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._batches:
            return
        assert isinstance(pl_module, Task)
        predictions: dict[str, Tensor | list[str]] = {
            name: torch.cat([b[name] for b in self._batches]).cpu() for name in self._batches[0]
        }
        self._batches.clear()
        if (ids := trainer.datamodule.test_ids) is not None:  # type: ignore[attr-defined]
            # The test may be limited to some batches.
            predictions["ids"] = list(ids)[: pl_module.num_test_samples]
        # Through a buffer, since the error of torch.save does not name a full disk.
        buffer = io.BytesIO()
        torch.save(predictions, buffer)
        write_bytes(self.path, buffer.getbuffer())
