"""The task of assigning a class to each sequence."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch import Tensor

from rnnexp.core.types import Primitive
from rnnexp.data.batches import LabeledSequences
from rnnexp.models.classifier import SequenceClassifier
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.base import MakeOptimizer, MakeScheduler, at_least_float32
from rnnexp.tasks.labeling import LabelingTask


class ClassificationTask(LabelingTask):
    """The task of assigning a class to each sequence: cross-entropy and accuracy of a recurrent classifier.

    Args:
        make_stack: `input_size=` -> RecurrentStack.
        make_optimizer, make_scheduler: see Task.
        input_size: features per time step.
        num_classes: classes of the data.
        pooling: how outputs over time become one vector, see SequenceClassifier.
        dropout: share of that vector dropped before the head.
        label_smoothing, classes: see LabelingTask.
    """

    batch_type: ClassVar = LabeledSequences
    test_outputs: ClassVar = ("labels", "predicted", "confidence")
    model: SequenceClassifier

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
        classes: Sequence[int] | Sequence[str] | None = None,
    ) -> None:
        model = SequenceClassifier(make_stack, input_size, num_classes, pooling=pooling, dropout=dropout)
        super().__init__(model, make_optimizer, make_scheduler, num_classes, label_smoothing, classes)
        self.pooling = pooling

    @staticmethod
    def arguments_from(data: Any) -> dict[str, Any]:  # noqa: ANN401
        return {
            "input_size": data.input_size,
            "num_classes": data.num_classes,
            "classes": getattr(data, "classes", None),
        }

    @property
    def model_info(self) -> dict[str, Primitive]:
        return {
            **self.stack_info,
            "input_size": self.stack.input_size,
            "pooling": self.pooling,
            "num_classes": self.num_classes,
        }

    @staticmethod
    def tiny_batch(batch: LabeledSequences) -> LabeledSequences:
        lengths = None if batch.lengths is None else batch.lengths[:2].clamp(max=2)
        return LabeledSequences(batch.inputs[:2, :2], batch.labels[:2], lengths)

    def test_step(self, batch: LabeledSequences, batch_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return `labels` and `predicted`, see `classes`, and the `confidence` in the latter, [batch] each."""
        loss, logits = self.shared_step(batch, "test")
        self.add_loss("test", loss, batch)
        confidence, predicted = at_least_float32(logits).softmax(dim=1).max(dim=1)
        return {"labels": self.classes[batch.labels], "predicted": self.classes[predicted], "confidence": confidence}

    def on_test_epoch_end(self) -> None:
        self.num_test_samples = self.counts_of("test").num_samples()
        super().on_test_epoch_end()
