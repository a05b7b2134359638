"""Configs that are composed from templates equal those that Hydra composes from the files."""

from collections.abc import Iterator
from itertools import product

import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import open_dict

from rnnexp.cli.conf_dir import config_root
from rnnexp.runs.create import resolved
from rnnexp.sweeps.templates import ConfigComposer


@pytest.fixture(scope="module")
def loader() -> Iterator[ConfigLoader]:
    with initialize_config_dir(str(config_root()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def composer(loader: ConfigLoader, *varying: str) -> ConfigComposer:
    config = loader.load_configuration("train", [], RunMode.MULTIRUN)
    assert config.sweep_dir, "the time in it is kept for all points"
    return ConfigComposer(loader, config, set(varying))


GRIDS: dict[str, dict[str, list[str]]] = {
    "options and values": {"model": ["gru", "lstm"], "seed": ["1", "2"], "optimizer.lr": ["0.1", "1e-3"]},
    "a node that is switched off": {"callbacks.early_stopping": ["null", "{patience:7}"], "seed": ["1", "2"]},
    "an added node": {"+callbacks.mine._target_": ["a.B", "c.D"], "callbacks.early_stopping.patience": ["2", "3"]},
    "null and text": {"num_threads": ["null", "2"], "name": ["x", "'a,b=c'"], "tags": ["[a]", "[b]"]},
    "interpolations": {"data.seed": ["3", "${seed}"], "monitor": ["a", "${name}"], "seed": ["1", "2"]},
    "a recipe": {"experiment": ["baseline_lstm", "baseline_bilstm"], "model.hidden_size": ["8", "16"]},
    "a node and a value in it": {"trainer.max_epochs": ["1", "2"], "trainer": ["{max_epochs:3}"]},
    "values of the point": {"name": ["'${hydra:job.num}'", "'a${hydra:job.num}'"], "seed": ["1", "2"]},
}


@pytest.mark.parametrize("axes", GRIDS.values(), ids=GRIDS.keys())
def test_a_template_gives_the_config_of_hydra(loader: ConfigLoader, axes: dict[str, list[str]]) -> None:
    compose = composer(loader, *(key for key, values in axes.items() if len(values) > 1))
    for index, values in enumerate(product(*axes.values())):
        overrides = [f"{key}={value}" for key, value in zip(axes, values, strict=True)]
        found = resolved(compose(overrides, index))
        whole = loader.load_sweep_config(compose.config, overrides)
        with open_dict(whole):
            whole.hydra.job.num = index
        HydraConfig.instance().set_config(whole)
        with open_dict(whole):
            del whole["hydra"]
        assert found == resolved(whole)


def test_points_with_the_same_options_are_composed_once(loader: ConfigLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    compose = composer(loader, "model", "seed")
    composed: list[object] = []
    load = compose.loader.load_sweep_config
    monkeypatch.setattr(compose.loader, "load_sweep_config", lambda *args: composed.append(args) or load(*args))
    for index, (model, seed) in enumerate(product(("gru", "lstm"), range(5))):
        config = compose([f"model={model}", f"seed={seed}"], index)
        assert (config.model.cell, config.seed, config.name) == (model, seed, f"MNIST-rows_{model}")
    assert len(composed) == 2


def test_an_error_is_that_of_hydra(loader: ConfigLoader) -> None:
    compose = composer(loader, "data.val_size", "data")
    compose(["data=mnist", "data.val_size=5"], 0)
    compose(["data=mnist", "data.val_size=6"], 1)
    with pytest.raises(ConfigCompositionException, match=r"Could not override 'data\.val_size'"):
        compose(["data=phrasebook", "data.val_size=6"], 2)
