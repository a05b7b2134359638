"""Mistakes in the user's own cells and callbacks, which name the user's file and line."""

import signal
import sys
from pathlib import Path

import pytest

from rnnexp.core.files.atomic import read_json
from support.programs import Run

CELL = """
import torch
from rnnexp.recurrent.cells import Cell

def step(x, state, recur):
    (h,) = state
    {body}

def mine() -> Cell:
    {factory}
    return Cell(step, gates=1)
"""
CALLBACK = """
from lightning.pytorch import Callback

class Mine(Callback):
    def __init__(self):
        {init}

    def on_train_batch_end(self, *args):
        {hook}
"""
FINE = "return (torch.tanh(x + recur(h)),)"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """The name and file of a module that is new in each test."""
    name = f"own_{abs(hash(request.node.name))}"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name, tmp_path / f"{name}.py"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("return (torch.tanh(x + recur(h) + None),)", r"7 in step: TypeError: "),
        ("return (torch.tanh(x + recur(h[:, 1:])),)", r"7 in step: RuntimeError: "),
        ("raise NotImplementedError", r"7 in step: NotImplementedError: NotImplementedError"),
        ("raise ValueError('a value')", r"7 in step: ValueError: a value"),
    ],
)
def test_an_error_in_a_step(run: Run, own: tuple[str, Path], body: str, error: str) -> None:
    name, file = own
    file.write_text(CELL.format(body=body, factory="pass"), encoding="utf-8")
    outcome = run(f"model.cell={name}.mine")
    assert outcome.exit_code == 2
    *traceback, line = outcome.stderr.splitlines()
    assert line.startswith(f"rnnexp: {file.name}:{error}")
    assert traceback[0] == "Traceback of your code (most recent call last):"
    assert [part for part in traceback if part.startswith("  File ")] == [f'  File "{file}", line 7, in step']
    assert outcome.status == "failed"
    assert outcome.result["reason"].startswith(f"{file.name}:{error}")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (CELL.format(body=FINE, factory="return 1 / 0"), "10 in mine: ZeroDivisionError: division by zero"),
        (CELL.format(body=FINE, factory="raise KeyError('k')"), "10 in mine: KeyError: 'k'"),
        ("import nowhere_at_all", "1: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("\n\ndef f(:\n", "3: SyntaxError: invalid syntax"),
        ("raise RuntimeError('at import')", "1: RuntimeError: at import"),
    ],
)
def test_an_error_before_the_cell_is_made_makes_no_run(run: Run, own: tuple[str, Path], text: str, error: str) -> None:
    name, file = own
    file.write_text(text, encoding="utf-8")
    outcome = run(f"model.cell={name}.mine")
    assert outcome.exit_code == 2
    assert outcome.stderr.splitlines()[-1] == f"rnnexp: {file.name}:{error}"
    assert outcome.directories == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return (torch.tanh(x + recur(h))[:, :2],)", "returns [2, 2] as state 1, not [2, 4]"),
        ("return torch.tanh(x + recur(h))", "must return a tuple of 1 tensor, not Tensor"),
        ("return (h, h)", "must return a tuple of 1 tensor, not of 2"),
        ("x + recur(h)", "must return a tuple of 1 tensor, not NoneType"),
    ],
)
def test_a_step_that_returns_something_else(run: Run, own: tuple[str, Path], body: str, message: str) -> None:
    name, file = own
    file.write_text(CELL.format(body=body, factory="pass"), encoding="utf-8")
    outcome = run(f"model.cell={name}.mine")
    assert outcome.exit_code == 2
    assert f"cell '{name}.mine': its step {message}" in outcome.line
    assert outcome.directories == []


@pytest.mark.parametrize(
    ("init", "hook", "error"),
    [
        ("pass", "self.log('x', 'text')", "9 in on_train_batch_end: ValueError: "),
        ("pass", "open('/nowhere/at/all')", "9 in on_train_batch_end: FileNotFoundError: "),
        ("undefined_name", "pass", "6 in __init__: NameError: "),
    ],
)
def test_an_error_in_a_callback(run: Run, own: tuple[str, Path], init: str, hook: str, error: str) -> None:
    name, file = own
    file.write_text(CALLBACK.format(init=init, hook=hook), encoding="utf-8")
    outcome = run(f"+callbacks.mine={{_target_:{name}.Mine}}")
    assert outcome.exit_code == 2
    assert outcome.stderr.splitlines()[-1].startswith(f"rnnexp: {file.name}:{error}")
    assert outcome.status == "failed"


def test_a_signal_within_the_users_code_is_no_error_of_it(run: Run, own: tuple[str, Path]) -> None:
    name, file = own
    hook = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    file.write_text(CALLBACK.format(init="pass", hook=hook), encoding="utf-8")
    outcome = run(f"+callbacks.mine._target_={name}.Mine")
    assert outcome.exit_code == 128 + signal.SIGTERM
    assert outcome.status == "interrupted"


def test_the_other_jobs_of_a_sweep_go_on(run: Run, own: tuple[str, Path], tmp_path: Path) -> None:
    name, file = own
    file.write_text(CELL.format(body="raise RuntimeError('no')", factory="pass"), encoding="utf-8")
    outcome = run(f"model.cell=gru,{name}.mine", "-m", f"sweep_dir={tmp_path}/sweep", "report=false", "logger=none")
    assert outcome.exit_code == 1
    ended = {path.name[:14]: read_json(path / "status.json") for path in outcome.directories}
    assert ended.pop("model.cell-gru")["status"] == "done"
    (failed,) = ended.values()
    assert (failed["status"], failed["reason"]) == ("failed", f"{file.name}:7 in step: RuntimeError: no")
