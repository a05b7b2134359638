"""The task of assigning a class to each step of a sequence."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch import Tensor

from rnnexp.core.types import Primitive
from rnnexp.data.batches import NO_LABEL, TaggedSequences
from rnnexp.models.stepwise import StepwiseNetwork
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.base import MakeOptimizer, MakeScheduler, at_least_float32
from rnnexp.tasks.labeling import LabelingTask


class TaggingTask(LabelingTask):
    """The task of assigning a class to each step: cross-entropy, accuracy and F1 over the steps that have a class.

    Args:
        make_stack: `input_size=` -> RecurrentStack.
        make_optimizer, make_scheduler: see Task.
        input_size: features per time step.
        num_classes: classes of the data.
        dropout: share of each output dropped before the head.
        label_smoothing, classes: see LabelingTask.
        seq_len: the steps of a sequence, to count operations; None if sequences differ.

    Logs what LabelingTask logs, and `test/sequence_acc`, the share of sequences whose steps are all right.
    """

    batch_type: ClassVar = TaggedSequences
    test_outputs: ClassVar = ("labels", "predicted", "confidence", "num_steps")
    model: StepwiseNetwork

    def __init__(
        self,
        make_stack: Callable[..., RecurrentStack],
        make_optimizer: MakeOptimizer,
        make_scheduler: MakeScheduler,
        input_size: int,
        num_classes: int,
        dropout: float,
        label_smoothing: float,
        classes: Sequence[int] | Sequence[str] | None = None,
        seq_len: int | None = None,
    ) -> None:
        model = StepwiseNetwork(make_stack, input_size, num_classes, dropout=dropout)
        super().__init__(model, make_optimizer, make_scheduler, num_classes, label_smoothing, classes)
        self.seq_len = seq_len

    @staticmethod
    def arguments_from(data: Any) -> dict[str, Any]:  # noqa: ANN401
        optional = {name: getattr(data, name, None) for name in ("classes", "seq_len")}
        return {"input_size": data.input_size, "num_classes": data.num_classes, **optional}

    @property
    def model_info(self) -> dict[str, Primitive]:
        return {**self.stack_info, "input_size": self.stack.input_size, "num_classes": self.num_classes}

    @property
    def multiply_adds_outside_stack(self) -> int:
        """The multiply-adds of the head at all steps."""
        return super().multiply_adds_outside_stack * (self.seq_len or 1)

    @staticmethod
    def tiny_batch(batch: TaggedSequences) -> TaggedSequences:
        lengths = None if batch.lengths is None else batch.lengths[:2].clamp(max=2)
        return TaggedSequences(batch.inputs[:2, :2], batch.labels[:2, :2], lengths)

    def test_step(self, batch: TaggedSequences, batch_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the steps that have a class, those of the first sequence first.

        Returns:
            `labels` and `predicted`, see `classes`, and the `confidence` in the latter, [steps] each; `num_steps`,
            the number of these steps in each sequence, [batch].
        """
        loss, logits = self.shared_step(batch, "test")
        self.add_loss("test", loss, batch)
        confidence, predicted = at_least_float32(logits).softmax(dim=2).max(dim=2)
        has_label = batch.labels != NO_LABEL
        right = ((predicted == batch.labels) | ~has_label).all(dim=1)[has_label.any(dim=1)]
        if len(right):
            self.log("test/sequence_acc", right.float().mean(), on_epoch=True, batch_size=len(right), sync_dist=True)
        return {
            "labels": self.classes[batch.labels[has_label]],
            "predicted": self.classes[predicted[has_label]],
            "confidence": confidence[has_label],
            "num_steps": has_label.sum(dim=1),
        }
