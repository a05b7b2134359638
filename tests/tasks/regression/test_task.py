"""Loss and metrics of the task, compared with their definitions."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader
from torchmetrics.functional import r2_score

from rnnexp.data.batches import MeasuredSequences, TargetUnits
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.regression.figures import draw_predictions
from rnnexp.tasks.regression.scores import RegressionScores
from rnnexp.tasks.regression.task import RegressionTask
from rnnexp.tracking.run_directory import RunDirectory
from support.logged import Logged
from support.small_task import ARGUMENTS, FEATURES, TIME

BATCH = 4
UNITS = TargetUnits(["kg", "m"], [1e6, -2.0], [10.0, 0.5])
LENGTHS = torch.tensor([5, 2, 4, 1])


class LoggedTask(Logged, RegressionTask):  # type: ignore[misc]
    """The task, which keeps what it logs."""


def make_task(**changes: object) -> LoggedTask:
    torch.manual_seed(0)
    arguments = ARGUMENTS | {
        "units": UNITS,
        "per_step": False,
        "pooling": "last_state",
    }
    return LoggedTask(**(arguments | changes))


def make_batch(per_step: bool) -> MeasuredSequences:
    torch.manual_seed(1)
    shape = (BATCH, TIME, 2) if per_step else (BATCH, 2)
    return MeasuredSequences(torch.randn(BATCH, TIME, FEATURES), torch.randn(shape), LENGTHS)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_targets_keep_their_precision_in_another_one(dtype: torch.dtype) -> None:
    task, batch = make_task(), make_batch(per_step=False)
    task.model.to(dtype)
    batch = batch._replace(inputs=batch.inputs.to(dtype))
    outputs = task.test_step(batch, 0)
    expected = batch.targets.double() * torch.tensor(UNITS.std) + torch.tensor(UNITS.mean)
    torch.testing.assert_close(outputs["targets"], expected, rtol=0, atol=0)
    loss = task.loss(task.logits(task.model, batch), batch)
    assert loss.dtype == torch.promote_types(dtype, torch.float32)
    loss.backward()
    assert all(parameter.grad is not None for parameter in task.model.parameters())


@pytest.mark.parametrize("per_step", [False, True], ids=["sequences", "steps"])
def test_loss_and_scores_are_those_of_the_definition(per_step: bool) -> None:
    task, batch = make_task(per_step=per_step), make_batch(per_step)
    outputs = task.test_step(batch, 0)
    task.on_test_epoch_end()
    logged = task.logged
    predicted, targets = task.logits(task.model, batch), batch.targets
    if per_step:
        runs = torch.arange(TIME) < LENGTHS[:, None]
        predicted, targets = predicted[runs], targets[runs]
    error = (predicted - targets).detach().double()
    std = torch.tensor(UNITS.std, dtype=torch.float64)
    assert logged["test/loss"] == pytest.approx(float(error.square().mean()))
    for number, name in enumerate(UNITS.names):
        assert logged[f"test/mae/{name}"] == pytest.approx(float((error * std).abs().mean(0)[number]))
        assert logged[f"test/rmse/{name}"] == pytest.approx(float((error * std).square().mean(0).sqrt()[number]))
        assert logged[f"test/r2/{name}"] == pytest.approx(
            float(r2_score(predicted.detach()[:, number].double(), targets[:, number].double()))
        )
    assert logged["test/mae"] == pytest.approx((logged["test/mae/kg"] + logged["test/mae/m"]) / 2)
    assert outputs["num_steps"].tolist() == (LENGTHS.tolist() if per_step else [1] * BATCH)
    torch.testing.assert_close(outputs["predicted"] - outputs["targets"], error * std, rtol=1e-5, atol=1e-8)


# Lightning 2.6 calls torch.utils._pytree in a deprecated way.
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")
@pytest.mark.parametrize("per_step", [False, True], ids=["sequences", "steps"])
def test_scores_are_over_the_rows_of_all_batches_of_one_validation(per_step: bool) -> None:
    """A mean over batches would give the last sequence the weight of the three others."""
    torch.manual_seed(0)
    task = RegressionTask(**ARGUMENTS | {"units": UNITS, "per_step": per_step, "pooling": "last_state"})
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    whole = make_batch(per_step)
    parts = [MeasuredSequences(*(each[rows] for each in whole)) for rows in (slice(0, 3), slice(3, 4))]
    at_once, of_some, in_parts = (
        dict(trainer.validate(task, DataLoader(batches, batch_size=None), verbose=False)[0])  # type: ignore[arg-type]
        for batches in ([whole], parts[:1], parts)
    )
    assert in_parts == pytest.approx(at_once, rel=1e-5)
    assert of_some != pytest.approx(at_once, rel=0.01)


def test_columns_of_predictions_are_named_by_their_targets() -> None:
    columns = make_task().prediction_columns({"predicted": torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])})
    assert columns == {"kg": [1, 3, 5], "m": [2, 4, 6]}


@pytest.mark.parametrize("per_step", [False, True], ids=["sequences", "steps"])
def test_a_padded_batch_is_predicted_as_each_sequence_alone(per_step: bool) -> None:
    """The backward scan of a sequence starts at its own last step."""
    both = partial(RecurrentStack, "gru", hidden_size=7, bidirectional=True)
    task, batch = make_task(per_step=per_step, make_stack=both), make_batch(per_step)
    alone = [
        task.predict_step(MeasuredSequences(inputs[:length].unsqueeze(0), targets.unsqueeze(0)), 0)["predicted"]
        for inputs, targets, length in zip(batch.inputs, batch.targets, LENGTHS, strict=True)
    ]
    torch.testing.assert_close(task.predict_step(batch, 0)["predicted"], torch.cat(alone), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(task.test_step(batch, 0)["predicted"], torch.cat(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("per_step", [False, True], ids=["sequences", "steps"])
def test_padding_has_no_effect(per_step: bool) -> None:
    both = partial(RecurrentStack, "gru", hidden_size=7, bidirectional=True)
    task, batch = make_task(per_step=per_step, make_stack=both), make_batch(per_step)
    past_end = torch.arange(TIME) >= LENGTHS[:, None]
    changed = batch._replace(inputs=batch.inputs.masked_fill(past_end[:, :, None], 7.0))
    if per_step:
        changed = changed._replace(targets=batch.targets.masked_fill(past_end[:, :, None], -7.0))
    losses = [task.loss(task.logits(task.model, each), each) for each in (batch, changed)]
    torch.testing.assert_close(losses[1], losses[0])


def test_the_sequences_with_the_largest_errors_relative_to_the_deviation_are_drawn(tmp_path: Path) -> None:
    run, batch = RunDirectory(tmp_path), make_batch(per_step=False)
    targets = torch.tensor([[1e6, -2.0]] * BATCH, dtype=torch.float64)
    # In deviations of the targets: 0.1, 0.8, 0 and 0.5.
    errors = torch.tensor([[1.0, 0.0], [0.0, 0.4], [0.0, 0.0], [-5.0, 0.0]], dtype=torch.float64)
    rows = {"targets": targets, "predicted": targets + errors, "num_steps": torch.ones(BATCH, dtype=torch.long)}
    torch.save(rows, run.predictions_file)
    data = SimpleNamespace(test_dataloader=lambda: [batch], feature_names=None)
    drawn = draw_predictions(run, make_task(), data)["worst_sequences"].axes
    titles = [axes.get_title().replace("\n", " ") for axes in drawn if axes.lines]
    assert [title.partition(":")[0] for title in titles] == ["sequence 1", "sequence 3", "sequence 0"]
    assert titles[0] == "sequence 1: kg 1e+06, predicted 1e+06; m -2, predicted -1.6"


def test_a_score_of_one_sample_is_not_an_error() -> None:
    task, batch = make_task(), make_batch(per_step=False)
    task.test_step(MeasuredSequences(batch.inputs[:1], batch.targets[:1]), 0)
    task.on_test_epoch_end()
    assert torch.tensor(task.logged["test/r2"]).isnan()


@pytest.mark.parametrize("per_step", [False, True], ids=["sequences", "steps"])
def test_a_tiny_batch_runs(per_step: bool) -> None:
    task = make_task(per_step=per_step)
    tiny = task.tiny_batch(make_batch(per_step))
    assert task.loss(task.logits(task.model, tiny), tiny).isfinite()


def test_the_head_is_counted_where_it_runs() -> None:
    assert make_task(seq_len=TIME).multiply_adds_outside_stack == 7 * 2
    assert make_task(seq_len=TIME, per_step=True).multiply_adds_outside_stack == TIME * 7 * 2


@pytest.mark.parametrize("shift", [0.0, 1000.0, -30_000.0])
def test_r2_of_targets_far_from_those_of_training(shift: float) -> None:
    random = torch.Generator().manual_seed(0)
    targets = torch.randn(20_000, 1, generator=random) + shift
    predicted = targets + 0.3 * torch.randn(20_000, 1, generator=random)
    scores = RegressionScores(1)
    for batch in zip(predicted.split(100), targets.split(100), strict=True):
        scores.update(*batch)
    exact = targets.double()
    r2 = 1 - ((predicted.double() - exact) ** 2).sum() / ((exact - exact.mean()) ** 2).sum()
    assert float(scores.in_units(torch.ones(1, dtype=torch.float64))["r2"]) == pytest.approx(float(r2), abs=1e-6)
