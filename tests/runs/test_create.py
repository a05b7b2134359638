"""A resolved config has plain values, and its cell is a name, however the user gave it."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from rnnexp.cli.run_name import run_name
from rnnexp.core.errors import UserError
from rnnexp.runs.create import resolved

DATA = {"_target_": "rnnexp.data.images.mnist.MNISTDataModule", "name": "Tiny"}
CLASSIFICATION = {"_target_": "rnnexp.tasks.classification.task.ClassificationTask"}


@pytest.mark.parametrize("look_up", ["get_class", "get_method", "get_object", "get_static_method"])
def test_a_looked_up_cell_is_its_name(look_up: str) -> None:
    cell = {"_target_": f"hydra.utils.{look_up}", "path": "${mine}"}
    config = OmegaConf.create({"mine": "my_cells.mgu", "model": {"cell": cell, "hidden_size": 8}})
    assert resolved(config)["model"] == {"cell": "my_cells.mgu", "hidden_size": 8, "cell_options": {}}
    assert run_name(DATA, config.model, CLASSIFICATION) == "Tiny_mgu"


@pytest.mark.parametrize("partial", [{}, {"_partial_": True}])
def test_the_arguments_of_a_made_cell_are_its_options(partial: dict[str, Any]) -> None:
    model = {"cell": {"_target_": "my_cells.scaled", "scale": 0.5, **partial}, "cell_options": {"bias": True}}
    config = OmegaConf.create({"model": model})
    named = {"cell": "my_cells.scaled", "cell_options": {"bias": True, "scale": 0.5}}
    assert resolved(config) == {"model": named}
    assert run_name(DATA, config.model, CLASSIFICATION) == "Tiny_scaled"


@pytest.mark.parametrize("cell", [{}, {"name": "gru"}, {"_target_": "my_cells.scaled", "_args_": [0.5]}])
def test_a_cell_without_a_name_is_refused(cell: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"model\.cell must be the name of a cell"):
        resolved(OmegaConf.create({"model": {"cell": cell}}))
