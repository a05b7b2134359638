"""The trainers of the stages after training."""

import torch

from rnnexp.runs.stages import on_one_device, with_all_batches


def test_a_device_that_has_trained_tests() -> None:
    config = {"devices": [2, 3], "num_nodes": 2, "strategy": "ddp", "precision": "32-true"}
    single = {"num_nodes": 1, "strategy": "auto", "precision": "32-true"}
    assert on_one_device(config, torch.device("cuda", 2)) == single | {"devices": [2]}
    assert on_one_device(config, torch.device("cpu")) == single | {"devices": 1}


def test_one_device_validates_the_batches_of_all_ranks() -> None:
    assert with_all_batches({"limit_val_batches": 10, "overfit_batches": 3}, 2) == {
        "limit_val_batches": 20,
        "overfit_batches": 6,
    }
    for same in ({}, {"limit_val_batches": None}, {"limit_val_batches": 1.0, "overfit_batches": 0.5}):
        assert with_all_batches(same, 2) == same
