"""The two checkpoints of a run, under fixed names."""

import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from rnnexp.callbacks.monitor import is_measured


class BestCheckpoint(ModelCheckpoint):
    """`best.ckpt`: the epoch with the best monitored metric, also across an interruption.

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

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if is_measured(trainer, str(self.monitor)):
            super().on_train_epoch_end(trainer, pl_module)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        # Beside the checkpoint to continue from: the run may have been moved since it noted where its best lies.
        self._previous = Path(str(trainer.ckpt_path)).parent / "best.ckpt"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the best score so far, and its checkpoint, from the directory of the run that is continued."""
        previous, here = self._previous, Path(str(self.dirpath)) / "best.ckpt"
        # Without its file a score would only keep this run from saving any best of its own.
        if not state_dict["best_model_path"] or not previous.is_file():
            return
        shutil.copyfile(previous, here)
        moved = {
            "dirpath": self.dirpath,
            "best_model_path": str(here),
            "kth_best_model_path": str(here),
            "best_k_models": {str(here): state_dict["best_model_score"]},
            "last_model_path": "",
        }
        super().load_state_dict(state_dict | moved)


class LastCheckpoint(ModelCheckpoint):
    """`last.ckpt`: the end of the latest epoch, to continue from with `ckpt_path=`."""

    def __init__(self, dirpath: str) -> None:
        super().__init__(dirpath=dirpath, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing of an earlier run's last checkpoint matters: it would be deleted when this run saves its own."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        Path(str(self.dirpath)).mkdir(parents=True, exist_ok=True)
