"""Checkpoints load without running code; one that cannot be continued is refused and no file is lost."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from support.programs import Outcome, Run

SAME = ["trainer.max_epochs=3", "model.hidden_size=32", "optimizer.lr=0.02"]


class Foreign:
    """An object that can be unpickled only by running code."""


@pytest.mark.parametrize("name", ["best", "last"])
def test_own_checkpoints_load_safely(finished: Outcome, name: str) -> None:
    checkpoint = torch.load(finished.directory / f"checkpoints/{name}.ckpt", weights_only=True)
    assert checkpoint["rnnexp"]["cell"] == "gru"
    assert checkpoint["rnnexp"]["optimizer"] == "AdamW"
    assert sum(key.startswith("model.") for key in checkpoint["state_dict"]) == 6


def cut_short(source: Path, target: Path) -> None:
    content = source.read_bytes()
    target.write_bytes(content[: len(content) // 2])


def with_code(_: Path, target: Path) -> None:
    torch.save({"model": Foreign(), "state_dict": {}}, target)


DAMAGES: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "a plain state dict": (lambda _, target: torch.save({"weight": torch.zeros(2)}, target), "is not from rnnexp"),
    "a tensor": (lambda _, target: torch.save(torch.zeros(2), target), "is not from rnnexp"),
    "a pickle with a class": (with_code, "holds more than tensors"),
    "an ordinary pickle": (
        lambda _, target: target.write_bytes(pickle.dumps(Path("x"))),
        "cannot be read|damaged",
    ),
    "text": (lambda _, target: target.write_text("<html>404</html>", encoding="utf-8"), "damaged"),
    "cut short": (cut_short, "truncated or damaged"),
    "empty": (lambda _, target: target.touch(), "cannot be read .*truncated or damaged"),
    "a directory": (lambda _, target: target.mkdir(), "is a directory: name the file in it"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused(run: Run, finished: Outcome, tmp_path: Path, damage: str) -> None:
    make, message = DAMAGES[damage]
    path = tmp_path / "given.ckpt"
    make(finished.directory / "checkpoints" / "last.ckpt", path)
    content = path.read_bytes() if path.is_file() else None
    outcome = run(*SAME, f"ckpt_path={path}")
    assert outcome.exit_code == 2
    assert outcome.status == "failed"
    assert outcome.line.startswith(f"rnnexp: checkpoint {path} ")
    assert re.search(message, outcome.line), outcome.line
    assert not list((outcome.directory / "checkpoints").iterdir())
    assert (path.read_bytes() if path.is_file() else None) == content


def test_a_missing_checkpoint_has_a_suggestion(run: Run, finished: Outcome) -> None:
    outcome = run(*SAME, f"ckpt_path={finished.directory}/checkpoints/lst.ckpt")
    assert outcome.exit_code == 2
    assert outcome.line.endswith("lst.ckpt is missing; did you mean 'last.ckpt'?")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=lstm"], "cell=gru, here lstm"),
        (["model.hidden_size=16"], "hidden_size=32, here 16"),
        (["model.num_layers=2"], "num_layers=1, here 2"),
        (["model.bidirectional=true"], "bidirectional=False, here True"),
        (["model.hidden_size=16", "task.pooling=mean"], "hidden_size=32, here 16; pooling=last_state, here mean"),
        (["optimizer=sgd"], "optimizer=AdamW, here SGD"),
        (["scheduler=cosine"], "scheduler=one_cycle, here cosine"),
        (["model.learned_initial_state=true"], r"initial_state is missing, here \[1, 1, 1, 32\]"),
        (["model.layer_norm=true"], "norms.0.bias is missing, here .*, and 1 more differ"),
    ],
)
def test_a_checkpoint_of_another_experiment_is_refused(
    run: Run, finished: Outcome, overrides: list[str], message: str
) -> None:
    path = finished.directory / "checkpoints" / "last.ckpt"
    content = path.read_bytes()
    outcome = run(*SAME, *overrides, f"ckpt_path={path}")
    assert outcome.exit_code == 2
    assert re.search(f"is of another (experiment|model): .*{message}", outcome.line), outcome.line
    assert path.read_bytes() == content


def test_another_order_of_batches_is_refused_in_the_middle_of_an_epoch(run: Run) -> None:
    send = "+callbacks.probe={_target_:support.probing_callbacks.SendSignal,step:3,number:15}"
    interrupted = run("scheduler=constant", send)
    path = interrupted.directory / "checkpoints" / "last.ckpt"
    for override, message in {
        "data.batch_size=25": "batch_size=50, now it is 25",
        "data.seed=2": "seed=1, now it is 2",
    }.items():
        outcome = run("scheduler=constant", override, f"ckpt_path={path}")
        assert outcome.exit_code == 2
        assert message in outcome.line


def test_the_backends_share_checkpoints(run: Run, finished: Outcome) -> None:
    outcome = run(*SAME, "model.backend=reference", f"ckpt_path={finished.directory}/checkpoints/last.ckpt")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.result["metrics"]["test/acc"] == finished.result["metrics"]["test/acc"]
