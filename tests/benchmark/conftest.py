"""Fixtures of the benchmark tests."""

from pathlib import Path

import pytest

from rnnexp.benchmark import __main__ as benchmark
from support.benchmarks import SMALL, Measure
from support.programs import call


@pytest.fixture
def measure(tiny: list[str], tmp_path: Path) -> Measure:
    """A function that runs a small classification benchmark with further overrides."""
    everywhere = [*tiny, "cells=[lstm]", *SMALL, f"paths.outputs_dir={tmp_path}/outputs"]
    return lambda *overrides: call(benchmark.main, tmp_path, [*everywhere, *overrides])


@pytest.fixture
def measure_translation(tmp_path: Path) -> Measure:
    """A function that runs a small translation benchmark with further overrides."""
    everywhere = [
        *SMALL,
        "task=translation",
        "data.num_pairs=600",
        "data.batch_size=25",
        "data.cache=null",
        "task.network.embedding_size=8",
        "trainer=cpu",
        "model.hidden_size=8",
        "pairs=3",
        "decode_sentences=20",
        f"paths.outputs_dir={tmp_path}/outputs",
    ]
    return lambda *overrides: call(benchmark.main, tmp_path, [*everywhere, *overrides])
