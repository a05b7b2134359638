"""The base class of tasks: a loss and metrics over a model, and how the model is optimized."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric

from rnnexp.compat.lightning import restore_metrics, restore_position_in_epoch, unlogged_metrics
from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.registry import TaskKind, kind_of_class

MakeOptimizer = Callable[[Iterator[Parameter]], Optimizer]
MakeScheduler = Callable[..., LRScheduler]


# Lightning accepts values at every step and drops those of other steps, at a cost of 0.3 ms of CPU time each.
def is_logged_step(trainer: Trainer) -> bool:
    """Return whether loggers receive the values of the current step. Call it before the optimizer steps."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return (trainer.global_step + 1) % every == 0


def is_last_step(trainer: Trainer) -> bool:
    """Return whether the current step ends an epoch or training; its values remain in `callback_metrics`."""
    return bool(trainer.is_last_batch) or trainer.global_step + 1 == trainer.max_steps


class Task(LightningModule, ABC):
    """A loss and metrics over a model, trained by an optimizer and a schedule that are passed as factories.

    A subclass logs `train/loss` with `log_train_loss`, `val/<metric>` once per validation and `test/<metric>` once. Its
    row in `rnnexp.tasks.registry` names the metrics that are compared.

    Args:
        make_optimizer: parameters -> optimizer.
        make_scheduler: (optimizer, total_steps=) -> schedule, stepped after every optimizer step.

    Attributes:
        batch_type: the type of batches that the task consumes; a data module produces one, see
            `rnnexp.data.base.DataModule`.
        test_outputs: names of the tensors [samples] that `test_step` returns in a dict, in the order of the test set;
            empty if it returns none. `PredictionWriter` saves them.
        model: the network.
        num_test_samples: the number of samples that the test has scored; None before it. A subclass whose batches may
            repeat a sample sets it in `on_test_epoch_end`.
    """

    batch_type: ClassVar[type]
    test_outputs: ClassVar[tuple[str, ...]] = ()
    model: nn.Module
    num_test_samples: int | None = None

    def __init__(self, make_optimizer: MakeOptimizer, make_scheduler: MakeScheduler) -> None:
        super().__init__()
        self._make_optimizer = make_optimizer
        self._make_scheduler = make_scheduler
        self._loaded_metrics: dict[str, Tensor] = {}

    @property
    def kind(self) -> TaskKind:
        """The row of the task in the registry."""
        return kind_of_class(type(self))

    @staticmethod
    @abstractmethod
    def arguments_from(data: Any) -> dict[str, Any]:  # noqa: ANN401 (a data module of its batch type)
        """Return the arguments of the constructor that depend on the data."""

    @staticmethod
    def stand_in() -> Any | None:  # noqa: ANN401 (in place of a data module of its batch type)
        """Return an object with the attributes that `arguments_from` reads, to check a config without its data.

        By default None: the arguments of the constructor are checked when the run has its data.
        """
        return None

    @property
    @abstractmethod
    def stack(self) -> RecurrentStack:
        """The recurrence that the config group `model` describes."""

    @property
    @abstractmethod
    def model_info(self) -> dict[str, Primitive]:
        """The model's choices and sizes, for the record of a run; a checkpoint fits only a run with equal values."""

    @property
    def stack_info(self) -> dict[str, Primitive]:
        """The part of `model_info` that describes the recurrence."""
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
    def training_info(self) -> dict[str, Primitive]:
        """The names of the optimizer and of the schedule."""
        factories = {"optimizer": self._make_optimizer, "scheduler": self._make_scheduler}
        return {key: str(getattr(make, "func", make).__name__) for key, make in factories.items()}

    @property
    def metric_signatures(self) -> dict[str, str]:
        """The signatures of metrics that have several definitions, by the metric's name without `test/`."""
        return {}

    @property
    def answer_info(self) -> dict[str, Any]:
        """Values with which a reader understands the answers, for result.json: names of classes. None by default."""
        return {}

    @property
    def state_size(self) -> int:
        """The number of values that a sequence carries from one step to the next: by default those of the stack."""
        return self.stack.state_size

    @property
    def multiply_adds_outside_stack(self) -> int:
        """The multiply-adds of the forward pass on one sequence outside the stack.

        By default each linear layer runs once, like the head of a classifier.
        """
        return linear_weights_outside(self.stack, self)

    @property
    def num_parameters(self) -> int:
        """The number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def summary(self) -> str:
        """A line about the model, shown at the start of a run."""
        stack = self.stack
        both = ", both directions" if stack.bidirectional else ""
        return (
            f"{stack.num_layers} x {stack.hidden_size} {stack.cell_name}{both}: {self.num_parameters:,} parameters, "
            f"state of {self.state_size:,}"
        )

    @staticmethod
    @abstractmethod
    def tiny_batch(batch: Any) -> Any:  # noqa: ANN401 (a batch of its type)
        """Return a very small part of a batch, for a check whether the model runs."""

    @staticmethod
    def num_samples(batch: Any) -> int:  # noqa: ANN401 (a batch of its type)
        """Return the number of samples in a batch: by default the length of its first tensor."""
        return len(batch[0])

    @staticmethod
    def num_tokens(batch: Any) -> int | None:  # noqa: ANN401, ARG004 (a batch of its type)
        """Return the number of predicted tokens in a batch; None if the task does not count tokens.

        It is called at every step, so it must not wait for the device.
        """
        return None

    @staticmethod
    @abstractmethod
    def logits(model: nn.Module, batch: Any) -> Tensor:  # noqa: ANN401 (a batch of its type)
        """Return the model's output for a batch on its device, [..., classes] or whatever `loss` takes."""

    @staticmethod
    @abstractmethod
    def loss(logits: Tensor, batch: Any) -> Tensor:  # noqa: ANN401 (a batch of its type)
        """Return the loss to minimize, a scalar: the mean over the samples or tokens of the batch.

        Args:
            logits: the output of `logits`.
            batch: the batch that they were computed from.
        """

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:  # noqa: ANN401, ARG002
        """Return the predictions for a batch without targets, [rows, ...] each: a row for a sequence, or for a step."""
        raise UserError(f"{type(self).__name__} predicts no new samples: it has no predict_step")

    def prediction_columns(self, outputs: Mapping[str, Tensor]) -> dict[str, list[Any]]:
        """Return the columns of a file of predictions: names of classes, or numbers in the units of the data.

        Args:
            outputs: what `predict_step` has returned for all batches, [rows, ...] each.
        """
        return {name: values.tolist() for name, values in outputs.items()}

    def log_train_loss(self, loss: Tensor, batch_size: int) -> None:
        """Log `train/loss` if loggers record the step or it is the last of an epoch."""
        if is_logged_step(self.trainer) or is_last_step(self.trainer):
            self.log("train/loss", loss, on_step=True, on_epoch=False, prog_bar=True, batch_size=batch_size)

    def on_validation_start(self) -> None:
        """Let the metrics of the split add in 32 bits at least."""
        self._add_exactly()

    def on_test_start(self) -> None:
        """Reset the number of samples, and let the metrics add in 32 bits at least."""
        self._add_exactly()
        self.num_test_samples = 0

    def _add_exactly(self) -> None:
        # A precision such as bf16-true converts sums, too. One of 8 significant bits stops growing when it is about 512
        # times what is added. Counts are integers and stay so.
        of_weights = next((weight.dtype for weight in self.parameters()), torch.float32)  # an export has none
        for module in self.modules():
            if isinstance(module, Metric) and any(map(_is_floating, module.metric_state.values())):
                module.set_dtype(torch.promote_types(of_weights, torch.float32))

    def on_test_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:  # noqa: ANN401, ARG002
        """Count the samples of the batch."""
        self.num_test_samples = (self.num_test_samples or 0) + self.num_samples(batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the values that must be equal for training to continue, and those that its record has so far."""
        checkpoint["rnnexp"] = self.model_info | self.training_info
        checkpoint["metrics"] = {name: value.cpu() for name, value in self.trainer.callback_metrics.items()}
        checkpoint["unlogged"] = unlogged_metrics(self.trainer)
        checkpoint["backend"] = self.stack.last_backend

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the metrics of the run to continue, and the backend that trained it.

        Raises:
            UserError: if a schedule with a fixed end was planned over another number of steps than this run has.
        """
        num_steps = max(2, self._total_steps())
        for schedule in checkpoint["lr_schedulers"]:
            if schedule.get("total_steps", num_steps) != num_steps:
                raise UserError(
                    f"ckpt_path: the learning rate of the run to continue is planned over {schedule['total_steps']} "
                    f"steps, this run has {num_steps}: use its trainer.max_epochs= and data.batch_size=, "
                    "or start a new run; only scheduler=constant and cosine can be extended"
                )
        self._loaded_metrics = checkpoint["metrics"]
        self.stack.last_backend = checkpoint["backend"]

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (Lightning's union of a dozen types)
        """Make the optimizer, and the schedule over all steps of training."""
        optimizer = self._make_optimizer(self.parameters())
        scheduler = self._make_scheduler(optimizer, total_steps=self._total_steps())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _total_steps(self) -> int:
        num_steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(num_steps):
            raise UserError("trainer: schedules need an end: set trainer.max_epochs= or trainer.max_steps=")
        return int(num_steps)

    def on_train_start(self) -> None:
        """Continue a resumed epoch at the batch where its checkpoint was saved, with the metrics up to it."""
        restore_position_in_epoch(self.trainer)
        restore_metrics(self.trainer, self._loaded_metrics)


def _is_floating(state: Tensor | list[Tensor]) -> bool:
    return isinstance(state, Tensor) and state.is_floating_point()


def linear_weights_outside(stack: RecurrentStack, network: nn.Module) -> int:
    """Return the number of weights in the linear layers of a network, without those of the cells in its stack."""
    in_stack = set(stack.modules())
    outside = (module for module in network.modules() if module not in in_stack)
    return sum(module.weight.numel() for module in outside if isinstance(module, nn.Linear))


def at_least_float32(values: Tensor) -> Tensor:
    """Return values as float32, or as float64 if they are.

    A softmax or a loss in half precision loses accuracy and saves no time.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


def rows_of(values: Tensor, batch: Any) -> Tensor:  # noqa: ANN401 (a batch of its type)
    """Return the rows that are scored, [rows, values]: each sequence of [batch, values], or each step before the end.

    Args:
        values: [batch, values] or [batch, time, values].
        batch: has the lengths.
    """
    rows = values.flatten(0, -2)
    if values.dim() == 2 or batch.lengths is None:
        return rows
    runs = torch.arange(values.shape[1]) < batch.lengths.unsqueeze(1)
    # Found on the CPU, where the lengths are, so that nothing waits for a device.
    return rows.index_select(0, runs.flatten().nonzero().squeeze(1).to(rows.device, non_blocking=True))
