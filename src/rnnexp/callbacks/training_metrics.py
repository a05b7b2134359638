"""Callbacks that log metrics of training: the learning rate, the norm of the gradient and the throughput."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from rnnexp.tasks.base import Task, is_logged_step
from rnnexp.tracking.stopwatch import seconds_since_process_start


class LearningRate(Callback):
    """A callback that logs `train/lr`, the rate of the optimizer's first group, at logged steps.

    Lightning's LearningRateMonitor raises an error without a logger, and names its column after the optimizer's class.
    """

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        if is_logged_step(trainer):
            pl_module.log("train/lr", trainer.optimizers[0].param_groups[0]["lr"])


class GradientNorm(Callback):
    """A callback that logs `train/grad_norm`, the Euclidean norm of the gradient before clipping, at logged steps."""

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:  # noqa: ARG002
        if is_logged_step(trainer):
            gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
            pl_module.log("train/grad_norm", torch.nn.utils.get_total_norm(gradients))


class Throughput(Callback):
    """A callback that logs `train/samples_per_second`, and `train/tokens_per_second` if the task counts tokens.

    It measures training without validation, checkpoints and the first step of a process, which builds what later steps
    reuse. Time is read when training pauses for one of them and at the end of an epoch, after waiting for the device. A
    run that continues adds to what its checkpoint holds.

    Attributes:
        first_step_seconds: the time from the start of the process to the end of the first step of the run.
        earlier_seconds: the time that earlier processes of the run trained, with validation and checkpoints.

    Lightning's ThroughputMonitor needs a logger, and counts batches of a fixed size over a window of steps.
    """

    def __init__(self) -> None:
        self.first_step_seconds: float | None = None
        self.samples_per_second: float | None = None
        self.tokens_per_second: float | None = None
        self.earlier_seconds = 0.0
        self._start = 0.0
        self._seconds = 0.0
        self._samples = self._tokens = 0
        # None while training pauses.
        self._since: float | None = None
        self._loss: Tensor | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._start = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._since = time.perf_counter()

    def on_train_batch_start(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        self._since = self._since or time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        is_first, self._loss = self._loss is None, outputs["loss"]
        if is_first:
            outputs["loss"].item()
            self.first_step_seconds = self.first_step_seconds or seconds_since_process_start()
            self._since = time.perf_counter()
            return
        assert isinstance(pl_module, Task)
        self._samples += pl_module.num_samples(batch) * trainer.world_size
        self._tokens += (pl_module.num_tokens(batch) or 0) * trainer.world_size

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._pause()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._pause()
        if self.samples_per_second is not None:
            pl_module.log("train/samples_per_second", self.samples_per_second, sync_dist=True)
        if self.tokens_per_second is not None:
            pl_module.log("train/tokens_per_second", self.tokens_per_second, sync_dist=True)

    def _pause(self) -> None:
        """Count the time since training went on, which is until the device has finished the last step."""
        if self._since is not None and self._loss is not None:
            self._loss.item()
            self._seconds += time.perf_counter() - self._since
            self._divide()
        self._since = None

    def _divide(self) -> None:
        if self._seconds and self._samples:
            self.samples_per_second = self._samples / self._seconds
        if self._seconds and self._tokens:
            self.tokens_per_second = self._tokens / self._seconds

    def state_dict(self) -> dict[str, Any]:
        # The time that it takes to write a checkpoint is not that of training.
        self._pause()
        return {
            "first_step_seconds": self.first_step_seconds,
            "earlier_seconds": self.earlier_seconds + time.perf_counter() - self._start,
            "seconds": self._seconds,
            "samples": self._samples,
            "tokens": self._tokens,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.first_step_seconds, self.earlier_seconds = state_dict["first_step_seconds"], state_dict["earlier_seconds"]
        self._seconds, self._samples, self._tokens = (state_dict[key] for key in ("seconds", "samples", "tokens"))
        self._divide()
