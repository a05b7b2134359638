"""Fixtures of the tests of the translate program."""

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnexp import train
from rnnexp.translate import __main__ as translate
from support.programs import Outcome, call
from support.translating import Translate


@pytest.fixture(scope="session")
def translator(translate_tiny: Callable[[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run after one epoch of training; tests must not change it."""
    place = tmp_path_factory.mktemp("translator")
    small = ["task=translation", *translate_tiny("Phrasebook"), "data.cache=null", "model.hidden_size=16"]
    outcome = call(train.main, place, [*small, "trainer.max_epochs=1", f"paths.outputs_dir={place}/outputs"])
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.directory


@pytest.fixture
def copied(translator: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A function that copies the run to a directory that tests may change."""
    return lambda name: Path(shutil.copytree(translator, tmp_path / name))


@pytest.fixture
def say(translator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Translate:
    """A function that translates its standard input, with that run unless another is named."""

    def call_with(*overrides: str, piped: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped), encoding="utf-8"))
        named = [] if any(override.startswith("run=") for override in overrides) else [f"run={translator}"]
        return call(translate.main, tmp_path, [*named, "accelerator=cpu", *overrides])

    return call_with
