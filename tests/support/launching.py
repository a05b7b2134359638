"""A way to launch a test program in this process like a real program."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from omegaconf import DictConfig

from rnnexp.cli.main import run_program
from rnnexp.core import user_code
from rnnexp.core.user_modules import is_own
from support import ROOT


class Ended(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str

    @property
    def line(self) -> str:
        """The only line on stderr."""
        assert self.stderr.count("\n") == 1, self.stderr
        return self.stderr.rstrip("\n")


Launch = Callable[..., Ended]


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Launch:
    """A function that runs a program with train.yaml and overrides in an empty directory."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    # The functions of the tests stand for those of rnnexp.
    monkeypatch.setattr(user_code, "is_own", lambda path: is_own(path) and ROOT not in path.parents)
    monkeypatch.chdir(tmp_path)

    def call(program: Callable[[DictConfig], int | None], *arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["program.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            run_program("train", program)
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, *capfd.readouterr())

    return call
