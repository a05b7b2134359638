"""Short keys distinguish runs in a table, and do not hide keys of the config."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from rnnexp.cli.conf_dir import config_root
from rnnexp.core.types import Primitive
from rnnexp.tasks.registry import kind_of_target
from rnnexp.tracking.keys import short_keys


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return the resolved config of a command line."""
    with initialize_config_dir(str(config_root()), version_base="1.3"):
        composed = compose("train", [*request.param, f"hydra.runtime.cwd={tmp_path}"], return_hydra_config=True)
    HydraConfig.instance().set_config(composed)
    plain = OmegaConf.to_container(OmegaConf.masked_copy(composed, [k for k in composed if k != "hydra"]), resolve=True)
    HydraConfig.instance().cfg = None
    return plain


def keys_of(config: Any, num_parameters: int | None = None) -> dict[str, Primitive]:
    kind = kind_of_target(config["task"]["_target_"])
    return short_keys(config, kind.name, kind.dataset_keys, num_parameters)


@pytest.mark.parametrize(
    "config", [["model=birnn", "model.num_layers=3", "trainer.precision=bf16-mixed"]], indirect=True
)
def test_they_are_the_values_of_the_config(config: Any) -> None:
    assert keys_of(config, num_parameters=1234) == {
        "task_name": "classification",
        "dataset": "MNIST-rows",
        "cell": "srn",
        "num_layers": 3,
        "bidirectional": True,
        "hidden_size": 128,
        "dropout": 0.0,
        "precision": "bf16-mixed",
        "lr": config["optimizer"]["lr"],
        "batch_size": 128,
        "train_budget": "6 epochs",
        "num_parameters": 1234,
    }


@pytest.mark.parametrize(
    ("config", "dataset"),
    [
        (["data=mnist_permuted"], "MNIST-pixels-random92916"),
        (["data.name=FashionMNIST"], "FashionMNIST-rows"),
        (["task=translation"], "Phrasebook-en-fr"),
        (["task=translation", "data=multi30k", "data.target_lang=fr"], "Multi30k-en-fr"),
    ],
    indirect=["config"],
)
def test_the_dataset_key_includes_options_that_change_the_data(config: Any, dataset: str) -> None:
    assert keys_of(config)["dataset"] == dataset


@pytest.mark.parametrize(
    ("config", "budget"),
    [
        (["trainer.max_steps=100"], "100 steps or 6 epochs"),
        (["trainer.max_steps=100", "trainer.max_epochs=-1"], "100 steps"),
        (["trainer.max_epochs=-1"], "unlimited"),
    ],
    indirect=["config"],
)
def test_a_budget_is_the_limit_that_ends_training(config: Any, budget: str) -> None:
    assert keys_of(config)["train_budget"] == budget


@pytest.mark.parametrize("config", [[], ["task=translation"]], indirect=True)
def test_no_short_key_is_a_key_of_the_config(config: Any) -> None:
    assert not set(keys_of(config)) & set(config)
    assert "seed" in config


@pytest.mark.parametrize("config", [["~optimizer.lr"]], indirect=True)
def test_keys_missing_in_the_config_are_null(config: Any) -> None:
    assert keys_of(config)["lr"] is None
