"""Callbacks that make a run resumable: the random state in its checkpoints, and a checkpoint when a signal ends it."""

import logging
import signal
from contextlib import ExitStack
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch.distributed import all_gather_object, get_world_size, is_initialized

from rnnexp.core.errors import InterruptedRunError
from rnnexp.core.signals import STOP_SIGNALS, handling, name_of

log = logging.getLogger(__name__)


class SaveOnSignal(Checkpoint):
    """A callback that saves and ends training at the next batch boundary after a signal that would end the process.

    A second Ctrl-C stops at once. The handler of the signals only sets a flag: it may interrupt an optimizer step, or
    another log message. The callback is a `Checkpoint`, so that Lightning calls it last at the end of an epoch, after
    metrics are logged and the best checkpoint is chosen.

    Args:
        checkpoint: the file to save, `last.ckpt` of the run.

    Raises:
        InterruptedRunError: from `Trainer.fit`, after saving.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint
        self._received: int | None = None
        self._is_announced = False
        self._handling = ExitStack()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._handling.enter_context(handling(STOP_SIGNALS, self._receive))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        # Not in teardown: Lightning has restored its own handlers by then, and this would replace them.
        self._handling.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        # Lightning does not call teardown after an error, and Ctrl-C would have no effect afterwards.
        self._handling.close()

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self._received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = number

    def _announce(self) -> None:
        if self._received is not None and not self._is_announced:
            self._is_announced = True
            name = name_of(self._received)
            log.warning("%s received: saving at the next batch boundary (Ctrl-C again to stop at once)", name)

    def on_validation_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ANN401, ARG002
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,  # noqa: ARG002
    ) -> None:
        self._announce()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ANN401, ARG002
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,
    ) -> None:
        self._announce()
        num_batches = batch_idx + 1
        # Lightning restores neither a validation that was due after the batch nor gradients that were accumulated.
        ends_epoch = num_batches >= trainer.num_training_batches or trainer.global_step == trainer.max_steps
        # Without epochs between validations their interval counts the batches of all epochs.
        num_counted = num_batches if trainer.check_val_every_n_epoch else trainer.fit_loop.total_batch_idx + 1
        validates = trainer.val_check_batch is not None and num_counted % trainer.val_check_batch == 0
        accumulates = num_batches % trainer.accumulate_grad_batches != 0
        if not (ends_epoch or validates or accumulates):
            self._stop_if_signaled(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._announce()
        self._stop_if_signaled(trainer)

    def _stop_if_signaled(self, trainer: Trainer) -> None:
        number = self._received
        if trainer.world_size > 1:
            # The signal reaches the ranks at different times; all must save at the same batch.
            received = torch.tensor(number or 0, device=trainer.strategy.root_device)
            number = int(trainer.strategy.reduce(received, reduce_op="max")) or None
        if number is None:
            return
        trainer.save_checkpoint(self.checkpoint)
        raise InterruptedRunError(
            f"interrupted by {name_of(number)} in epoch {trainer.current_epoch + 1} after {trainer.global_step} steps",
            number,
        )


class RandomState(Callback):
    """A callback that saves torch's random state, of the CPU and of the GPU that trains, and restores it at the start.

    Each process of a run has a state of its own: sentences of other lengths draw dropout masks of other sizes. Other
    GPUs are left alone: a run that continues may see another number of them, and one on the CPU needs none.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, Any] | None = None
        self._device = torch.device("cpu")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        self._device = trainer.strategy.root_device

    def state_dict(self) -> dict[str, Any]:
        """Return the states, `cpu` and `cuda`, of each rank. Every process calls it at the same time."""
        on_gpu = self._device.type == "cuda"
        state = {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state(self._device) if on_gpu else None}
        states: list[Any] = [state]
        if is_initialized():
            states = [None] * get_world_size()
            all_gather_object(states, state)
        return {"ranks": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        # Not earlier, since making the optimizer and the loaders may draw random numbers.
        loaded, self._loaded = self._loaded, None
        if loaded is None:
            return
        # Another number of processes has another order of samples as well.
        state = loaded["ranks"][trainer.global_rank % len(loaded["ranks"])]
        torch.set_rng_state(state["cpu"].cpu())
        if state["cuda"] is not None and self._device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"].cpu(), self._device)
