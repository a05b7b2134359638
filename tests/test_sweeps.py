"""Every file of sweeps/ has a question and a command, and every point of its grid composes."""

import inspect
import math
import re
import shlex
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from support import ROOT

CONF = ROOT / "conf"
SWEEPS = CONF.parent / "sweeps"
FILES = sorted(SWEEPS.glob("*.yaml"))
SIZES = ("full", "small")
MOST_POINTS = 100


def compose_sweep(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(SWEEPS), version_base="1.3"):
        found = [f"hydra.searchpath=[file://{CONF}]", f"hydra.job.config_name={name}", *overrides]
        return compose(name, found, return_hydra_config=True)


def points(config: DictConfig) -> list[list[str]]:
    """Return the overrides of every point of a grid, with one of its seeds; of a large search, of each value."""
    parser = OverridesParser.create()
    params = [f"{key}={value}" for key, value in config.hydra.sweeper.params.items()]
    if "sampler" in config.hydra.sweeper:
        axes = [values(override) for override in parser.parse_overrides(params)]
        if math.prod(map(len, axes)) <= MOST_POINTS:
            return [list(point) for point in product(*axes)]
        return [[axis[number % len(axis)] for axis in axes] for number in range(max(map(len, axes)))]
    (grid,) = BasicSweeper.split_arguments(parser.parse_overrides(params), None)
    first = next((override for override in grid[0] if override.startswith("seed=")), None)
    return [point for point in grid if first is None or first in point]


def values(override: Override) -> list[str]:
    """Return an override for each value of an axis of a search; of an interval, for its ends."""
    if override.is_interval_sweep():
        interval: Any = override.value()
        return [f"{override.key_or_group}={end}" for end in (interval.start, interval.end)]
    return [f"{override.key_or_group}={value}" for value in override.sweep_string_iterator()]


CASES = [(file.stem, size) for file in FILES for size in SIZES]


def test_sweeps_exist() -> None:
    wanted = {"cells_mnist", "depth_mnist", "direction_mnist", "precision_mnist", "memory_pixels", "seeds"}
    assert wanted | {"cells_translation", "cells_phrasebook", "search_mnist", "search_captions"} <= {
        file.stem for file in FILES
    }
    assert {file.stem for file in (SWEEPS / "size").glob("*.yaml")} == set(SIZES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_sweep_has_a_question_and_a_command(file: Path) -> None:
    question, command, *rest = file.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# .*\?", question)
    assert shlex.split(command)[1:] == [
        *("python", "-m", "rnnexp.train", "--config-dir", "sweeps", "--config-name", file.stem),
    ]
    config: Any = OmegaConf.load(file)
    # A search has an axis in each line, and more of them than a grid.
    longer = len(config.hydra.sweeper.params) if "direction" in config.hydra.sweeper else 0
    assert 5 <= len(rest) + 2 <= 20 + longer


@pytest.mark.parametrize(("name", "size"), CASES)
def test_every_point_composes_and_fits_its_constructors(name: str, size: str) -> None:
    config = compose_sweep(name, f"size={size}")
    assert config.hydra.mode.name == "MULTIRUN"
    assert Path(config.sweep_dir).name == (name if size == "full" else f"{name}_small")
    grid = points(config)
    assert grid
    try:
        for point in grid:
            composed = compose_sweep(name, f"size={size}", *point, "paths.output_dir=here", "hydra.runtime.cwd=here")
            HydraConfig.instance().set_config(composed)
            ours = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
            plain: Any = OmegaConf.to_container(ours, resolve=True, throw_on_missing=True)
            for group in ("model", "trainer"):
                node = {key: value for key, value in plain[group].items() if not key.startswith("_")}
                inspect.signature(get_object(plain[group]["_target_"])).bind_partial(**node)
    finally:
        HydraConfig.instance().cfg = None
