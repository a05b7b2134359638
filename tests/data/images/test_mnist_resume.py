"""A run that stops anywhere and continues sees every sample that an uninterrupted one sees, in its order."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnnexp.data.batches import LabelledSequences
from rnnexp.data.images.mnist import MNISTDataModule

# Lightning 2.6 asks torch.utils._pytree in a way that torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")

BATCHES_PER_EPOCH = 6  # 45 training images by 8: the last batch is short
MAX_EPOCHS = 3

MakeData = Callable[..., MNISTDataModule]


class Recorder(LightningModule):
    """Learns nothing; writes down which images it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[list[int]] = []
        self.seen_in_validation: list[int] = []

    def training_step(self, batch: LabelledSequences, _batch_idx: int) -> Tensor:
        self.seen.append((batch.inputs[:, 0, 0] * 255).round().int().tolist())
        return (self.weight * batch.inputs.mean()).sum()

    def validation_step(self, batch: LabelledSequences, _batch_idx: int) -> None:
        self.seen_in_validation += (batch.inputs[:, 0, 0] * 255).round().int().tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Stopped(Exception):  # noqa: N818
    pass


class StopAt(Callback):
    """Saves a checkpoint and fails, in a hook, once it has been called that often."""

    def __init__(self, hook: str, calls: int, path: Path) -> None:
        self.calls = calls
        self.path = path
        setattr(self, hook, self.count)

    def count(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        if trainer.sanity_checking:
            return
        self.calls -= 1
        if self.calls == 0:
            trainer.save_checkpoint(self.path)
            raise Stopped


def make_trainer(*callbacks: Callback, **options: Any) -> Trainer:
    silent = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(
        **(silent | {"accelerator": "cpu", "max_epochs": MAX_EPOCHS, "callbacks": list(callbacks)} | options)
    )


def uninterrupted(make_data: MakeData, **options: Any) -> list[list[int]]:
    model = Recorder()
    make_trainer(**options).fit(model, datamodule=make_data())
    return model.seen


def interrupted(make_data: MakeData, hook: str, calls: int, path: Path, **options: Any) -> list[list[int]]:
    first = Recorder()
    with pytest.raises(Stopped):
        make_trainer(StopAt(hook, calls, path), **options).fit(first, datamodule=make_data())
    second = Recorder()
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
def test_resume_from_the_edge_of_an_epoch(make_data: MakeData, tmp_path: Path, hook: str, calls: int) -> None:
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
        model = Recorder()
        path = tmp_path / f"{part}.ckpt"
        with pytest.raises(Stopped):
            make_trainer(StopAt("on_train_batch_end", 4, path)).fit(
                model, datamodule=make_data(), ckpt_path=ckpt_path, weights_only=True
            )
        seen += model.seen
        ckpt_path = path
    assert seen == uninterrupted(make_data)[:12]


def test_validation_sees_every_validation_image_once(make_data: MakeData) -> None:
    model = Recorder()
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
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from lightning.pytorch import Trainer
from rnnexp.data.images.mnist import MNISTDataModule
from test_mnist_resume import Recorder

data = MNISTDataModule(
    root=sys.argv[2], name="Tiny", view="rows", permutation=None, normalize="unit", batch_size=8, eval_batch_size=4,
    drop_last=False, val_size=12, split="last", split_seed=0, seed=0, device="auto", sources=[], mirrors=None,
)
model = Recorder()
trainer = Trainer(
    accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, num_sanity_val_steps=0, logger=False,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
)
trainer.fit(model, datamodule=data)
seen = json.dumps([model.seen, model.seen_in_validation])
Path(sys.argv[3], f"{trainer.global_rank}.json").write_text(seen)
"""


@pytest.mark.slow
def test_two_processes_share_each_epoch(root: Path, tmp_path: Path) -> None:
    script = tmp_path / "distributed.py"
    script.write_text(DISTRIBUTED)
    command = [sys.executable, str(script), str(Path(__file__).parent), str(root), str(tmp_path)]
    subprocess.run(command, check=True, timeout=200, capture_output=True)
    (first, first_val), (second, second_val) = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert sorted(first_val + second_val) == sorted(2 * list(range(45, 57)))
    assert [len(batch) for batch in first] == [len(batch) for batch in second] == [8, 8, 6] * 2
    for epoch in (slice(0, 3), slice(3, 6)):
        seen = [sample for batch in first[epoch] + second[epoch] for sample in batch]
        assert len(set(seen)) == len(seen) == 44  # of 45: ranks have equally many
        assert set(seen) < set(range(45))
