"""Loss and metrics of the task, compared with their definitions."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.nn.functional import cross_entropy

from rnnexp.data.batches import LabeledSequences
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.class_counts import ClassificationCounts
from rnnexp.tasks.classification.figures import draw_predictions
from rnnexp.tasks.classification.task import ClassificationTask
from rnnexp.tracking.run_directory import RunDirectory
from support.small_task import ARGUMENTS, FEATURES, TIME

BATCH, CLASSES = 6, 4


def make_task(**changes: object) -> ClassificationTask:
    torch.manual_seed(0)
    arguments = ARGUMENTS | {
        "num_classes": CLASSES,
        "pooling": "last_state",
        "label_smoothing": 0.0,
    }
    return ClassificationTask(**(arguments | changes))


@pytest.fixture
def batch() -> LabeledSequences:
    torch.manual_seed(1)
    return LabeledSequences(torch.randn(BATCH, TIME, FEATURES), torch.tensor([0, 1, 2, 3, 0, 1]))


def test_loss_is_the_mean_cross_entropy(batch: LabeledSequences) -> None:
    task = make_task()
    loss, logits = task.shared_step(batch, "train")
    assert logits.shape == (BATCH, CLASSES)
    by_hand = -logits.log_softmax(dim=1)[torch.arange(BATCH), batch.labels].mean()
    torch.testing.assert_close(loss, by_hand)


def test_smoothing_changes_only_the_training_loss(batch: LabeledSequences) -> None:
    task = make_task(label_smoothing=0.2)
    loss, logits = task.shared_step(batch, "train")
    plain = cross_entropy(logits, batch.labels)
    target = torch.full((BATCH, CLASSES), 0.2 / CLASSES)
    target[torch.arange(BATCH), batch.labels] += 0.8
    torch.testing.assert_close(loss, -(target * logits.log_softmax(dim=1)).sum(dim=1).mean())
    for split in ("val", "test"):
        torch.testing.assert_close(task.shared_step(batch, split)[0], plain)


def test_counts_of_each_split_are_separate(batch: LabeledSequences) -> None:
    task = make_task()
    _, logits = task.shared_step(batch, "val")
    predicted = logits.argmax(dim=1)
    assert task.counts_of("val").num_samples() == BATCH
    assert float(task.counts_of("val").accuracy()) == pytest.approx(float((predicted == batch.labels).float().mean()))
    assert all(int(task.counts_of(split).confmat.sum()) == 0 for split in ("train", "test"))  # type: ignore[operator]


def test_the_test_step_returns_predictions_and_confidence(batch: LabeledSequences) -> None:
    task = make_task()
    task.log = lambda *_, **__: None  # type: ignore[method-assign]
    outputs = task.test_step(batch, 0)
    probabilities = task.logits(task.model, batch).softmax(dim=1)
    assert outputs["labels"].tolist() == batch.labels.tolist()
    assert outputs["predicted"].tolist() == probabilities.argmax(dim=1).tolist()
    torch.testing.assert_close(outputs["confidence"], probabilities.max(dim=1).values)


def test_model_info_has_the_values_that_a_checkpoint_must_match() -> None:
    task = make_task(make_stack=partial(RecurrentStack, "lstm", hidden_size=7, num_layers=2, bidirectional=True))
    assert task.model_info == {
        "cell": "lstm",
        "num_layers": 2,
        "bidirectional": True,
        "hidden_size": 7,
        "forget_bias": 1.0,
        "chrono": None,
        "layer_norm": False,
        "ur_gates": False,
        "residual": False,
        "input_size": FEATURES,
        "pooling": "last_state",
        "num_classes": CLASSES,
    }
    assert task.training_info == {"optimizer": "SGD", "scheduler": "constant"}


def test_metrics_of_known_counts() -> None:
    counts = ClassificationCounts(3)
    counts.update(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1]))
    assert float(counts.accuracy()) == pytest.approx(3 / 4)
    per_class = counts.accuracy_per_class()
    assert per_class[:2].tolist() == pytest.approx([1, 2 / 3])
    assert torch.isnan(per_class[2]), "no sample of this class"
    assert float(counts.macro_f1()) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert counts.compute().tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert counts.num_samples() == 4


def test_the_sequences_of_wrong_answers_are_drawn_the_most_confident_first(
    batch: LabeledSequences, tmp_path: Path
) -> None:
    run = RunDirectory(tmp_path)
    answers = {"labels": [2, 5, 2, 7, 5, 2], "predicted": [2, 7, 5, 7, 2, 7]}
    tensors = {name: torch.tensor(values) for name, values in answers.items()}
    confidence = torch.tensor([0.99, 0.5, 0.9, 0.95, 0.4, 0.8])
    torch.save({**tensors, "confidence": confidence, "ids": list("abcdef")}, run.predictions_file)
    task: Any = SimpleNamespace(classes=torch.tensor([2, 5, 7]), class_names=["two", "five", "seven"])
    data = SimpleNamespace(test_dataloader=lambda: [batch], feature_names=None)
    drawn = draw_predictions(run, task, data)["confident_mistakes"].axes
    names = ["c: two as five, 90 %", "f: two as seven, 80 %", "b: five as seven, 50 %", "e: five as two, 40 %"]
    assert [axes.get_title() for axes in drawn] == [f"sequence {name}" for name in names]
    shown = [torch.tensor(axes.lines[0].get_ydata()) for axes in drawn]
    torch.testing.assert_close(torch.stack(shown), batch.inputs[[2, 5, 1, 4], :, 0])


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_fractions_are_checked(share: float) -> None:
    for name in ("dropout", "label_smoothing"):
        with pytest.raises(ValueError, match=rf"{name} must lie in \[0, 1\)"):
            make_task(**{name: share})


def test_a_run_with_nothing_left_to_train_has_the_backend_that_trained() -> None:
    """Batches of other lengths may choose another one, and the check of the precision sees only the first batch."""
    task, continued = make_task(), make_task()
    for each in (task, continued):
        each.trainer = Trainer(barebones=True, max_epochs=-1, max_steps=5)
    task.stack.last_backend = "parallel"
    checkpoint: dict[str, Any] = {"lr_schedulers": []}
    task.on_save_checkpoint(checkpoint)
    continued.on_load_checkpoint(checkpoint)
    assert continued.stack.last_backend == "parallel"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_sums_have_32_bits_at_least(dtype: torch.dtype) -> None:
    task = make_task().to(dtype)
    task.on_test_start()
    assert task.loss_of("test").sum_value.dtype == torch.promote_types(dtype, torch.float32)
    assert task.counts_of("test").confmat.dtype == torch.int64


def test_what_stands_in_for_the_network_may_have_no_weights() -> None:
    task = make_task()
    task.model = torch.nn.Identity()  # type: ignore[assignment]
    task.on_test_start()
    assert task.num_test_samples == 0
