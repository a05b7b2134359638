"""The speed of training a classifier: rnnexp, a plain PyTorch loop, and the pipeline of a template, in turns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import RenderableType
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rnnexp.benchmark.measurement import RNNEXP, TimedSteps, compare, silenced_lightning, take_turns
from rnnexp.benchmark.plain_loop import PlainLoop
from rnnexp.benchmark.report import format_ratio
from rnnexp.benchmark.workbench import TaskBenchmark, Workbench
from rnnexp.core.errors import UserError
from rnnexp.core.validation import expand_home, validate_choice
from rnnexp.data.batches import LabeledSequences
from rnnexp.data.images.mnist import MNISTDataModule
from rnnexp.models.classifier import SequenceClassifier
from rnnexp.runs.build import config_errors
from rnnexp.tasks.classification.task import ClassificationTask

TORCH_MODULES: dict[str, Callable[..., nn.RNNBase]] = {"srn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
"""Cell -> the equivalent module of PyTorch."""
PLAIN, TEMPLATE = "plain loop", "lightning-hydra-template"
SUPPORTED = {
    "trainer.precision": "32-true",
    "trainer.devices": 1,
    "trainer.accumulate_grad_batches": 1,
    "task.pooling": "last_state",
    "task.dropout": 0.0,
    "task.label_smoothing": 0.0,
    "model.cell_options": {},
    "model.layer_norm": False,
    "model.residual": False,
    "model.learned_initial_state": False,
    "model.bidirectional": False,
    "model.dropout": 0.0,
}
"""Key -> the only value that the plain loop supports. With another value the candidates would not do the same work."""
SUPPORTED_BY_TEMPLATE = {"data.view": "rows", "data.permutation": None}
"""Key -> the only value that the template supports."""


class TorchClassifier(nn.Module):
    """A recurrent module of torch.nn and a linear head on its final state, with the weights of a model of rnnexp."""

    def __init__(self, model: SequenceClassifier) -> None:
        super().__init__()
        stack = model.stack
        self.recurrence = TORCH_MODULES[stack.cell_name](
            stack.input_size, stack.hidden_size, stack.num_layers, batch_first=True
        )
        self.recurrence.load_state_dict(stack.state_dict())
        self.head = nn.Linear(model.head.in_features, model.head.out_features)
        self.head.load_state_dict(model.head.state_dict())

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [batch, classes] for inputs [batch, time, features]."""
        _outputs, state = self.recurrence(inputs)
        hidden = state[0] if isinstance(state, tuple) else state
        logits: Tensor = self.head(hidden[-1])
        return logits


def classification_loss(model: nn.Module, batch: LabeledSequences) -> Tensor:
    """Return the mean cross-entropy of a batch, a scalar."""
    return cross_entropy(model(batch.inputs), batch.labels)


@dataclass(frozen=True)
class NormalizedBatches:
    """Batches of samples that are all on the device as floats, so that a batch needs only one gather.

    Args:
        samples: all samples, [samples, time, features] and [samples].
        order: int64 [batch] for each batch, on the device of the samples.
    """

    samples: LabeledSequences
    order: Sequence[Tensor]

    def __iter__(self) -> Iterator[LabeledSequences]:
        for indices in self.order:
            inputs, labels = (tensor.index_select(0, indices) for tensor in (self.samples.inputs, self.samples.labels))
            yield LabeledSequences(inputs, labels)


class ClassificationBenchmark(TaskBenchmark):
    """The benchmark of classification, which measures training steps per second of each cell."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        with config_errors("benchmark"):
            for cell in bench.options.cells:
                validate_choice("cell", cell, TORCH_MODULES)
        bench.require_values(SUPPORTED | (SUPPORTED_BY_TEMPLATE if bench.options.workers else {}))

    def measure(self, show: Callable[[RenderableType], None]) -> dict[str, Any]:
        """Measure each cell, and show the table of all cells so far."""
        cells: list[dict[str, Any]] = []
        for cell in self.bench.options.cells:
            cells.append(measure_cell(self.bench.with_values({"model": {"cell": cell}}), cell))
            show(speed_table(cells))
        return {"cells": cells}


def measure_cell(bench: Workbench, cell: str) -> dict[str, Any]:
    """Return the steps per second of each candidate in each round, and the ratios to rnnexp.

    Only the steady state is timed, without imports, set-up, validation and checkpoints.

    Raises:
        UserError: if an epoch has fewer steps than are timed, or the data has no images.
    """
    # torchvision takes seconds to import.
    from rnnexp.benchmark.classification.template_pipeline import ImageFiles, TemplatePipeline

    with silenced_lightning(), TemporaryDirectory() as directory:
        experiment = bench.build(Path(directory) / "built")
        assert isinstance(experiment.task, ClassificationTask)
        device = experiment.trainer.strategy.root_device
        if not isinstance(experiment.datamodule, MNISTDataModule):
            raise UserError("the benchmark of classification trains on images: choose data=mnist or data=mnist_pixels")
        loader = experiment.datamodule.train_dataloader()
        bench.require_batches(len(loader.order) // loader.batch_size)
        gathered = loader.gather(torch.arange(len(loader.sequences), device=loader.sequences.device))
        samples = LabeledSequences(gathered.inputs.to(device), gathered.labels.to(device))
        stack = experiment.task.stack
        if stack.cell.fused is None or stack.backend == "reference":
            what = f"model.backend={stack.backend}" if stack.cell.fused is not None else f"cell {stack.cell_name!r}"
            raise UserError(
                f"{what}: the plain loop runs the kernels of torch, so choose auto and a cell with a kernel"
            )
        order = [indices.to(device) for indices in loader.batches()[: bench.steps.total]]
        model = TorchClassifier(experiment.task.model)
        recipe = bench.recipe()
        candidates: dict[str, Callable[[], TimedSteps]] = {
            RNNEXP: bench.time_rnnexp,
            PLAIN: PlainLoop(model, NormalizedBatches(samples, order), classification_loss, recipe, device),
        }
        files = ImageFiles(expand_home(bench.value("data.root")), bench.value("data.name"), len(loader.order))
        for num_workers in bench.options.workers:
            candidates[f"{TEMPLATE}, {num_workers} workers"] = TemplatePipeline(
                files,
                model,
                model.head.out_features,
                recipe,
                batch_size=loader.batch_size,
                num_workers=num_workers,
                accelerator=bench.value("trainer.accelerator"),
                log_every_n_steps=bench.value("trainer.log_every_n_steps"),
                directory=Path(directory) / "template",
            )
        rounds = take_turns(candidates, bench.options.repetitions)
    speeds = {name: [bench.steps.timed / timed.seconds for timed in times] for name, times in rounds.items()}
    return {
        "cell": cell,
        "steps_per_second": speeds,
        "final_loss": {name: times[-1].final_loss for name, times in rounds.items()},
        "rnnexp_over": {name: compare(speeds[RNNEXP], other) for name, other in speeds.items() if name != RNNEXP},
    }


def speed_table(cells: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table with one row per cell and candidate."""
    table = Table("cell", "candidate")
    for column in ("steps/s", "rnnexp / candidate"):
        table.add_column(column, justify="right")
    for cell in cells:
        for name, speeds in cell["steps_per_second"].items():
            ratio = cell["rnnexp_over"].get(name)
            shown = "" if ratio is None else format_ratio(ratio)
            table.add_row(cell["cell"] if name == RNNEXP else "", name, f"{median(speeds):.2f}", shown)
    return table
