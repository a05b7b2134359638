"""Callbacks that save the checkpoints of a run, under fixed names."""

import io
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from rnnexp.callbacks.ties import ConstantMetric, loss_of, rank
from rnnexp.callbacks.validations import VALIDATION, LastValidation, is_within_epoch
from rnnexp.core.files.atomic import written_atomically
from rnnexp.core.files.sealed_archive import sealed
from rnnexp.core.validation import require_positive

log = logging.getLogger(__name__)

EPOCH = "epoch-{epoch:03d}"
"""The name of the checkpoint of an epoch, filled in by Lightning."""
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
"""The latest state of training, and the one before it, to which a run returns if the latest is damaged."""


class BestCheckpoint(ModelCheckpoint):
    """A callback that saves `best.ckpt`, the weights with the best monitored metric, over all parts of a resumed run.

    Among equal values, the one with the lowest validation loss is the best. A validation within an epoch counts as one
    at its end does.

    Args:
        dirpath: the directory of checkpoints.
        monitor: name of the metric, `val/acc`.
        mode: `max` or `min`.
    """

    def __init__(self, dirpath: str, monitor: str, mode: str) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self._best_loss = math.inf
        self._first_step = 0
        self._constant = ConstantMetric(monitor)
        self._validation = LastValidation()

    @property
    def _path(self) -> Path:
        return Path(str(self.dirpath)) / "best.ckpt"

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validation.record(trainer)
        # At the end of an epoch its metrics of training are logged first.
        if is_within_epoch(trainer) and str(self.monitor).startswith(VALIDATION):
            self.on_train_epoch_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._validation.measures(trainer, str(self.monitor)):
            super().on_train_epoch_end(trainer, pl_module)

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        if current is None:
            return False
        self._constant.watch(trainer, float(current))
        best, loss = self.best_model_score, loss_of(trainer)
        is_better = best is None or _is_better(trainer, self.mode, (current, loss), (best, self._best_loss))
        if is_better:
            self._best_loss = loss
        return is_better

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._first_step = trainer.global_step

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        self._constant.finish()
        has_trained = trainer.global_step > self._first_step
        is_validated = self._validation.is_of_now(trainer) or not sum(trainer.num_val_batches)
        if has_trained and not is_validated and str(self.monitor).startswith(VALIDATION):
            log.warning(
                "training ended at step %d, which no validation measured: set trainer.val_check_interval, or "
                "test_weights=last",
                trainer.global_step,
            )

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"best_loss": self._best_loss, "constant": self._constant.state_dict()}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        # It is beside the checkpoint to continue from: the recorded path is out of date if the run was moved.
        previous = Path(str(trainer.ckpt_path)).parent / "best.ckpt"
        if previous.is_file():
            _take_over(trainer, previous, self._path)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Copy the best score so far, and its checkpoint, from the run to continue."""
        if "constant" in state_dict:  # not in the checkpoints of earlier versions
            self._constant.load_state_dict(state_dict["constant"])
        path = str(self._path)
        # A score without its file would prevent this run from saving a best checkpoint.
        if not state_dict["best_model_path"] or not self._path.is_file():
            return
        moved = {
            "dirpath": self.dirpath,
            "best_model_path": path,
            "kth_best_model_path": path,
            "best_k_models": {path: state_dict["best_model_score"]},
            "last_model_path": "",
        }
        super().load_state_dict(state_dict | moved)
        self._best_loss = state_dict["best_loss"]


class LastCheckpoint(ModelCheckpoint):
    """A callback that saves `last.ckpt`, the end of the latest epoch; `ckpt_path=` continues from it."""

    def __init__(self, dirpath: str) -> None:
        super().__init__(dirpath=dirpath, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        # The checkpoint to continue from is the last one until this run saves its first.
        _take_over(trainer, Path(str(trainer.ckpt_path)), Path(str(self.dirpath)) / "last.ckpt")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Ignore the state: Lightning would delete an earlier run's last checkpoint when this run saves its own."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        Path(str(self.dirpath)).mkdir(parents=True, exist_ok=True)


class KeptCheckpoints(ModelCheckpoint):
    """A callback that saves the weights of the last or best epochs, `epoch-007.ckpt`.

    `test_weights=average` tests their mean. Among epochs with equal values, those with the lowest validation losses are
    kept. A validation within an epoch counts as one at its end does, and is saved as `epoch-007-step-1234.ckpt`; an
    epoch that does not end with a validation has no value.

    Args:
        dirpath: the directory of checkpoints.
        keep: the number of epochs, or of validations.
        monitor: name of the metric that decides which are best, `val/bleu`; None keeps the last.
        mode: `max` or `min`.
    """

    def __init__(self, dirpath: str, keep: int, monitor: str | None, mode: str) -> None:
        require_positive(keep=keep)
        self._previous = Path()
        self._losses: dict[str, float] = {}
        self._validation = LastValidation()
        super().__init__(
            dirpath=dirpath,
            filename=EPOCH,
            auto_insert_metric_name=False,
            # Lightning keeps only the best by a metric; by the epoch number the best are the last.
            monitor=monitor or "epoch",
            mode=mode if monitor else "max",
            save_top_k=keep,
            save_weights_only=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validation.record(trainer)
        if is_within_epoch(trainer) and str(self.monitor).startswith(VALIDATION):
            self.filename = f"{EPOCH}-step-{{step}}"
            self.on_train_epoch_end(trainer, pl_module)
            self.filename = EPOCH

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor == "epoch" or self._validation.measures(trainer, str(self.monitor)):
            super().on_train_epoch_end(trainer, pl_module)
            names = [Path(path).name for path in self.best_k_models]
            self._losses = {name: self._losses.get(name, loss_of(trainer)) for name in names}

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        if current is None or len(self.best_k_models) < self.save_top_k:
            return current is not None
        scores = {path: (value, self._losses[Path(path).name]) for path, value in self.best_k_models.items()}
        worst = min(scores, key=lambda path: _rank(self.mode, scores[path]))
        # The one that is deleted when another is saved. Lightning takes the first of equal ones.
        self.kth_best_model_path = worst
        return _is_better(trainer, self.mode, (current, loss_of(trainer)), scores[worst])

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"losses": self._losses}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        # They are beside the checkpoint to continue from: the recorded paths are out of date if the run was moved.
        self._previous = Path(str(trainer.ckpt_path)).parent
        for name in self._kept_by(checkpoint["callbacks"].get(self.state_key, {})):
            _take_over(trainer, self._previous / name, Path(str(self.dirpath)) / name)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Copy the epochs that the run to continue has kept."""
        kept = {str(Path(str(self.dirpath)) / name): value for name, value in self._kept_by(state_dict).items()}
        if not kept:
            return
        choose_worst, choose_best = (min, max) if self.mode == "max" else (max, min)
        worst, best = choose_worst(kept, key=kept.__getitem__), choose_best(kept, key=kept.__getitem__)
        moved = {
            "dirpath": self.dirpath,
            "best_k_models": kept,
            "best_model_path": best,
            "best_model_score": kept[best],
            "kth_best_model_path": worst,
            "kth_value": kept[worst],
            "last_model_path": "",
        }
        super().load_state_dict(state_dict | moved)
        self._losses = dict(state_dict["losses"])

    def _kept_by(self, state_dict: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Return file name -> metric for the epochs that another run's state names and its directory still has.

        A run that keeps fewer takes over the best of them.
        """
        kept = {Path(path).name: value for path, value in state_dict.get("best_k_models", {}).items()}
        there = {name: value for name, value in kept.items() if (self._previous / name).is_file()}
        losses = state_dict.get("losses", {})
        best = sorted(there, key=lambda name: _rank(self.mode, (there[name], losses.get(name, math.inf))), reverse=True)
        return {name: there[name] for name in there if name in best[: self.save_top_k]}


Score = tuple[Tensor, float]
"""The monitored metric and the validation loss of an epoch."""


def _rank(mode: str, score: Score) -> tuple[float, float]:
    return rank(float(score[0]), score[1], mode)


def _is_better(trainer: Trainer, mode: str, current: Score, other: Score) -> bool:
    # All ranks must come to the same decision.
    return trainer.strategy.reduce_boolean_decision(_rank(mode, current) > _rank(mode, other))


class WholeCheckpoints(TorchCheckpointIO):
    """A writer of checkpoint files that are complete or absent, and keeps the predecessor of `last.ckpt`.

    Lightning writes to the system's temporary directory and copies from there: a full disk or a kill leaves half a file
    in place of the last complete one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ANN401, ARG002
        """Write under a temporary name in the same directory, and rename."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Through a buffer, since the error of torch.save does not name a full disk.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with written_atomically(target) as file:
            file.write(sealed(buffer.getbuffer()))
            file.flush()
            if target.name == LAST and target.exists():
                # A kill before the new file has its name leaves the predecessor alone, from which a run continues too.
                target.replace(target.with_name(PREVIOUS))


def _take_over(trainer: Trainer, source: Path, target: Path) -> None:
    # A run that continues in its own directory already has the file.
    if trainer.is_global_zero and source != target:
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as content, written_atomically(target) as copy:
            shutil.copyfileobj(content, copy)
    trainer.strategy.barrier()
