"""Private names and texts of Lightning that the stages of a run depend on. A failure names what changed."""

import inspect
import warnings
from pathlib import Path

import lightning.pytorch.callbacks.model_checkpoint as model_checkpoint
import lightning.pytorch.loops.fit_loop as fit_loop
import lightning.pytorch.trainer.call as call
import lightning.pytorch.trainer.setup as setup
import lightning.pytorch.utilities.data as data
import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from rnnexp.compat.lightning import (
    CHECKPOINT_DIRECTORY_WARNING,
    EMPTY_LOADER_WARNING,
    FP16_WARNING,
    SRUN_WARNING,
    UNUSED_GPU_WARNING,
    VAL_CHECK_INTERVAL_ERROR,
    lightning_errors,
    set_progress,
    without_trainer_warnings,
)
from rnnexp.core import user_code
from rnnexp.core.errors import UserError


def test_fp16_on_a_cpu_is_a_warning_of_this_text() -> None:
    # If no warning matches, Lightning has changed its text, and runs will show the warning.
    with pytest.warns(UserWarning, match=FP16_WARNING):
        Trainer(accelerator="cpu", precision="16-mixed", logger=False, enable_checkpointing=False)
    with warnings.catch_warnings(), without_trainer_warnings():
        Trainer(accelerator="cpu", precision="16-mixed", logger=False, enable_checkpointing=False)


def test_an_unused_srun_is_a_warning_of_this_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "srun"
    command.write_text("#!/bin/sh\n", encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.warns(UserWarning, match=SRUN_WARNING):
        Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with without_trainer_warnings():
            Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)


def test_an_unused_gpu_is_a_warning_of_this_text() -> None:
    assert UNUSED_GPU_WARNING in inspect.getsource(setup), "Lightning words its advice to use a GPU otherwise"


def test_an_empty_loader_is_a_warning_of_this_text() -> None:
    text = EMPTY_LOADER_WARNING.replace("`list`", "`{type(dataloader).__name__}`")
    assert text in inspect.getsource(data), "Lightning words its warning of an empty validation set otherwise"


def test_a_checkpoint_directory_that_is_not_empty_is_a_warning_of_this_text() -> None:
    text = CHECKPOINT_DIRECTORY_WARNING.replace(".*", "{dirpath}")
    assert text in inspect.getsource(model_checkpoint), "Lightning words its warning of a full directory otherwise"


def test_val_check_interval_is_refused_with_a_value_error() -> None:
    source = inspect.getsource(fit_loop)
    assert VAL_CHECK_INTERVAL_ERROR in source, "Lightning words the error of val_check_interval otherwise"
    assert "raise ValueError" in source, "Lightning refuses val_check_interval with another exception"


def test_ctrl_c_ends_in_a_system_exit() -> None:
    source = inspect.getsource(call)
    assert "except KeyboardInterrupt as exception" in source, "Lightning no longer handles Ctrl-C by itself"
    assert "sys.exit(1)" in source, "Lightning ends after Ctrl-C in another way than SystemExit"


def test_the_progress_of_a_new_trainer_can_be_set() -> None:
    trainer = Trainer(accelerator="cpu", barebones=True)
    assert hasattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped"), "the step of log entries is kept elsewhere"
    set_progress(trainer, 3, 77)
    assert trainer.current_epoch == 3, "Trainer.current_epoch is read from another place"
    source = inspect.getsource(type(trainer._logger_connector).log_metrics)
    assert "epoch_loop._batches_that_stepped" in source, "loggers take the step from another place"


def raiser(error: BaseException, context: BaseException | None = None) -> None:
    error.__context__ = context
    raise error


@pytest.mark.parametrize(
    ("error", "context", "kind"),
    [
        (MisconfigurationException("no"), None, UserError),
        (ValueError("`val_check_interval` (11) must be less"), None, UserError),
        (ValueError("other"), None, ValueError),
        (SystemExit(1), KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(1), None, SystemExit),
    ],
)
def test_errors_of_lightning(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, context: BaseException | None, kind: type[BaseException]
) -> None:
    monkeypatch.setattr(user_code, "is_own", lambda _: False)  # this file stands for one of Lightning
    with pytest.raises(kind), lightning_errors():
        raiser(error, context)
