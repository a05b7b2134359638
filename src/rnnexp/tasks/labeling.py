"""The base class of tasks that predict classes, of sequences or of steps."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import SumMetric

from rnnexp.core.printable import printable
from rnnexp.core.validation import require_fraction
from rnnexp.data.batches import NO_LABEL, LabeledSequences, TaggedSequences
from rnnexp.models.stepwise import SequenceNetwork
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.base import MakeOptimizer, MakeScheduler, Task, at_least_float32, rows_of
from rnnexp.tasks.class_counts import ClassificationCounts

Split = Literal["train", "val", "test"]
LabeledBatch = LabeledSequences | TaggedSequences


class LabelingTask(Task):
    """A task with the cross-entropy of classes as loss, and scores from the counts of predicted and true classes.

    Args:
        model: gives logits [batch, classes] or [batch, time, classes].
        make_optimizer, make_scheduler: see Task.
        num_classes: the number of classes.
        label_smoothing: share of the target spread over all classes (Szegedy et al., 2016, section 7). It shapes the
            training loss only.
        classes: the label of each class in the files of the data, numbers in ascending order or names; None for
            0, 1, 2 ...

    Logs `train/loss` at steps; `train/acc`, `val/loss`, `val/acc`, `val/macro_f1` per epoch; `test/loss`, `test/acc`,
    `test/macro_f1` and `test/acc_class/<class>` once.
    """

    model: SequenceNetwork
    classes: Tensor
    """int64 [classes], the label of each class in files and results: its number in the data, or its place if it has a
    name."""

    def __init__(
        self,
        model: SequenceNetwork,
        make_optimizer: MakeOptimizer,
        make_scheduler: MakeScheduler,
        num_classes: int,
        label_smoothing: float,
        classes: Sequence[int] | Sequence[str] | None,
    ) -> None:
        super().__init__(make_optimizer, make_scheduler)
        require_fraction(label_smoothing=label_smoothing)
        self.model, self.num_classes, self.label_smoothing = model, num_classes, label_smoothing
        self.class_names = [str(each) for each in classes or range(num_classes)]
        numbers = [each for each in classes or () if isinstance(each, int)]
        self.has_names = bool(classes) and not numbers
        self.register_buffer("classes", torch.tensor(numbers or range(num_classes)), persistent=False)
        counts = ClassificationCounts(num_classes)
        self.counts = nn.ModuleDict({f"{split}_counts": counts.clone() for split in ("train", "val", "test")})
        self.losses = nn.ModuleDict({f"{split}_loss": SumMetric(nan_strategy="disable") for split in ("val", "test")})
        # A run that is continued within an epoch reports the accuracy of the whole epoch.
        self.counts_of("train").persistent(mode=True)

    @staticmethod
    def stand_in() -> SimpleNamespace:
        return SimpleNamespace(input_size=1, num_classes=2)

    @property
    def stack(self) -> RecurrentStack:
        return self.model.stack

    @property
    def answer_info(self) -> dict[str, Any]:
        return {"class_names": self.class_names} if self.has_names else {}

    def counts_of(self, split: Split) -> ClassificationCounts:
        """Return the metric that counts the predictions of a split."""
        counts = self.counts[f"{split}_counts"]
        assert isinstance(counts, ClassificationCounts)
        return counts

    def loss_of(self, split: Split) -> SumMetric:
        """Return the metric that sums the losses of the labels of an evaluated split."""
        total = self.losses[f"{split}_loss"]
        assert isinstance(total, SumMetric)
        return total

    @staticmethod
    def logits(model: nn.Module, batch: LabeledBatch) -> Tensor:
        """Return logits [batch, classes] or [batch, time, classes]."""
        logits: Tensor = model(batch.inputs, batch.lengths)
        return logits

    @staticmethod
    def loss(logits: Tensor, batch: LabeledBatch, label_smoothing: float = 0.0) -> Tensor:
        total = cross_entropy(
            at_least_float32(logits).flatten(0, -2),
            batch.labels.flatten(),
            ignore_index=NO_LABEL,
            label_smoothing=label_smoothing,
            reduction="sum",
        )
        # The mean; 0 for a batch without labels.
        return total / (batch.labels != NO_LABEL).sum().clamp(min=1)

    def shared_step(self, batch: LabeledBatch, split: Split) -> tuple[Tensor, Tensor]:
        """Return the mean loss, a scalar, and the logits; update the split's counts."""
        logits = self.logits(self.model, batch)
        loss = self.loss(logits, batch, self.label_smoothing if split == "train" else 0.0)
        self.counts_of(split).update(logits.detach().argmax(dim=-1), batch.labels)
        return loss, logits

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401, ARG002 (a batch of its type)
        loss, _logits = self.shared_step(batch, "train")
        self.log_train_loss(loss, len(batch.labels))
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ANN401, ARG002 (a batch of its type)
        loss, _logits = self.shared_step(batch, "val")
        self.add_loss("val", loss, batch)

    def add_loss(self, split: Split, loss: Tensor, batch: LabeledBatch) -> None:
        """Add the loss of a batch to the mean over all labels of an evaluated split, without waiting for the device."""
        self.loss_of(split).update(loss * (batch.labels != NO_LABEL).sum())

    def predict_step(self, batch: LabeledBatch, batch_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return `predicted`, the place of a class in `class_names`, and the `confidence` in it, [rows] each."""
        probabilities = at_least_float32(rows_of(self.logits(self.model, batch), batch)).softmax(dim=-1)
        confidence, predicted = probabilities.max(dim=-1)
        return {"predicted": predicted, "confidence": confidence}

    def prediction_columns(self, outputs: Mapping[str, Tensor]) -> dict[str, list[Any]]:
        columns = super().prediction_columns(outputs)
        names = [self.class_names[place] for place in columns["predicted"]]
        # The shortest number that reads as the one of 32 bits: 0.6, not 0.6000000238418579.
        confidences = [float(str(each)) for each in outputs["confidence"].float().numpy()]
        return columns | {"predicted": names, "confidence": confidences}

    def on_train_epoch_end(self) -> None:
        self._log_scores("train")

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        per_class = self.counts_of("test").accuracy_per_class()
        by_name = zip(self.class_names, per_class, strict=True)
        self.log_dict({f"test/acc_class/{printable(name)}": value for name, value in by_name}, sync_dist=True)
        self._log_scores("test")

    def _log_scores(self, split: Split) -> None:
        counts = self.counts_of(split)
        # Counts are summed over ranks already, so the mean over ranks is the value itself.
        self.log(f"{split}/acc", counts.accuracy(), prog_bar=True, sync_dist=True)
        if split != "train":
            total = self.loss_of(split)
            self.log(f"{split}/loss", total.compute() / counts.compute().sum(), sync_dist=True)
            total.reset()
            self.log(f"{split}/macro_f1", counts.macro_f1(), sync_dist=True)
        counts.reset()
