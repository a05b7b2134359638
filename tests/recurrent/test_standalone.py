"""The networks can be used alone: importing them loads neither Lightning nor Hydra."""

import doctest
import subprocess
import sys

import pytest
import torch

from rnnexp.recurrent import stack


@pytest.mark.parametrize("package", ["rnnexp.recurrent", "rnnexp.models"])
def test_imports(package: str) -> None:
    code = f"import sys, {package}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"rnnexp", "torch"} <= loaded
    assert not loaded & {
        "lightning",
        "lightning_utilities",
        "pytorch_lightning",
        "torchmetrics",
        "hydra",
        "omegaconf",
        "wandb",
    }


def test_the_example_of_the_stack_runs() -> None:
    result = doctest.testmod(stack, extraglobs={"torch": torch})
    assert result.attempted == 4
    assert result.failed == 0
