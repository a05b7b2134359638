"""Fixtures of the tests of translation."""

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
    """A run that has hardly learned to translate, and is not to be changed."""
    place = tmp_path_factory.mktemp("translator")
    small = ["task=translation", *translate_tiny("Phrasebook"), "data.cache=null", "model.hidden_size=16"]
    outcome = call(train.main, place, [*small, "trainer.max_epochs=1", f"paths.outputs_dir={place}/outputs"])
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.directory


@pytest.fixture
def copied(translator: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies of that run, which may be changed."""
    return lambda name: Path(shutil.copytree(translator, tmp_path / name))


@pytest.fixture
def say(translator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Translate:
    """Translates what is piped in, with that run unless others are named."""

    def call_with(*overrides: str, piped: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped), encoding="utf-8"))
        named = [] if any(override.startswith("run=") for override in overrides) else [f"run={translator}"]
        return call(translate.main, tmp_path, [*named, "accelerator=cpu", *overrides])

    return call_with
