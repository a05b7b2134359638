"""W&B sweeps start the programs: each file is expanded like W&B's agent does, and composed."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from rnnexp.cli.conf_dir import config_root
from support import ROOT

FILES = sorted((ROOT / "sweeps" / "wandb").glob("*.yaml"))
# The logged keys are tested in tests/loggers/test_wandb.py.
LOGGED = {"val/acc", "val/loss", "val/bleu"}


def samples(parameter: dict[str, Any]) -> list[Any]:
    """Return values that W&B may choose: all values of a list, both ends of a range."""
    return parameter["values"] if "values" in parameter else [parameter["min"], parameter["max"]]


def points(sweep: dict[str, Any]) -> Iterator[dict[str, Any]]:
    parameters = sweep["parameters"]
    for values in itertools.product(*map(samples, parameters.values())):
        yield dict(zip(parameters, values, strict=True))


def command(sweep: dict[str, Any], point: dict[str, Any]) -> list[str]:
    """Return the command of the agent, made by its own functions and a copy of Agent._command_run's last loop."""
    expanded = create_sweep_command_args({"args": {name: {"value": value} for name, value in point.items()}})
    expanded |= {"interpreter": ["python"], "program": [sweep["program"]], "env": ["/usr/bin/env"]}
    words: list[str] = []
    for word in map(str, create_sweep_command(list(sweep["command"]))):
        whole = word.startswith("${") and word.endswith("}")
        words += (expanded.get(word[2:-1]) or []) if whole else [word]
    return words


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def sweep(file: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def composed(overrides: list[str], place: Path) -> DictConfig:
    with initialize_config_dir(str(config_root()), version_base="1.3"):
        config = compose("train", [*overrides, f"hydra.runtime.cwd={place}"], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    ours = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    OmegaConf.resolve(ours)
    HydraConfig.instance().cfg = None
    return ours


def test_sweeps_exist() -> None:
    assert {"gru_mnist", "cells_and_directions"} <= {path.stem for path in FILES}


def test_a_file_begins_with_its_question_and_its_command(file: Path) -> None:
    question, command_line, *_ = file.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# .*\?", question)
    place = file.relative_to(ROOT)
    assert command_line == f"# wandb sweep {place}, then: make wandb-agent SWEEP=entity/rnnexp/id"


def test_a_sweep_uses_the_project_and_a_logged_metric(sweep: dict[str, Any], file: Path) -> None:
    assert sweep["project"] == "rnnexp"
    assert sweep["name"] == file.stem
    assert sweep["metric"]["name"] in LOGGED
    assert sweep["method"] in ("grid", "bayes", "random")
    assert sweep["method"] == "grid" or sweep["run_cap"] > 0, "a search that never ends"


def test_no_value_has_characters_that_the_agent_cannot_pass(sweep: dict[str, Any]) -> None:
    for point in points(sweep):
        for value in point.values():
            assert isinstance(value, bool | int | float | str)
            assert not re.search(r"[\s,\[\]{}]", str(value))


def test_no_parameter_hides_a_part_of_the_config(sweep: dict[str, Any]) -> None:
    """W&B locks the keys of a sweep: a parameter `model` would replace the run's own `model`."""
    assert not set(sweep["parameters"]) & {path.name for path in config_root().iterdir() if path.is_dir()}


def test_every_command_composes_to_its_point(sweep: dict[str, Any], tmp_path: Path) -> None:
    names = set()
    for point in points(sweep):
        words = command(sweep, point)
        assert words[:4] == ["/usr/bin/env", "python", "-m", "rnnexp.train"]
        config = composed(words[4:], tmp_path)
        for key, value in point.items():
            found = OmegaConf.select(config, key)
            assert found == value
            assert type(found) is type(value)
        assert config.data.name == "MNIST"
        names.add(config.name)
    cells = sweep["parameters"].get("model.cell", {"values": ["gru"]})["values"]
    directions = sweep["parameters"].get("model.bidirectional", {"values": [False]})["values"]
    assert names == {f"MNIST-rows_{'bi' * both}{cell}" for cell in cells for both in directions}
