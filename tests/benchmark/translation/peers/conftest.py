"""Interpreters that speak the protocol of a peer."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MakePython = Callable[[str], str]


@pytest.fixture
def make_python(tmp_path: Path) -> MakePython:
    """A function that makes an interpreter, which runs the given code in place of the driver."""

    def make(code: str) -> str:
        python = tmp_path / "python"
        python.write_text(f"#!{sys.executable}\nimport json, shutil, sys, time\n{code}\n", encoding="utf-8")
        python.chmod(0o755)
        return str(python)

    return make
