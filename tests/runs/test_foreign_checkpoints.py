"""A checkpoint of another person, or a damaged one, is one line in every program that reads it."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnexp import train
from rnnexp.core.errors import UserError
from rnnexp.core.files.sealed_archive import sealed
from rnnexp.runs.checkpoints import read_checkpoint
from rnnexp.runs.evaluation import load_finished
from rnnexp.tracking.run_directory import RunDirectory
from support.programs import Outcome, call

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def foreign(finished: Outcome, tmp_path: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(finished.directory, tmp_path / "foreign")))


@pytest.fixture(scope="module")
def halfway(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs that was interrupted in the second."""
    place = tmp_path_factory.mktemp("halfway")
    signal = "+callbacks.probe={_target_:support.probing_callbacks.SendSignal,step:13,number:15}"
    small = [*tiny, "trainer.max_epochs=2", "test_weights=none", f"paths.output_dir={place}/run", signal]
    outcome = call(train.main, place, small)
    assert outcome.exit_code == 143, outcome.stderr
    return place / "run"


def change(path: Path, change: Change) -> None:
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)


def first_weight(checkpoint: dict[str, Any]) -> torch.Tensor:
    tensor: torch.Tensor = next(iter(checkpoint["state_dict"].values()))
    return tensor


CHANGES: dict[str, Change] = {
    "state_dict a list": lambda c: c.update(state_dict=[1]),
    "state_dict of text": lambda c: c.update(state_dict={"a": "b"}),
    "state_dict empty": lambda c: c.update(state_dict={}),
    "state_dict null": lambda c: c.update(state_dict=None),
    "weights of another shape": lambda c: c.update(state_dict={name: t[:1] for name, t in c["state_dict"].items()}),
    "a weight more": lambda c: c["state_dict"].update(more=torch.zeros(1)),
    "NaN weights": lambda c: first_weight(c).fill_(float("nan")),
    "one infinite weight": lambda c: first_weight(c).view(-1)[0].fill_(float("inf")),
    "rnnexp empty": lambda c: c.update(rnnexp={}),
    "rnnexp a list": lambda c: c.update(rnnexp=[1]),
    "rnnexp of another run": lambda c: c["rnnexp"].update(cell="lstm"),
    "no classes": lambda c: c["rnnexp"].pop("num_classes"),
    "classes of text": lambda c: c["rnnexp"].update(num_classes="ten"),
    "no normalization": lambda c: c.pop("MNISTDataModule"),
    "normalization a list": lambda c: c.update(MNISTDataModule=[1]),
    "normalization of text": lambda c: c.update(MNISTDataModule={"mean": "a", "std": "b"}),
    "epoch of text": lambda c: c.update(epoch="one"),
    "step below 0": lambda c: c.update(global_step=-1),
    "loops a list": lambda c: c.update(loops=[1]),
    "callbacks a list": lambda c: c.update(callbacks=[1]),
    "states of callbacks of text": lambda c: c.update(callbacks={"RandomState": "x"}),
    "optimizer_states [{}]": lambda c: c.update(optimizer_states=[{}]),
    "optimizer_states a mapping": lambda c: c.update(optimizer_states={}),
    "lr_schedulers of text": lambda c: c.update(lr_schedulers="x"),
}
TRAINING: dict[str, Change] = {
    "no optimizer": lambda c: c.update(optimizer_states=[]),
    "an optimizer without groups": lambda c: c["optimizer_states"][0].update(param_groups=[]),
    "a group without a rate": lambda c: c["optimizer_states"][0]["param_groups"][0].pop("lr"),
    "a state of another shape": lambda c: c["optimizer_states"][0]["state"][0].update(exp_avg=torch.zeros(3)),
    "a schedule of another kind": lambda c: c.update(lr_schedulers=[{"total_steps": "x", "last_epoch": "y"}]),
    "no loops": lambda c: c.pop("loops"),
    "no callbacks": lambda c: c.pop("callbacks"),
    "no metrics": lambda c: c.pop("metrics"),
    "unlogged metrics of text": lambda c: c.update(unlogged={"step": 1, "train/loss": "x"}),
    "unlogged metrics without a step": lambda c: c.update(unlogged={"train/loss": 1.0}),
    "loops empty": lambda c: c.update(loops={}),
    "the random state of text": lambda c: c["callbacks"].update(RandomState={"ranks": [{"cpu": "x", "cuda": []}]}),
    "no random state": lambda c: c["callbacks"].update(RandomState={"ranks": []}),
    "early stopping of text": lambda c: [s.update(best_score="x") for k, s in c["callbacks"].items() if "Early" in k],
    "no version": lambda c: c.pop("pytorch-lightning_version"),
    "a version of text": lambda c: c.update({"pytorch-lightning_version": "x"}),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_an_evaluation_refuses_parts_of_another_kind(foreign: RunDirectory, kind: str) -> None:
    change(foreign.best_checkpoint, CHANGES[kind])
    with pytest.raises(UserError, match=r"best\.ckpt|data: ") as refused:
        load_finished(foreign, None, {})
    assert "\n" not in str(refused.value)


FAST = ("optimizer_states [{}]", "a state of another shape", "no optimizer", "early stopping of text")
RECOMPUTED = "no normalization"
"""A part that a continued run computes again from its training data."""


@pytest.mark.parametrize(
    "kind", [kind if kind in FAST else pytest.param(kind, marks=pytest.mark.slow) for kind in (*CHANGES, *TRAINING)]
)
def test_a_continued_run_refuses_parts_of_another_kind(halfway: Path, tmp_path: Path, kind: str) -> None:
    run = RunDirectory(Path(shutil.copytree(halfway, tmp_path / "foreign")))
    run.previous_checkpoint.unlink(missing_ok=True)
    change(run.last_checkpoint, {**CHANGES, **TRAINING}[kind])
    run.last_checkpoint.write_bytes(sealed(run.last_checkpoint.read_bytes()))
    outcome = call(train.main, tmp_path, [f"resume={run.path}", "trust=[support]"])
    assert outcome.exit_code == (0 if kind == RECOMPUTED else 2), outcome.stderr
    if outcome.exit_code:
        assert "last.ckpt" in outcome.line or "ckpt_path" in outcome.line


def weights_or_none(path: Path) -> dict[str, torch.Tensor] | None:
    try:
        weights: dict[str, torch.Tensor] = read_checkpoint(path)["state_dict"]
    except UserError:
        return None
    return weights


def test_each_flipped_bit_is_found(foreign: RunDirectory) -> None:
    path = foreign.best_checkpoint
    original = path.read_bytes()
    weights = read_checkpoint(path)["state_dict"]
    for position in range(0, len(original), 997):
        changed = bytearray(original)
        changed[position] ^= 1
        path.write_bytes(changed)
        read = weights_or_none(path)
        # Bytes between the members are not read.
        assert read is None or all(torch.equal(weights[name], tensor) for name, tensor in read.items())


@pytest.mark.parametrize("kind", ["compressed", "bytes", "overlapping", "pickle alone", "text"])
def test_an_archive_takes_no_more_memory_than_it_has_bytes(foreign: RunDirectory, kind: str) -> None:
    path = foreign.best_checkpoint
    if kind == "compressed":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"\0" * (64 << 20))
    elif kind == "bytes":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02c__builtin__\nbytearray\nJ\x00\x00\x00\x70\x85R.")
            archive.writestr("archive/version", b"3\n")
    elif kind == "overlapping":
        content = path.read_bytes()
        path.write_bytes(content.replace((16).to_bytes(4, "little"), (1 << 30).to_bytes(4, "little")))
    else:
        path.write_bytes(b"\x80\x02}q\x00." if kind == "pickle alone" else b"weights")
    with pytest.raises(UserError, match=r"best\.ckpt") as refused:
        read_checkpoint(path)
    assert "\n" not in str(refused.value)
