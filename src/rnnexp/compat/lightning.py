"""Private names and texts of Lightning (2.6) that rnnexp uses."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, RichProgressBar
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loops.loop import _Loop
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.core.progress import of_total
from rnnexp.core.user_code import describe_user_code

FP16_WARNING = "AMP with fp16 is not supported on CPU"
SRUN_WARNING = "The `srun` command is available on your system but is not used"
UNUSED_GPU_WARNING = "GPU available but not used"
EMPTY_LOADER_WARNING = "Total length of `list` across ranks is zero"
CHECKPOINT_DIRECTORY_WARNING = "Checkpoint directory .* exists and is not empty"
VAL_CHECK_INTERVAL_ERROR = "`val_check_interval`"


@contextmanager
def without_trainer_warnings() -> Iterator[None]:
    """Hide three warnings of a Trainer that is made. Their text identifies them, since they have no category.

    One says that Lightning replaces fp16 on a CPU: the precision check raises an error for it. One advises `srun`
    wherever SLURM is installed: rnnexp starts the ranks of a run by itself. One advises a GPU to a run on the CPU.
    """
    with warnings.catch_warnings():
        for text in (FP16_WARNING, SRUN_WARNING, UNUSED_GPU_WARNING):
            warnings.filterwarnings("ignore", message=f".*{text}")
        yield


@contextmanager
def lightning_errors() -> Iterator[None]:
    """Replace Lightning's exceptions for bad settings and for Ctrl-C by those of rnnexp.

    Lightning raises MisconfigurationException, its public class, for all bad settings but one: a `val_check_interval`
    beyond the number of batches is a ValueError, which only its text identifies. After Ctrl-C it raises SystemExit(1),
    which only its context identifies.
    """
    try:
        with warnings.catch_warnings():
            # data.val_size=0 makes the validation loader empty.
            warnings.filterwarnings("ignore", message=EMPTY_LOADER_WARNING)
            # A run that continues in its directory has checkpoints in it.
            warnings.filterwarnings("ignore", message=CHECKPOINT_DIRECTORY_WARNING)
            warnings.filterwarnings("ignore", message=SRUN_WARNING)
            yield
    except MisconfigurationException as error:
        if describe_user_code(error):
            raise
        raise UserError(f"trainer: {str(error).strip()}") from None
    except ValueError as error:
        if VAL_CHECK_INTERVAL_ERROR not in str(error):
            raise
        raise UserError(f"trainer: {str(error).strip()}") from None
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from None


def keep_targets(trainer: Trainer, batch_type: type[Any]) -> None:
    """Let a precision convert the numbers of a batch that the network reads, and not its targets.

    In `bf16-true` Lightning would round the targets to three digits, and errors would be measured from these.

    Args:
        trainer: the trainer.
        batch_type: a named tuple with `targets`; other batches are converted as a whole.
    """
    plugin: Any = trainer.precision_plugin
    convert = plugin.convert_input

    def convert_input(batch: Any) -> Any:  # noqa: ANN401
        converted = convert(batch)
        return converted._replace(targets=batch.targets) if isinstance(batch, batch_type) else converted

    plugin.convert_input = convert_input


def set_progress(trainer: Trainer, epoch: int, step: int) -> None:
    """Set the epoch and step at which loggers record the test of a new trainer.

    `Trainer.current_epoch` and `global_step` are read-only. A metric named `step` would set the step of a log entry,
    but stays among the metrics of the test.
    """
    trainer.fit_loop.epoch_progress.current.completed = epoch
    trainer.fit_loop.epoch_loop._batches_that_stepped = step


def num_epochs(trainer: Trainer) -> int:
    """Return the number of epochs that were trained, the last one counted if `max_steps` ended it.

    The public way is `Trainer.current_epoch`. But it leaves out the last epoch of a run that has reached `max_steps` in
    an earlier process.
    """
    number: int = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
    return number


def restore_position_in_epoch(trainer: Trainer) -> None:
    """Continue the current epoch at the batch where the loaded checkpoint was saved; call it as training starts.

    The public way is `Trainer.fit(ckpt_path=...)`. It has two faults. A schedule that reads
    `estimated_stepping_batches` makes Lightning set up the loader before the loader's state is loaded, so that the
    epoch starts from its first batch. And with `max_steps` Lightning treats a checkpoint of a completed epoch as one
    within the epoch, and skips the next epoch.
    """
    loop = trainer.fit_loop
    loop._load_combined_loader_states()
    if loop.restarting and loop.epoch_loop.batch_progress.is_last_batch:
        _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]
        loop.reset()


def restore_metrics(trainer: Trainer, metrics: Mapping[str, Tensor]) -> None:
    """Add metrics to `Trainer.callback_metrics`, which callbacks and the result of a run read.

    There is no public way: the mapping that the property returns is a copy, and checkpoints do not hold it.
    """
    device = trainer.strategy.root_device
    trainer._logger_connector._callback_metrics.update({name: value.to(device) for name, value in metrics.items()})


def unlogged_metrics(trainer: Trainer) -> dict[str, Any]:
    """Return what Lightning will pass to the loggers after the current hook of training: `step` and metrics.

    There is no public way: loggers receive the metrics of a step after its callbacks, and those of an epoch after its
    checkpoint, so a run that ends in between would lose them.

    Returns:
        `step`, `epoch`, and each metric by its name; an empty dict if nothing will be logged.
    """
    connector = trainer._logger_connector
    ends_epoch = connector._first_loop_iter is None
    if not (trainer.training and trainer._results and (ends_epoch or connector.should_update_logs)):
        return {}
    metrics = {name: float(value) for name, value in connector.metrics["log"].items()}
    step = trainer.fit_loop.epoch_loop._batches_that_stepped - ends_epoch
    return {"step": step, "epoch": trainer.current_epoch, **metrics} if metrics else {}


class ConditionalEarlyStopping(EarlyStopping):
    """Early stopping that checks only when `is_due` is True, and stops only after `min_epochs` and `min_steps`.

    The public way is `on_train_epoch_end` and `on_validation_end`. But only Lightning knows
    which of them checks, and it may call the other one before the metric has a value. A trainer that is asked to stop
    before its minimum logs the metrics of the last logged step again at each step, and a process that continues the
    run does not know that it was asked.
    """

    def is_due(self, trainer: Trainer) -> bool:  # noqa: ARG002
        """Return whether the metric can be checked."""
        return True

    def _run_early_stopping_check(self, trainer: Trainer) -> None:
        if not self.is_due(trainer):
            return
        was_asked = trainer.should_stop
        super()._run_early_stopping_check(trainer)
        if trainer.should_stop and not trainer.fit_loop._can_stop_early:
            # The next validation checks again.
            trainer.should_stop = was_asked
            self.stopping_reason, self.stopping_reason_message = EarlyStoppingReason.NOT_STOPPED, None
            self.stopped_epoch = 0


class EpochsFromOne(RichProgressBar):
    """Lightning's bar that counts epochs from 1, as logs and result.json do. Only this method has the text."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {of_total(current_epoch + 1, self.trainer.max_epochs)}"


def wandb_arguments(logger: WandbLogger) -> dict[str, Any]:
    """Return the arguments that the logger passes to `wandb.init`, to be changed before its first use.

    The public way is the constructor. But it always passes `anonymous`, which makes W&B warn, and the `mode` cannot be
    changed after W&B has refused the first.
    """
    return logger._wandb_init


def started_wandb_run(logger: WandbLogger) -> Any:  # noqa: ANN401 (wandb.Run, or its stand-in when disabled)
    """Return the logger's W&B run; None if it has none yet.

    The public way is `logger.experiment`, which starts a run if there is none.
    """
    return logger._experiment


def forget_wandb_run(logger: WandbLogger) -> None:
    """Detach the logger from its W&B run, which has been finished.

    There is no public way: `WandbLogger.finalize` does not finish the run.
    """
    logger._experiment = None
