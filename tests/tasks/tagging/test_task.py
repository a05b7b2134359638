"""Loss and metrics of the task, compared with their definitions over the steps that have a class."""

from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_f1_score

from rnnexp.data.batches import NO_LABEL, TaggedSequences
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.tagging.task import TaggingTask
from support.logged import Logged
from support.small_task import ARGUMENTS, FEATURES, TIME

BATCH, CLASSES = 4, 3


class LoggedTask(Logged, TaggingTask):  # type: ignore[misc]
    """The task, which keeps what it logs."""


def make_task(**changes: object) -> LoggedTask:
    torch.manual_seed(0)
    arguments = ARGUMENTS | {
        "num_classes": CLASSES,
        "label_smoothing": 0.0,
    }
    return LoggedTask(**(arguments | changes))


@pytest.fixture
def batch() -> TaggedSequences:
    torch.manual_seed(1)
    lengths = torch.tensor([5, 2, 4, 1])
    labels = torch.randint(CLASSES, (BATCH, TIME)).masked_fill(torch.arange(TIME) >= lengths[:, None], NO_LABEL)
    labels[0, 1] = NO_LABEL  # a step inside a sequence that is not scored
    return TaggedSequences(torch.randn(BATCH, TIME, FEATURES), labels, lengths)


def test_loss_and_counts_are_over_the_steps_that_have_a_class(batch: TaggedSequences) -> None:
    task = make_task()
    loss, logits = task.shared_step(batch, "val")
    assert logits.shape == (BATCH, TIME, CLASSES)
    chosen = batch.labels != NO_LABEL
    torch.testing.assert_close(loss, cross_entropy(logits[chosen], batch.labels[chosen]))
    right = logits.argmax(2)[chosen] == batch.labels[chosen]
    assert task.counts_of("val").num_samples() == len(right) == 11
    assert float(task.counts_of("val").accuracy()) == pytest.approx(float(right.float().mean()))


def test_a_batch_without_classes_changes_nothing(batch: TaggedSequences) -> None:
    task = make_task(label_smoothing=0.1)
    empty = batch._replace(labels=torch.full_like(batch.labels, NO_LABEL))
    loss = task.shared_step(empty, "train")[0]
    assert float(loss.detach()) == 0.0
    loss.backward()
    gradients = [parameter.grad for parameter in task.parameters()]
    assert gradients
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_padding_has_no_effect(batch: TaggedSequences) -> None:
    task = make_task()
    changed = batch._replace(inputs=batch.inputs.masked_fill((batch.labels == NO_LABEL)[:, :, None], 7.0))
    changed.inputs[0, 1] = batch.inputs[0, 1]
    torch.testing.assert_close(task.shared_step(changed, "val")[0], task.shared_step(batch, "val")[0])


def test_the_scores_are_those_of_torchmetrics(batch: TaggedSequences) -> None:
    task = make_task()
    outputs = task.test_step(batch, 0)
    task.on_test_epoch_end()
    logged = task.logged
    f1 = multiclass_f1_score(outputs["predicted"], outputs["labels"], CLASSES, average="macro")
    assert logged["test/macro_f1"] == pytest.approx(float(f1))
    assert logged["test/acc"] == pytest.approx(float((outputs["predicted"] == outputs["labels"]).float().mean()))
    assert outputs["num_steps"].tolist() == [4, 2, 4, 1]
    parts = zip(*(outputs[name].split(outputs["num_steps"].tolist()) for name in ("labels", "predicted")), strict=True)
    assert logged["test/sequence_acc"] == pytest.approx(sum(bool((a == b).all()) for a, b in parts) / BATCH)


def test_classes_with_names_are_logged_by_name(batch: TaggedSequences) -> None:
    task = make_task(classes=["noun", "verb", "\x1b[31m\n"])
    task.test_step(batch, 0)
    task.on_test_epoch_end()
    assert {"test/acc_class/noun", "test/acc_class/verb", r"test/acc_class/\x1b[31m "} <= set(task.logged)
    assert task.classes.tolist() == [0, 1, 2]


def test_the_head_is_counted_at_each_step() -> None:
    assert make_task(seq_len=TIME).multiply_adds_outside_stack == TIME * 7 * CLASSES
    # Linear layers of a cell are counted with the stack.
    own = partial(RecurrentStack, "support.own_cells.DecayCell", hidden_size=7)
    assert make_task(seq_len=TIME, make_stack=own).multiply_adds_outside_stack == TIME * 7 * CLASSES


def test_a_tiny_batch_runs(batch: TaggedSequences) -> None:
    task = make_task()
    assert task.logits(task.model, task.tiny_batch(batch)).shape == (2, 2, CLASSES)


def test_the_loss_is_the_mean_over_the_labels_of_all_batches(batch: TaggedSequences) -> None:
    task = make_task()
    first, second = (TaggedSequences(*(each[part] for each in batch)) for part in (slice(0, 3), slice(3, 4)))
    without = second._replace(labels=torch.full_like(second.labels, NO_LABEL))
    for part in (first, second, without):
        task.validation_step(part, 0)
    task.on_validation_epoch_end()
    logits = task.logits(task.model, batch)
    expected = cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=NO_LABEL)
    assert task.logged["val/loss"] == pytest.approx(float(expected.detach()))


def test_validation_reads_no_value_from_the_device(batch: TaggedSequences, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors on this device have no values, so an operation that waits for one raises an error."""
    task = make_task().to("meta")
    logits = torch.empty(BATCH, TIME, CLASSES, device="meta")
    monkeypatch.setattr(LoggedTask, "logits", staticmethod(lambda *_: logits))
    task.validation_step(TaggedSequences(batch.inputs.to("meta"), batch.labels.to("meta")), 0)
