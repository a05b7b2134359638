"""An estimate of the time of one job, from some batches of its training, which also show whether it runs here."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from rnnexp.core.clock import now
from rnnexp.runs.build import build_experiment
from rnnexp.runs.settings import RunSettings
from rnnexp.runs.stages import check_precision, fit
from rnnexp.tracking.run_directory import RunDirectory

NUM_WARMUP = 5
"""The number of batches before the clock starts; the first ones allocate memory that later ones reuse."""
NUM_TIMED = 30
MAX_SECONDS = 10.0
"""The time after which training ends with fewer batches."""


class BatchClock(Callback):
    """A callback that times some batches of training and then ends the training.

    The time of a batch includes loading it, all hooks, the optimizer and the scheduler.
    """

    def __init__(self) -> None:
        self.num_batches = float("inf")
        """The number of batches of the whole training, without an early stop."""
        self.seconds_per_batch = 0.0
        self._num_seen = self._num_since_start = 0
        self._first_start = self._start = 0.0

    @property
    def training_seconds(self) -> float:
        """The estimated time of the whole training, without validation."""
        return self.num_batches * self.seconds_per_batch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        # Lightning's number of optimizer steps takes max_steps, max_epochs, limit_train_batches and accumulation into
        # account.
        self.num_batches = trainer.estimated_stepping_batches * trainer.accumulate_grad_batches
        self._first_start = self._start = now(trainer.strategy.root_device)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ANN401, ARG002
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        self._num_seen += 1
        self._num_since_start += 1
        if self._num_seen == NUM_WARMUP:
            self._start, self._num_since_start = now(trainer.strategy.root_device), 0
        is_late = time.perf_counter() - self._first_start > MAX_SECONDS
        trainer.should_stop = is_late or self._num_seen == NUM_WARMUP + NUM_TIMED

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        if self._num_since_start == 0:
            self._start, self._num_since_start = self._first_start, self._num_seen
        self.seconds_per_batch = (now(trainer.strategy.root_device) - self._start) / max(self._num_since_start, 1)


def training_seconds(config: Mapping[str, Any]) -> float:
    """Return the estimated time of a training with one process in seconds, from its first batches.

    Args:
        config: the resolved config of a job.

    Raises:
        UserError: if it cannot run here.
    """
    trainer = {
        **config["trainer"],
        "devices": 1,
        "num_nodes": 1,
        "limit_val_batches": 0,
        "default_root_dir": None,
        # A minimum would prevent the clock from ending the training.
        "min_epochs": None,
        "min_steps": None,
    }
    clock = {"_target_": f"{BatchClock.__module__}.{BatchClock.__qualname__}"}
    small = {**config, "logger": {}, "callbacks": {"clock": clock}, "test_weights": "none", "trainer": trainer}
    # The estimate writes no files; the directory need not exist.
    run = RunDirectory(Path(config["paths"]["output_dir"]))
    experiment = build_experiment(RunSettings.from_config(small, run))
    check_precision(experiment)
    fit(experiment)
    found = next(callback for callback in experiment.callbacks if isinstance(callback, BatchClock))
    return found.training_seconds
