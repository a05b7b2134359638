"""The speed of training: our whole path, a bare loop of PyTorch, and the usual pipeline, in turns."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from rnnexp.benchmark.measurement import Block, StepClock, compare, now, quiet, take_turns
from rnnexp.core.errors import UserError
from rnnexp.core.validation import require_positive, validate_choice
from rnnexp.models.classifier import SequenceClassifier
from rnnexp.runs.build import Experiment, build_experiment, config_errors
from rnnexp.runs.create import resolved
from rnnexp.runs.settings import RunSettings
from rnnexp.runs.stages import fit
from rnnexp.tasks.classification.task import ClassificationTask
from rnnexp.tracking.run_directory import RunDirectory

MODULES: dict[str, Callable[..., nn.RNNBase]] = {"srn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
TARGETS = {"srn": 0.93, "lstm": 0.97, "gru": 0.97}
"""Our steps per second over those of the bare loop, at least."""
OURS, BARE, USUAL = "ours", "bare loop", "usual"
# What the bare loop does not do: with another value the contenders would not do the same work.
COMPARABLE = {
    "trainer.precision": "32-true",
    "trainer.devices": 1,
    "trainer.accumulate_grad_batches": 1,
    "task.pooling": "last_state",
    "task.dropout": 0.0,
    "task.label_smoothing": 0.0,
    "model.backend": "auto",
    "model.cell_options": {},
    "model.layer_norm": False,
    "model.residual": False,
    "model.learned_initial_state": False,
    "model.bidirectional": False,
    "model.dropout": 0.0,
}


class PlainClassifier(nn.Module):
    """torch.nn's recurrent module and a linear head on its final state, with the weights of ours."""

    def __init__(self, model: SequenceClassifier) -> None:
        super().__init__()
        stack = model.stack
        self.recurrence = MODULES[stack.cell_name](
            stack.input_size, stack.hidden_size, stack.num_layers, batch_first=True
        )
        self.recurrence.load_state_dict(stack.state_dict())
        self.head = nn.Linear(model.head.in_features, model.head.out_features)
        self.head.load_state_dict(model.head.state_dict())

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs [batch, time, features] -> logits [batch, classes]"""
        _outputs, state = self.recurrence(inputs)
        hidden = state[0] if isinstance(state, tuple) else state
        logits: Tensor = self.head(hidden[-1])
        return logits


class BareLoop:
    """A training loop as short as one can be, with no logging and no metric, on inputs that lie ready as floats.

    The same weights to start from, the same batches in the same order, the same optimiser, clipping and schedule as
    ours, so that after each block both stand at the same loss.
    """

    def __init__(self, config: DictConfig) -> None:
        experiment = experiment_of(config)
        self.config = config
        assert isinstance(experiment.task, ClassificationTask)
        self.model = experiment.task.model
        self.device = experiment.trainer.strategy.root_device
        loader = experiment.datamodule.train_dataloader()
        everything = loader.gather(torch.arange(len(loader.sequences), device=loader.sequences.device))
        self.inputs, self.labels = everything.inputs.to(self.device), everything.labels.to(self.device)
        self.order = torch.cat(list(loader.batches())).to(self.device)

    def __call__(self) -> Block:
        config, batch_size = self.config, self.config.data.batch_size
        model = PlainClassifier(self.model).to(self.device)
        optimizer = instantiate(config.optimizer)(model.parameters())
        scheduler = instantiate(config.scheduler)(optimizer, total_steps=config.trainer.max_steps)
        start = 0.0
        for step in range(config.warmup_steps + config.steps):
            if step == config.warmup_steps:
                start = now(self.device)
            indices = self.order[step * batch_size : (step + 1) * batch_size]
            logits = model(self.inputs.index_select(0, indices))
            loss = cross_entropy(logits, self.labels.index_select(0, indices))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if config.trainer.gradient_clip_val is not None:
                clip_grad_norm_(model.parameters(), config.trainer.gradient_clip_val)
            optimizer.step()
            scheduler.step()
        return Block(now(self.device) - start, loss.item())


def run_ours(config: DictConfig) -> Block:
    """The experiment as train assembles and fits it, in a run directory that is removed afterwards."""
    with TemporaryDirectory() as directory:
        config = with_values(config, {"paths": {"output_dir": directory}})
        experiment = experiment_of(config)
        clock = StepClock(config.warmup_steps, config.steps)
        experiment.callbacks.append(clock)
        fit(experiment)
    return clock.block


def measure_training(config: DictConfig, cell: str) -> dict[str, Any]:
    """Steps per second of each contender in each round, and ours over theirs.

    Timed is the steady state: no import, no set-up, no validation and no checkpoint, which all would do alike.

    Args:
        cell: in the place of `model.cell`.

    Raises:
        UserError: if an epoch has fewer steps than are to be timed.
    """
    # torchvision takes seconds to import, which only this comparison should cost.
    from rnnexp.benchmark.torchvision_pipeline import run_usual

    # One more step than is timed: the clock stops as it begins.
    values = {"model": {"cell": cell}, "trainer": {"max_steps": config.warmup_steps + config.steps + 1}}
    with quiet(), TemporaryDirectory() as directory:
        config = with_values(config, values | {"ckpt_path": None, "paths": {"output_dir": directory}})
        bare = BareLoop(config)
        require_steps(config, len(bare.order))
        contenders: dict[str, Callable[[], Block]] = {OURS: partial(run_ours, config), BARE: bare}
        for workers in config.workers:
            usual = partial(run_usual, config, PlainClassifier(bare.model), workers, Path(directory))
            contenders[f"{USUAL}, {workers} workers"] = usual
        blocks = take_turns(contenders, config.repetitions)
    speeds = {name: [config.steps / block.seconds for block in rounds] for name, rounds in blocks.items()}
    return {
        "cell": cell,
        "steps_per_second": speeds,
        "final_loss": {name: rounds[-1].final_loss for name, rounds in blocks.items()},
        "ours_over": {name: compare(speeds[OURS], rounds) for name, rounds in speeds.items() if name != OURS},
        "target": TARGETS[cell],
    }


def require_comparable(config: DictConfig) -> None:
    """Raises UserError for values that not every contender can take, and sizes that are not positive."""
    with config_errors("benchmark"):
        require_positive(**{key: config[key] for key in ("steps", "warmup_steps", "repetitions")})
        for cell in config.cells:
            validate_choice("cell", cell, MODULES)
    for key, value in COMPARABLE.items():
        if OmegaConf.select(config, key) != value:
            raise UserError(
                f"{key}={OmegaConf.select(config, key)}: the bare loop knows {key}={value} only; "
                "measure with that, or train to see the samples per second"
            )


def require_steps(config: DictConfig, num_samples: int) -> None:
    """Raises UserError unless all steps are of whole batches within the first epoch."""
    there_are = num_samples // config.data.batch_size
    if config.trainer.max_steps > there_are:
        raise UserError(
            f"warmup_steps={config.warmup_steps} and steps={config.steps} need {config.trainer.max_steps} batches, but "
            f"an epoch has {there_are} of data.batch_size={config.data.batch_size}: choose fewer steps"
        )


def experiment_of(config: DictConfig) -> Experiment:
    """Build what train would build of the config."""
    plain = resolved(config)
    return build_experiment(RunSettings.from_config(plain, RunDirectory(Path(plain["paths"]["output_dir"]))))


def with_values(config: DictConfig, values: dict[str, Any]) -> DictConfig:
    """A copy with those values."""
    merged = OmegaConf.merge(config, values)
    assert isinstance(merged, DictConfig)
    return merged
