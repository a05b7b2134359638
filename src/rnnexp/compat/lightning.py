"""Private names and texts of Lightning."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from rnnexp.core.errors import UserError

FP16_WARNING = "AMP with fp16 is not supported on CPU"
EMPTY_LOADER_WARNING = "Total length of `list` across ranks is zero"
VAL_CHECK_INTERVAL_ERROR = "`val_check_interval`"


@contextmanager
def without_fp16_warning() -> Iterator[None]:
    """Hide the warning that Lightning replaces fp16 on a CPU: the precision check raises an error for it.

    The warning has no category of its own, so its text tells it apart.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=f".*{FP16_WARNING}")
        yield


@contextmanager
def lightning_errors() -> Iterator[None]:
    """Turn the ways in which Lightning ends a run into those of rnnexp: bad settings, and Ctrl-C.

    Lightning raises MisconfigurationException, its public class, for all bad settings but one: a `val_check_interval`
    beyond the number of batches is a ValueError, which only its text tells apart. After Ctrl-C it raises SystemExit(1),
    which only its context tells apart.
    """
    try:
        with warnings.catch_warnings():
            # The validation loader is empty where data.val_size=0 was the intention.
            warnings.filterwarnings("ignore", message=EMPTY_LOADER_WARNING)
            yield
    except MisconfigurationException as error:
        raise UserError(f"trainer: {str(error).strip()}") from None
    except ValueError as error:
        if VAL_CHECK_INTERVAL_ERROR not in str(error):
            raise
        raise UserError(f"trainer: {str(error).strip()}") from None
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from None


def set_progress(trainer: Trainer, epoch: int, step: int) -> None:
    """Let loggers record what a new trainer tests at this epoch and step.

    `Trainer.current_epoch` and `global_step` are read-only. A metric named `step` would set the step of a log entry,
    but stays among the metrics of the test.
    """
    trainer.fit_loop.epoch_progress.current.completed = epoch
    trainer.fit_loop.epoch_loop._batches_that_stepped = step
