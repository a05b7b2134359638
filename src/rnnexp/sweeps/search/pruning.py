"""A callback that ends a trial of a search early if other trials are better."""

from typing import Any, Literal

import optuna
from lightning.pytorch import Callback, LightningModule, Trainer

from rnnexp.callbacks.validations import is_measured
from rnnexp.compat.optuna import running_trial
from rnnexp.core.errors import PrunedError, UserError
from rnnexp.sweeps.search.storage import open_storage, require_direction, require_no_password, storage_errors


class Pruning(Callback):
    """A callback that reports a metric to the study after each validation, and ends the run if the pruner decides so.

    Args:
        monitor: the name of the metric, `val/acc`.
        mode: `max` if more of it is better, `min` if less is. It must match the direction of the study.
        trial_number: the number of the trial in the study; None, for a run outside a search, is an error.
        storage: see `rnnexp.sweeps.search.storage.open_storage`.
        study_name: the name of the study in that storage.
        pruner: Optuna's pruner, which compares the metric with other trials after the same number of validations.

    Raises:
        PrunedError: from `Trainer.fit`.
        UserError: if the run is not a running trial, or `mode` does not match the direction of the study.
        ValueError: for another mode.
    """

    def __init__(
        self,
        monitor: str,
        mode: Literal["max", "min"],
        trial_number: int | None,
        storage: str | None,
        study_name: str,
        pruner: Any,  # noqa: ANN401
    ) -> None:
        self.monitor, self.storage = monitor, storage
        self.num_reports = 0
        if trial_number is None or storage is None:
            raise UserError("callbacks: pruning ends trials of a search: add -m hydra/sweeper=optuna, or leave it out")
        require_no_password(storage)
        try:
            with storage_errors(storage):
                study = optuna.load_study(study_name=study_name, storage=open_storage(storage), pruner=pruner)
        except KeyError:
            raise UserError(f"callbacks: {storage} does not contain the study {study_name!r} of this trial") from None
        found = [frozen for frozen in study.get_trials(deepcopy=False) if frozen.number == trial_number]
        if not found:
            raise UserError(
                f"callbacks: the study {study_name!r} has no trial {trial_number}: a search sets trial_number= itself"
            )
        if found[0].state.is_finished():
            raise UserError(
                f"callbacks: trial {trial_number} of the study {study_name!r} has ended: "
                "callbacks.pruning=null trains without it"
            )
        require_direction(study.direction.name.lower(), monitor, mode)
        self.trial = running_trial(study, found[0])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        if trainer.sanity_checking or not is_measured(trainer, self.monitor):
            return
        value = float(trainer.callback_metrics[self.monitor])
        is_pruned = False
        # The first process reports for all.
        if trainer.is_global_zero:
            assert self.storage is not None
            with storage_errors(self.storage):
                self.trial.report(value, self.num_reports)
                is_pruned = self.trial.should_prune()
        self.num_reports += 1
        if trainer.strategy.broadcast(is_pruned):
            raise PrunedError(
                f"pruned after epoch {trainer.current_epoch + 1}: other trials are better than {self.monitor} "
                f"{value:.4g}"
            )

    def state_dict(self) -> dict[str, int]:
        return {"num_reports": self.num_reports}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.num_reports = state_dict["num_reports"]
