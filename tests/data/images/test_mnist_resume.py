"""A run that stops at any batch and continues sees the samples of an uninterrupted run in the same order."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnexp.data.batches import LabeledSequences
from rnnexp.data.images.mnist import MNISTDataModule
from support.recording import MAX_EPOCHS, Recorder, StopAt, Stopped, make_trainer

# Lightning 2.6 asks torch.utils._pytree in a way that torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")

BATCHES_PER_EPOCH = 6  # 45 training images by 8: the last batch is short

MakeData = Callable[..., MNISTDataModule]


def numbers_of(batch: LabeledSequences) -> list[int]:
    """Return the numbers of images, which are in their first pixel."""
    numbers: list[int] = (batch.inputs[:, 0, 0] * 255).round().int().tolist()
    return numbers


def uninterrupted(make_data: MakeData, **options: Any) -> list[list[int]]:
    model = Recorder(numbers_of)
    make_trainer(**options).fit(model, datamodule=make_data())
    return model.seen


def interrupted(make_data: MakeData, hook: str, calls: int, path: Path, **options: Any) -> list[list[int]]:
    first = Recorder(numbers_of)
    with pytest.raises(Stopped):
        make_trainer(StopAt(hook, calls, path), **options).fit(first, datamodule=make_data())
    second = Recorder(numbers_of)
    make_trainer(**options).fit(second, datamodule=make_data(), ckpt_path=path, weights_only=True)
    return first.seen + second.seen


def test_epochs_are_complete_and_differ(make_data: MakeData) -> None:
    seen = uninterrupted(make_data)
    epochs = [seen[start : start + BATCHES_PER_EPOCH] for start in range(0, len(seen), BATCHES_PER_EPOCH)]
    assert len(epochs) == MAX_EPOCHS
    for epoch in epochs:
        assert sorted(sample for batch in epoch for sample in batch) == list(range(45))
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("options", [{}, {"limit_val_batches": 0}, {"val_check_interval": 2}], ids=str)
@pytest.mark.parametrize("calls", range(1, BATCHES_PER_EPOCH * MAX_EPOCHS))
def test_resume_after_any_batch(make_data: MakeData, tmp_path: Path, calls: int, options: dict[str, Any]) -> None:
    expected = uninterrupted(make_data, **options)
    assert interrupted(make_data, "on_train_batch_end", calls, tmp_path / "a.ckpt", **options) == expected


@pytest.mark.parametrize("hook", ["on_train_epoch_end", "on_validation_end"])
@pytest.mark.parametrize("calls", [1, 2])
def test_resume_from_the_end_of_an_epoch(make_data: MakeData, tmp_path: Path, hook: str, calls: int) -> None:
    assert interrupted(make_data, hook, calls, tmp_path / "a.ckpt") == uninterrupted(make_data)


@pytest.mark.parametrize("calls", range(1, 4 * 2))
def test_resume_with_epochs_that_end_early(make_data: MakeData, tmp_path: Path, calls: int) -> None:
    options = {"limit_train_batches": 4}
    expected = uninterrupted(make_data, **options)
    assert len(expected) == 4 * MAX_EPOCHS
    assert interrupted(make_data, "on_train_batch_end", calls, tmp_path / "a.ckpt", **options) == expected


def test_resume_a_second_time(make_data: MakeData, tmp_path: Path) -> None:
    seen: list[list[int]] = []
    ckpt_path = None
    for part in range(3):
        model = Recorder(numbers_of)
        path = tmp_path / f"{part}.ckpt"
        with pytest.raises(Stopped):
            make_trainer(StopAt("on_train_batch_end", 4, path)).fit(
                model, datamodule=make_data(), ckpt_path=ckpt_path, weights_only=True
            )
        seen += model.seen
        ckpt_path = path
    assert seen == uninterrupted(make_data)[:12]


def test_validation_sees_every_validation_image_once(make_data: MakeData) -> None:
    model = Recorder(numbers_of)
    make_trainer(max_epochs=1, num_sanity_val_steps=0).fit(model, datamodule=make_data())
    assert sorted(model.seen_in_validation) == list(range(45, 57))


def test_overfitting_repeats_the_same_batches(make_data: MakeData) -> None:
    seen = uninterrupted(make_data, overfit_batches=2)
    assert len(seen) == 2 * MAX_EPOCHS
    assert seen[:2] == [list(range(8)), list(range(8, 16))]
    assert seen[:2] == seen[2:4] == seen[4:]


DISTRIBUTED = """
import json
import sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from rnnexp.data.images.mnist import MNISTDataModule
from support.recording import Recorder, make_trainer
from test_mnist_resume import numbers_of

data = MNISTDataModule(
    root=sys.argv[3], name="Tiny", view="rows", permutation=None, normalize="unit", batch_size=8, eval_batch_size=4,
    drop_last=False, val_size=12, split="last", split_seed=0, seed=0, device="auto", download_from=[], mirrors=None,
)
model = Recorder(numbers_of)
trainer = make_trainer(devices=2, strategy="ddp", max_epochs=2, num_sanity_val_steps=0)
trainer.fit(model, datamodule=data)
seen = json.dumps([model.seen, model.seen_in_validation])
Path(sys.argv[4], f"{trainer.global_rank}.json").write_text(seen, encoding="utf-8")
"""


@pytest.mark.slow
def test_two_processes_share_each_epoch(root: Path, tmp_path: Path) -> None:
    script = tmp_path / "distributed.py"
    script.write_text(DISTRIBUTED, encoding="utf-8")
    here = Path(__file__).parent
    command = [sys.executable, str(script), str(here.parents[1]), str(here), str(root), str(tmp_path)]
    subprocess.run(command, check=True, timeout=200, capture_output=True)
    written = [(tmp_path / f"{rank}.json").read_text(encoding="utf-8") for rank in (0, 1)]
    (first, first_val), (second, second_val) = map(json.loads, written)
    assert sorted(first_val + second_val) == sorted(2 * list(range(45, 57)))
    assert [len(batch) for batch in first] == [len(batch) for batch in second] == [8, 8, 6] * 2
    for epoch in (slice(0, 3), slice(3, 6)):
        seen = [sample for batch in first[epoch] + second[epoch] for sample in batch]
        assert len(set(seen)) == len(seen) == 44  # of 45: every rank gets the same number
        assert set(seen) < set(range(45))
