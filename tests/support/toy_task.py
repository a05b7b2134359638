"""A task of a user, which the package does not know: the next value of a sine after a short sequence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from rnnexp.core.types import Primitive
from rnnexp.data.base import DataModule
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.answers import Answers, RecordedRun, read_test_outputs
from rnnexp.tasks.base import MakeOptimizer, MakeScheduler, Task
from rnnexp.tasks.registry import LOSS, Measure, TaskKind, register

KIND = register(
    TaskKind(
        name="waves",
        target="support.toy_task.WaveTask",
        data_options=("waves",),
        dataset_keys=("phase",),
        measures=(Measure("test/mae", "mean absolute error", digits=4, higher_is_better=False), LOSS),
        figures="support.toy_task:draw",
        answers="support.toy_task:read",
        sample_test="paired t-test of absolute errors",
        report_figures="support.toy_task:draw_errors",
    )
)
NUM_TEST = 30


class Waves(NamedTuple):
    """Sequences and the next value of each."""

    inputs: Tensor
    """float [batch, time, 1]"""
    targets: Tensor
    """float [batch]"""


class WaveDataModule(DataModule):
    batch_type: ClassVar = Waves

    def __init__(self, name: str, phase: float, num_train: int, batch_size: int, seed: int) -> None:
        super().__init__()
        self.dataset_name, self.phase, self.seed = name, phase, seed
        self.num_train, self.batch_size = num_train, batch_size
        self.input_size = 1

    @property
    def data_info(self) -> dict[str, Primitive]:
        return {"name": self.dataset_name, "phase": self.phase, "num_train": self.num_train, "num_test": NUM_TEST}

    @property
    def summary(self) -> str:
        return f"{self.dataset_name}: {self.num_train} sequences"

    def use_preprocessing_of(self, checkpoint: Mapping[str, Any]) -> None:
        pass

    def setup(self, stage: str | None = None) -> None:
        pass

    def _loader(self, first: int, number: int) -> DataLoader[Any]:
        starts = self.phase + torch.arange(first, first + number) * 0.7
        waves = torch.sin(starts[:, None] + 0.5 * torch.arange(9))
        dataset = TensorDataset(waves[:, :-1, None], waves[:, -1])
        return DataLoader(
            dataset, self.batch_size, collate_fn=lambda rows: Waves(*map(torch.stack, zip(*rows, strict=True)))
        )

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(100, self.num_train)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader(50, 40)

    def test_dataloader(self) -> DataLoader[Any]:
        return self._loader(0, NUM_TEST)


class Regressor(nn.Module):
    def __init__(self, make_stack: Callable[..., RecurrentStack], input_size: int) -> None:
        super().__init__()
        self.stack = make_stack(input_size=input_size)
        self.head = nn.Linear(self.stack.output_size, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs, _ = self.stack(inputs)
        predicted: Tensor = self.head(outputs[:, -1]).squeeze(1)
        return predicted


class WaveTask(Task):
    batch_type: ClassVar = Waves
    test_outputs: ClassVar = ("targets", "predicted")
    model: Regressor

    def __init__(
        self,
        make_stack: Callable[..., RecurrentStack],
        make_optimizer: MakeOptimizer,
        make_scheduler: MakeScheduler,
        input_size: int,
    ) -> None:
        super().__init__(make_optimizer, make_scheduler)
        self.model = Regressor(make_stack, input_size)

    @staticmethod
    def arguments_from(data: WaveDataModule) -> dict[str, Any]:
        return {"input_size": data.input_size}

    @property
    def stack(self) -> RecurrentStack:
        return self.model.stack

    @property
    def model_info(self) -> dict[str, Primitive]:
        return self.stack_info

    @staticmethod
    def tiny_batch(batch: Waves) -> Waves:
        return Waves(batch.inputs[:2, :2], batch.targets[:2])

    @staticmethod
    def logits(model: nn.Module, batch: Waves) -> Tensor:
        predicted: Tensor = model(batch.inputs)
        return predicted

    @staticmethod
    def loss(logits: Tensor, batch: Waves) -> Tensor:
        return mse_loss(logits, batch.targets)

    def _evaluate(self, batch: Waves, split: str) -> Tensor:
        predicted = self.logits(self.model, batch)
        errors = {"loss": self.loss(predicted, batch), "mae": (predicted - batch.targets).abs().mean()}
        self.log_dict({f"{split}/{name}": value for name, value in errors.items()}, batch_size=len(batch.targets))
        return predicted

    def training_step(self, batch: Waves, batch_idx: int) -> Tensor:  # noqa: ARG002
        loss = self.loss(self.logits(self.model, batch), batch)
        self.log_train_loss(loss, len(batch.targets))
        return loss

    def validation_step(self, batch: Waves, batch_idx: int) -> None:  # noqa: ARG002
        self._evaluate(batch, "val")

    def test_step(self, batch: Waves, batch_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        return {"targets": batch.targets, "predicted": self._evaluate(batch, "test")}


def draw(run: Any, task: Task, datamodule: Any) -> dict[str, Figure]:  # noqa: ARG001
    predictions = torch.load(run.predictions_file, weights_only=True)
    figure = Figure()
    figure.subplots().scatter(predictions["targets"], predictions["predicted"])
    return {"predicted": figure}


@dataclass(frozen=True)
class WaveAnswers(Answers):
    metric = "test/mae"
    targets: NDArray[np.float32]
    predicted: NDArray[np.float32]

    @property
    def scores(self) -> NDArray[np.float32]:
        return -abs(self.predicted - self.targets)

    @property
    def value(self) -> float:
        return float(-self.scores.mean())

    def same_samples(self, other: Answers) -> bool:
        return isinstance(other, WaveAnswers) and np.array_equal(self.targets, other.targets)


def read(run: RecordedRun) -> WaveAnswers:
    return WaveAnswers(*read_test_outputs(run, "targets", "predicted"))


def draw_errors(
    runs: Mapping[str, Sequence[RecordedRun]], read: Callable[[RecordedRun], WaveAnswers]
) -> dict[str, tuple[Figure, str]]:
    figure = Figure()
    figure.subplots().boxplot([-read(seeds[0]).scores for seeds in runs.values()])
    return {"errors": (figure, "The errors of each cell.")}
