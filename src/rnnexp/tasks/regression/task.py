"""The task of predicting numbers from a sequence, or at each of its steps."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from rnnexp.core.printable import printable
from rnnexp.core.types import Primitive
from rnnexp.data.batches import MeasuredSequences, TargetUnits
from rnnexp.models.classifier import SequenceClassifier
from rnnexp.models.stepwise import SequenceNetwork, StepwiseNetwork
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.base import MakeOptimizer, MakeScheduler, Task, at_least_float32, rows_of
from rnnexp.tasks.regression.scores import RegressionScores


class RegressionTask(Task):
    """The task of predicting numbers: the mean squared error, and scores in the units of the data.

    Predictions, the mean absolute error and the root of the mean squared error are in the units of the data. The loss
    is that of the targets of the batches, which may be standardized; R² does not depend on it.

    Args:
        make_stack: `input_size=` -> RecurrentStack.
        make_optimizer, make_scheduler: see Task.
        input_size: features per time step.
        units: the numbers of a sequence or step, and what standardized targets were computed with.
        per_step: whether each step has targets; otherwise each sequence.
        pooling: how outputs over time become one vector, see SequenceClassifier; unused with `per_step`.
        dropout: share of that vector, or of each output, dropped before the head.
        seq_len: the steps of a sequence, to count operations; None if sequences differ.

    Logs `train/loss` at steps; `val/loss`, `val/mae`, `val/rmse`, `val/r2` per epoch; the same of the test once. The
    scores are means over the numbers; with several, `test/mae/<name>` and so on are those of each.
    """

    batch_type: ClassVar = MeasuredSequences
    test_outputs: ClassVar = ("targets", "predicted", "num_steps")
    model: SequenceNetwork

    def __init__(
        self,
        make_stack: Callable[..., RecurrentStack],
        make_optimizer: MakeOptimizer,
        make_scheduler: MakeScheduler,
        input_size: int,
        units: TargetUnits,
        per_step: bool,
        pooling: str,
        dropout: float,
        seq_len: int | None = None,
    ) -> None:
        super().__init__(make_optimizer, make_scheduler)
        self.per_step, self.pooling, self.seq_len = per_step, pooling, seq_len
        self.target_names = list(units.names)
        num_targets = len(self.target_names)
        # Not buffers, which a trainer with half precision would round.
        self.target_mean, self.target_std = (
            torch.tensor(each, dtype=torch.float64) for each in (units.mean, units.std)
        )
        self.model = (
            StepwiseNetwork(make_stack, input_size, num_targets, dropout=dropout)
            if per_step
            else SequenceClassifier(make_stack, input_size, num_targets, pooling=pooling, dropout=dropout)
        )
        self.scores = nn.ModuleDict({f"{split}_scores": RegressionScores(num_targets) for split in ("val", "test")})

    @staticmethod
    def arguments_from(data: Any) -> dict[str, Any]:  # noqa: ANN401
        return {
            "input_size": data.input_size,
            "units": data.units,
            "per_step": data.per_step,
            "seq_len": getattr(data, "seq_len", None),
        }

    @staticmethod
    def stand_in() -> SimpleNamespace:
        return SimpleNamespace(input_size=1, units=TargetUnits(["y"], [0.0], [1.0]), per_step=False)

    @property
    def stack(self) -> RecurrentStack:
        return self.model.stack

    @property
    def model_info(self) -> dict[str, Primitive]:
        return {
            **self.stack_info,
            "input_size": self.stack.input_size,
            "num_targets": len(self.target_names),
            "per_step": self.per_step,
            "pooling": None if self.per_step else self.pooling,
        }

    @property
    def multiply_adds_outside_stack(self) -> int:
        """The multiply-adds of the head, at all steps if each has targets."""
        times = (self.seq_len or 1) if self.per_step else 1
        return super().multiply_adds_outside_stack * times

    @staticmethod
    def tiny_batch(batch: MeasuredSequences) -> MeasuredSequences:
        targets = batch.targets[:2, :2] if batch.targets.dim() == 3 else batch.targets[:2]
        lengths = None if batch.lengths is None else batch.lengths[:2].clamp(max=2)
        return MeasuredSequences(batch.inputs[:2, :2], targets, lengths)

    @staticmethod
    def logits(model: nn.Module, batch: MeasuredSequences) -> Tensor:
        """Return predictions, [batch, targets] or [batch, time, targets]."""
        predicted: Tensor = model(batch.inputs, batch.lengths)
        return predicted

    @staticmethod
    def loss(logits: Tensor, batch: MeasuredSequences) -> Tensor:
        predictions = at_least_float32(rows_of(logits, batch))
        # PyTorch 2.11 has no gradient for a loss of two types.
        return mse_loss(predictions, rows_of(batch.targets, batch).to(predictions.dtype))

    def scores_of(self, split: str) -> RegressionScores:
        """Return the scores of an evaluated split, of the targets of its batches."""
        scores = self.scores[f"{split}_scores"]
        assert isinstance(scores, RegressionScores)
        return scores

    def in_units(self, values: Tensor) -> Tensor:
        """Return predictions or targets [..., targets] in the units of the data, float64 on the CPU."""
        return values.cpu().double() * self.target_std + self.target_mean

    def training_step(self, batch: MeasuredSequences, batch_idx: int) -> Tensor:  # noqa: ARG002
        loss = self.loss(self.logits(self.model, batch), batch)
        self.log_train_loss(loss, len(batch.targets))
        return loss

    def validation_step(self, batch: MeasuredSequences, batch_idx: int) -> None:  # noqa: ARG002
        self._evaluate(batch, "val")

    def test_step(self, batch: MeasuredSequences, batch_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return `targets` and `predicted` in the units of the data, and the number of rows of each sample.

        Returns:
            Both [batch, targets]; with `per_step` [steps of all sequences, targets], those of the first sequence first.
            `num_steps`, int64 [batch]: the rows of each sample, 1 without `per_step`.
        """
        predicted = self._evaluate(batch, "test")
        num_steps = torch.full((len(batch.inputs),), batch.inputs.shape[1] if self.per_step else 1)
        if self.per_step and batch.lengths is not None:
            num_steps = batch.lengths
        targets = self.in_units(rows_of(batch.targets, batch))
        return {"targets": targets, "predicted": self.in_units(predicted), "num_steps": num_steps}

    def predict_step(self, batch: MeasuredSequences, batch_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return `predicted` in the units of the data, see `test_step`."""
        return {"predicted": self.in_units(rows_of(self.logits(self.model, batch), batch))}

    def prediction_columns(self, outputs: Mapping[str, Tensor]) -> dict[str, list[Any]]:
        return dict(zip(self.target_names, outputs["predicted"].T.tolist(), strict=True))

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        self._log_scores("test")

    def _evaluate(self, batch: MeasuredSequences, split: str) -> Tensor:
        """Return the rows of predictions; update the split's scores and log its loss."""
        logits = self.logits(self.model, batch)
        predicted, targets = at_least_float32(rows_of(logits, batch)), rows_of(batch.targets, batch)
        self.log(f"{split}/loss", self.loss(logits, batch), on_epoch=True, batch_size=len(targets), sync_dist=True)
        self.scores_of(split).update(predicted, targets)
        return predicted

    def _log_scores(self, split: str) -> None:
        scores = self.scores_of(split)
        for name, per_target in scores.in_units(self.target_std).items():
            # Scores are over all ranks already, so the mean over ranks is the value itself.
            self.log(f"{split}/{name}", per_target.mean(), prog_bar=name == "mae", sync_dist=True)
            if split == "test" and len(per_target) > 1:
                by_name = zip(self.target_names, per_target, strict=True)
                self.log_dict({f"test/{name}/{printable(target)}": each for target, each in by_name}, sync_dist=True)
        scores.reset()
