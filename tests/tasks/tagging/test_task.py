"""Loss and metrics of the task, compared with their definitions over the steps that have a class."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchmetrics.functional.classification import multiclass_f1_score

from rnnexp.callbacks.predictions import PredictionWriter
from rnnexp.data.batches import NO_LABEL, TaggedSequences
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.tagging.answers import read
from rnnexp.tasks.tagging.task import TaggingTask
from rnnexp.tracking.run_directory import RunDirectory
from support.logged import Logged
from support.small_task import ARGUMENTS, FEATURES, TIME

BATCH, CLASSES = 4, 3
BOTH_DIRECTIONS = partial(RecurrentStack, "gru", hidden_size=7, bidirectional=True)


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


def test_a_padded_batch_is_tagged_as_each_sequence_alone(batch: TaggedSequences) -> None:
    """The backward scan of a sequence starts at its own last step."""
    assert batch.lengths is not None
    task = make_task(make_stack=BOTH_DIRECTIONS)
    alone = [
        task.predict_step(TaggedSequences(inputs[:length].unsqueeze(0), labels[:length].unsqueeze(0)), 0)
        for inputs, labels, length in zip(*batch, strict=True)
    ]
    for name, values in task.predict_step(batch, 0).items():
        torch.testing.assert_close(values, torch.cat([each[name] for each in alone]))


def test_padding_has_no_effect(batch: TaggedSequences) -> None:
    task = make_task(make_stack=BOTH_DIRECTIONS)
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


def test_macro_f1_gives_each_class_the_same_weight() -> None:
    """Class 0 has four of six steps, and is always right; a mean weighted by steps would be larger."""
    task = make_task()
    task.counts_of("val").update(torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0, 0, 0, 0, 1, 2]))
    task.loss_of("val").update(torch.tensor(1.0))
    task.on_validation_epoch_end()
    assert task.logged["val/macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert task.logged["val/acc"] == pytest.approx(5 / 6)


class Parts(LightningDataModule):
    """Batches for a test."""

    test_ids = None

    def __init__(self, parts: list[TaggedSequences]) -> None:
        super().__init__()
        self.parts = parts

    def test_dataloader(self) -> Any:
        return DataLoader(self.parts, batch_size=None)  # type: ignore[arg-type]


# Lightning 2.6 calls torch.utils._pytree in a deprecated way.
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")
def test_answers_of_several_batches_are_in_order_and_scores_are_over_all_of_them(
    batch: TaggedSequences, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    task = TaggingTask(**ARGUMENTS | {"num_classes": CLASSES, "label_smoothing": 0.0}).eval()
    logits = task.logits(task.model, batch)
    # All steps of the first and the last sequence are right, and the second has no class.
    labels = torch.where(batch.labels == NO_LABEL, NO_LABEL, logits.argmax(dim=2))
    labels[1] = NO_LABEL
    labels[2, :2] = (labels[2, :2] + 1) % CLASSES
    batch = batch._replace(labels=labels)
    # The second sequence is in two batches, in one of them alone.
    parts = [TaggedSequences(*(each[rows] for each in batch)) for rows in (slice(0, 2), slice(1, 2), slice(2, 4))]
    run = RunDirectory(tmp_path)
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[PredictionWriter(str(run.predictions_file))],
    )
    (metrics,) = trainer.test(task, Parts(parts), verbose=False)
    answers = read(SimpleNamespace(files=run, result={}))
    chosen = labels != NO_LABEL
    assert answers.labels.tolist() == labels[chosen].tolist()
    assert answers.predicted.tolist() == logits.argmax(dim=2)[chosen].tolist()
    assert answers.num_steps.tolist() == [4, 0, 0, 4, 1]
    assert answers.right.tolist() == [True, True, True, False, True]
    assert metrics["test/acc"] == pytest.approx(7 / 9)
    assert metrics["test/sequence_acc"] == pytest.approx(answers.value) == pytest.approx(2 / 3)
    expected = cross_entropy(logits[chosen], labels[chosen])
    assert metrics["test/loss"] == pytest.approx(float(expected.detach()), rel=1e-5)
    assert task.num_test_samples == BATCH + 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_columns_of_predictions_have_the_names_of_classes_and_short_confidences(dtype: torch.dtype) -> None:
    columns = make_task(classes=["noun", "verb", "else"]).prediction_columns(
        {"predicted": torch.tensor([2, 0]), "confidence": torch.tensor([0.6, 0.5]).to(dtype)}
    )
    assert columns == {
        "predicted": ["else", "noun"],
        "confidence": [0.6 if dtype == torch.float32 else 0.6015625, 0.5],
    }


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
