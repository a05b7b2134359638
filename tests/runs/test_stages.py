"""The trainers of the stages after training."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rnnexp.runs.stages import on_one_device, with_batches_of


def test_a_device_that_has_trained_tests() -> None:
    config = {"devices": [2, 3], "num_nodes": 2, "strategy": "ddp", "precision": "32-true"}
    single = {"num_nodes": 1, "strategy": "auto", "precision": "32-true"}
    assert on_one_device(config, torch.device("cuda", 2)) == single | {"devices": [2]}
    assert on_one_device(config, torch.device("cpu")) == single | {"devices": 1}


@pytest.mark.parametrize("config", [{}, {"limit_val_batches": 0.67}, {"limit_val_batches": 2}, {"overfit_batches": 2}])
def test_one_device_validates_the_batches_of_all_ranks(config: dict[str, Any]) -> None:
    ranks: Any = SimpleNamespace(world_size=2, num_val_batches=[2])
    assert with_batches_of(ranks, config) == {"limit_val_batches": 4, "overfit_batches": 0}
    for same in (SimpleNamespace(world_size=1, num_val_batches=[2]), SimpleNamespace(world_size=2, num_val_batches=[])):
        assert with_batches_of(same, config) == config  # type: ignore[arg-type]
