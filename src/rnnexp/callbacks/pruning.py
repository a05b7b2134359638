"""A trial of a search ends early if others do better."""

from typing import Any

import optuna
from lightning.pytorch import LightningModule, Trainer
from optuna_integration import PyTorchLightningPruningCallback

from rnnexp.callbacks.monitor import is_measured
from rnnexp.errors import PrunedError, UserError
from rnnexp.tracking.study import open_storage


class Pruning(PyTorchLightningPruningCallback):
    """Reports the monitored metric to the study after each validation, and ends the run if the pruner says so.

    Args:
        monitor: name of the metric, `val/acc`; better is what the study's direction says.
        trial: the number that the study gave the run; None for a run outside a search, which is refused.
        storage: see rnnexp.tracking.study.open_storage.
        study_name: of the study in that storage.
        pruner: decides, from what other trials have reported.

    Raises:
        PrunedError: out of `Trainer.fit`.
        UserError: if the run is not a trial under way.
    """

    def __init__(
        self,
        monitor: str,
        trial: int | None,
        storage: str | None,
        study_name: str | None,
        pruner: Any,  # noqa: ANN401
    ) -> None:
        if trial is None or storage is None:
            raise UserError("callbacks: pruning ends trials of a search: add -m hydra/sweeper=optuna, or leave it out")
        study = optuna.load_study(study_name=study_name, storage=open_storage(storage), pruner=pruner)
        frozen = study.get_trials(deepcopy=False)[trial]
        if frozen.state.is_finished():
            raise UserError(
                f"callbacks: trial {trial} of the study {study_name!r} has ended: callbacks.pruning=null trains on"
            )
        super().__init__(optuna.Trial(study, frozen._trial_id), monitor)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Nothing: with several processes Optuna's own would refuse all storages but databases."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not is_measured(trainer, self.monitor):
            return
        pruned = False
        # Of several processes the first one alone speaks to the study.
        if trainer.is_global_zero:
            try:
                super().on_validation_end(trainer, pl_module)
            except optuna.TrialPruned:
                pruned = True
        if trainer.strategy.broadcast(pruned):
            value = float(trainer.callback_metrics[self.monitor])
            raise PrunedError(
                f"pruned after epoch {trainer.current_epoch + 1}: {self.monitor} {value:.4g} does not keep up with "
                "other trials"
            )
