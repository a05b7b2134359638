"""What every task shares: what it is asked about its model and its data, and how it is optimised."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from lightning.pytorch import LightningModule
from lightning.pytorch.loops.loop import _Loop
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from rnnexp.core.errors import UserError
from rnnexp.recurrent import RecurrentStack

MakeOptimizer = Callable[[Iterator[Parameter]], Optimizer]
MakeScheduler = Callable[..., LRScheduler]


class Task(LightningModule, ABC):
    """A loss and metrics over a model, trained by an optimiser and a schedule that are handed in as factories.

    Args:
        make_optimizer: parameters -> optimiser.
        make_scheduler: (optimizer, total_steps=) -> schedule, stepped after every optimiser step.

    Attributes:
        model: the network.
        batch_type: of rnnexp.data.batches, what it eats.
        num_test_samples: counted in the test.
    """

    batch_type: ClassVar[type]
    model: nn.Module
    num_test_samples: int

    def __init__(self, make_optimizer: MakeOptimizer, make_scheduler: MakeScheduler) -> None:
        super().__init__()
        self._make_optimizer = make_optimizer
        self._make_scheduler = make_scheduler

    @staticmethod
    @abstractmethod
    def arguments_from(data: Any) -> dict[str, Any]:  # noqa: ANN401 (what a data module of its batch type knows)
        """Those of the constructor that the data decide."""

    @property
    @abstractmethod
    def stack(self) -> RecurrentStack:
        """The recurrence that `model` in the config describes."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, str | int | float | bool | None]:
        """What the model is, in the words of its arguments."""

    @property
    def stack_identity(self) -> dict[str, str | int | float | bool | None]:
        """That part of `identity` which is the recurrence's."""
        stack = self.stack
        return {
            "cell": stack.cell_name,
            "num_layers": stack.num_layers,
            "bidirectional": stack.bidirectional,
            "hidden_size": stack.hidden_size,
            **stack.cell_options,
            "residual": stack.residual,
        }

    @property
    @abstractmethod
    def state_size(self) -> int:
        """Numbers that a sequence carries from one step to the next."""

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def summary(self) -> str:
        """What a person reads of the model at the start, in one line."""
        stack = self.stack
        both = ", both directions" if stack.bidirectional else ""
        return (
            f"{stack.num_layers} x {stack.hidden_size} {stack.cell_name}{both}: {self.num_parameters:,} parameters, "
            f"state of {self.state_size:,}"
        )

    @staticmethod
    @abstractmethod
    def tiny_batch(batch: Any) -> Any:  # noqa: ANN401 (a batch of its type)
        """A very small batch out of a batch, to find out whether the model runs."""

    @staticmethod
    @abstractmethod
    def logits(model: nn.Module, batch: Any) -> Tensor:  # noqa: ANN401 (a batch of its type)
        """What such a model says of a batch on its device, [..., classes]."""

    @staticmethod
    @abstractmethod
    def loss(logits: Tensor, batch: Any, label_smoothing: float = 0.0) -> Tensor:  # noqa: ANN401 (a batch of its type)
        """What is minimised, of the logits that `logits` gives: a scalar, the mean over what the task counts, in nats.

        Validation smooths no labels.
        """

    @property
    def signatures(self) -> dict[str, str]:
        """How scores that others compute otherwise were computed, by the name of the metric behind `test/`."""
        return {}

    @property
    def recipe(self) -> dict[str, str]:
        """How it is trained: the names of the optimiser and of the schedule."""
        factories = {"optimizer": self._make_optimizer, "scheduler": self._make_scheduler}
        return {key: str(getattr(make, "func", make).__name__) for key, make in factories.items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What must agree for training to continue travels inside."""
        checkpoint["rnnexp"] = self.identity | self.recipe

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raises UserError where a schedule that ends at a fixed step would end elsewhere than in this run."""
        num_steps = max(2, self._total_steps())
        for schedule in checkpoint["lr_schedulers"]:
            if schedule.get("total_steps", num_steps) != num_steps:
                raise UserError(
                    f"ckpt_path: the learning rate of the run to continue is planned over {schedule['total_steps']} "
                    f"steps, this run has {num_steps}: take its trainer.max_epochs= and data.batch_size=, "
                    "or begin anew; only scheduler=constant and cosine can be prolonged"
                )

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (Lightning's union of a dozen types)
        optimizer = self._make_optimizer(self.parameters())
        scheduler = self._make_scheduler(optimizer, total_steps=self._total_steps())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _total_steps(self) -> int:
        num_steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(num_steps):
            raise UserError("trainer: schedules need an end: give trainer.max_epochs= or trainer.max_steps=")
        return int(num_steps)

    def on_train_start(self) -> None:
        loop = self.trainer.fit_loop
        # To count the steps Lightning has set the loader up before it knew at which batch a checkpoint left it, and
        # would begin the epoch anew.
        loop._load_combined_loader_states()
        # With max_steps it takes every checkpoint for one within an epoch, and would skip the epoch after a whole one.
        if loop.restarting and loop.epoch_loop.batch_progress.is_last_batch:
            _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]
            loop.reset()
