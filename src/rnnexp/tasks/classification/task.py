"""The task of assigning a class to each sequence."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rnnexp.core.types import Primitive
from rnnexp.core.validation import require_fraction
from rnnexp.data.batches import LabeledSequences
from rnnexp.metrics.classification import ClassificationCounts
from rnnexp.models.classifier import SequenceClassifier
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.base import MakeOptimizer, MakeScheduler, Task

Split = Literal["train", "val", "test"]


class ClassificationTask(Task):
    """The task of assigning a class to each sequence: cross-entropy and accuracy of a recurrent classifier.

    Args:
        make_stack: `input_size=` -> RecurrentStack.
        make_optimizer, make_scheduler: see Task.
        input_size: features per time step.
        num_classes: classes of the data.
        pooling: how outputs over time become one vector, see SequenceClassifier.
        dropout: share of that vector dropped before the head.
        label_smoothing: share of the target spread over all classes (Szegedy et al., 2016, section 7). It shapes the
            training loss only.
        classes: the label of each class in the files of the data, ascending; None for 0, 1, 2 ...

    Logs `train/loss` at steps; `train/acc`, `val/loss`, `val/acc` per epoch; `test/loss`, `test/acc` and
    `test/acc_class/<class>` once.
    """

    batch_type: ClassVar = LabeledSequences
    test_outputs: ClassVar = ("labels", "predicted", "confidence")
    model: SequenceClassifier
    classes: Tensor
    """int64 [classes], the label of each class"""

    def __init__(
        self,
        make_stack: Callable[..., RecurrentStack],
        make_optimizer: MakeOptimizer,
        make_scheduler: MakeScheduler,
        input_size: int,
        num_classes: int,
        pooling: str,
        dropout: float,
        label_smoothing: float,
        classes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(make_optimizer, make_scheduler)
        require_fraction(label_smoothing=label_smoothing)
        self.label_smoothing, self.pooling, self.num_classes = label_smoothing, pooling, num_classes
        self.model = SequenceClassifier(make_stack, input_size, num_classes, pooling=pooling, dropout=dropout)
        self.register_buffer("classes", torch.tensor(classes or range(num_classes)), persistent=False)
        counts = ClassificationCounts(num_classes)
        self.counts = torch.nn.ModuleDict({f"{split}_counts": counts.clone() for split in ("train", "val", "test")})
        # A run that is continued within an epoch reports the accuracy of the whole epoch.
        self.counts_of("train").persistent(mode=True)

    @staticmethod
    def arguments_from(data: Any) -> dict[str, Any]:  # noqa: ANN401
        return {
            "input_size": data.input_size,
            "num_classes": data.num_classes,
            "classes": getattr(data, "classes", None),
        }

    @property
    def stack(self) -> RecurrentStack:
        return self.model.stack

    @property
    def state_size(self) -> int:
        return self.stack.state_size

    @property
    def model_info(self) -> dict[str, Primitive]:
        return {
            **self.stack_info,
            "input_size": self.stack.input_size,
            "pooling": self.pooling,
            "num_classes": self.num_classes,
        }

    def counts_of(self, split: Split) -> ClassificationCounts:
        """Return the metric that counts the predictions of a split."""
        counts = self.counts[f"{split}_counts"]
        assert isinstance(counts, ClassificationCounts)
        return counts

    @staticmethod
    def tiny_batch(batch: LabeledSequences) -> LabeledSequences:
        return LabeledSequences(batch.inputs[:2, :2], batch.labels[:2])

    @staticmethod
    def logits(model: nn.Module, batch: LabeledSequences) -> Tensor:
        """Return logits [batch, classes]."""
        logits: Tensor = model(batch.inputs)
        return logits

    @staticmethod
    def loss(logits: Tensor, batch: LabeledSequences, label_smoothing: float = 0.0) -> Tensor:
        # float32, since a softmax in half precision loses accuracy and saves no time.
        return cross_entropy(logits.float(), batch.labels, label_smoothing=label_smoothing)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [batch, classes] for inputs [batch, time, features]."""
        logits: Tensor = self.model(inputs)
        return logits

    def shared_step(self, batch: LabeledSequences, split: Split) -> tuple[Tensor, Tensor]:
        """Return the mean loss, a scalar, and logits [batch, classes]; update the split's counts."""
        logits = self.logits(self.model, batch)
        loss = self.loss(logits, batch, self.label_smoothing if split == "train" else 0.0)
        self.counts_of(split).update(logits.detach().argmax(dim=1), batch.labels)
        return loss, logits

    def training_step(self, batch: LabeledSequences, batch_idx: int) -> Tensor:  # noqa: ARG002
        loss, _logits = self.shared_step(batch, "train")
        self.log_train_loss(loss, len(batch.labels))
        return loss

    def validation_step(self, batch: LabeledSequences, batch_idx: int) -> None:  # noqa: ARG002
        loss, _logits = self.shared_step(batch, "val")
        self.log("val/loss", loss, on_epoch=True, batch_size=len(batch.labels), sync_dist=True)

    def test_step(self, batch: LabeledSequences, batch_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return `labels` and `predicted`, as in the files of the data, and the `confidence` in the latter [batch]."""
        loss, logits = self.shared_step(batch, "test")
        self.log("test/loss", loss, on_epoch=True, batch_size=len(batch.labels), sync_dist=True)
        confidence, predicted = logits.float().softmax(dim=1).max(dim=1)
        return {"labels": self.classes[batch.labels], "predicted": self.classes[predicted], "confidence": confidence}

    def on_train_epoch_end(self) -> None:
        self._log_accuracy("train")

    def on_validation_epoch_end(self) -> None:
        self._log_accuracy("val")

    def on_test_epoch_end(self) -> None:
        per_class = self.counts_of("test").accuracy_per_class()
        by_label = zip(self.classes.tolist(), per_class, strict=True)
        self.log_dict({f"test/acc_class/{label}": value for label, value in by_label}, sync_dist=True)
        self.num_test_samples = self.counts_of("test").num_samples()
        self._log_accuracy("test")

    def _log_accuracy(self, split: Split) -> None:
        counts = self.counts_of(split)
        # Counts are summed over ranks already, so the mean over ranks is the value itself.
        self.log(f"{split}/acc", counts.accuracy(), prog_bar=True, sync_dist=True)
        counts.reset()
