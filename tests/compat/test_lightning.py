"""Canaries for the private names of Lightning: a test fails when its name has moved."""

from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, RichProgressBar
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loops.loop import _Loop
from lightning.pytorch.trainer.states import TrainerFn

from rnnexp.compat.lightning import (
    ConditionalEarlyStopping,
    EpochsFromOne,
    forget_wandb_run,
    keep_targets,
    started_wandb_run,
    wandb_arguments,
)
from rnnexp.data.batches import MeasuredSequences


@pytest.fixture
def trainer() -> Trainer:
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)


def test_loops_have_the_state_that_resumes_an_epoch(trainer: Trainer) -> None:
    """The effect of these names is tested by resuming runs in tests/integration/test_resume.py."""
    loop = trainer.fit_loop
    assert callable(loop._load_combined_loader_states), "it loads the states of loaders from a checkpoint"
    assert callable(loop.reset)
    assert loop.epoch_loop.batch_progress.is_last_batch is False
    _Loop.restarting.fset(loop, True)  # type: ignore[attr-defined]
    assert loop.restarting


@pytest.mark.parametrize("precision", ["32-true", "bf16-true", "64-true", "bf16-mixed"])
def test_a_precision_does_not_round_targets(precision: Any) -> None:
    trainer = Trainer(accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False)
    inputs, targets = torch.rand(2, 3, 4), torch.tensor([[1.2992], [0.7359]])
    keep_targets(trainer, MeasuredSequences)
    converted = trainer.precision_plugin.convert_input(MeasuredSequences(inputs, targets))
    expected = {"bf16-true": torch.bfloat16, "64-true": torch.float64}.get(precision, torch.float32)
    assert converted.inputs.dtype == expected
    assert converted.targets is targets
    (labels,) = trainer.precision_plugin.convert_input((inputs,))
    assert labels.dtype == expected


class Never(ConditionalEarlyStopping):
    def is_due(self, trainer: Trainer) -> bool:  # noqa: ARG002
        return False


@pytest.mark.parametrize("hook", ["on_train_epoch_end", "on_validation_end"])
def test_early_stopping_calls_the_hook_before_it_checks(trainer: Trainer, hook: str) -> None:
    trainer.state.fn = TrainerFn.FITTING
    checks_on_train = hook == "on_train_epoch_end"
    arguments: dict[str, Any] = {"monitor": "val/loss", "check_on_train_epoch_end": checks_on_train}
    with pytest.raises(RuntimeError, match="val/loss"):
        getattr(EarlyStopping(**arguments), hook)(trainer, LightningModule())
    getattr(Never(**arguments), hook)(trainer, LightningModule())


def test_a_loop_says_whether_it_has_reached_its_minimum(trainer: Trainer) -> None:
    for number in (1, 0):
        trainer.fit_loop.min_epochs = number
        assert trainer.fit_loop._can_stop_early is (number == 0)


def test_the_arguments_and_the_run_of_wandb(tmp_path: Any) -> None:
    pytest.importorskip("wandb")
    logger = WandbLogger(save_dir=tmp_path, offline=True, project="canary", mode="disabled")
    arguments = wandb_arguments(logger)
    assert {"anonymous", "mode", "project"} <= set(arguments)
    assert started_wandb_run(logger) is None
    logger._experiment = torch.nn.Identity()
    assert started_wandb_run(logger) is not None
    forget_wandb_run(logger)
    assert started_wandb_run(logger) is None


def test_the_bar_has_a_text_for_an_epoch(trainer: Trainer) -> None:
    trainer.fit_loop.max_epochs = 2
    texts = []
    for bar in (RichProgressBar(), EpochsFromOne()):
        bar._trainer = trainer
        texts.append(bar._get_train_description(1).split("  ")[0].strip())
    assert texts == ["Epoch 1/1", "Epoch 2/2"]
