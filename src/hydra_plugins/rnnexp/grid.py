"""Hydra's sweeper `grid`: every point of a grid.

Hydra imports this module in every program, so it has no slow imports at the top.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from rnnexp.core.errors import UserError


@dataclass
class GridSweeperConf:
    """Settings with the names of Hydra's sweeper `basic`.

    Args:
        max_batch_size: the number of points that are composed and run together; None takes all.
        params: axes and fixed values by key, which the command line overrides.
    """

    _target_: str = "hydra_plugins.rnnexp.grid.GridSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridSweeperConf, provider="rnnexp")


class GridSweeper(Sweeper):
    """A sweeper that passes every point of a grid to the launcher.

    Hydra's own sweeper `basic` composes each point once more; our launcher composes all points before the
    first job starts. Its class cannot be extended, since Hydra imports the module of each plugin a second time.

    Args:
        max_batch_size: see `GridSweeperConf`.
        params: see `GridSweeperConf`.
    """

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None) -> None:
        super().__init__()
        self.max_batch_size, self.params = max_batch_size, params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        # Hydra imports the modules of plugins one after the other, each anew, so that the class is final only now.
        from hydra_plugins.rnnexp.launchers import SweepLauncher

        assert self.hydra_context is not None
        assert self.config is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        points = grid_points(parser.parse_overrides([*(f"{k}={v}" for k, v in self.params.items()), *arguments]))
        directory = Path(self.config.hydra.sweep.dir)
        directory.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, directory / "multirun.yaml")
        size = self.max_batch_size or max(len(points), 1)
        for start in range(0, max(len(points), 1), size):
            batch = points[start : start + size]
            if not isinstance(self.launcher, SweepLauncher):
                self.validate_batch_is_legal(batch)
            for returned in self.launcher.launch(batch, initial_job_idx=start):
                # The access raises the error of a job that failed.
                _ = returned.return_value


def grid_points(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of each point; the values of the last key change first.

    Raises:
        UserError: for an axis without single values.
    """
    axes: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            axes[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            axes[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise UserError(f"{override.input_line}: a grid has no intervals: list the values, or hydra/sweeper=optuna")
    return [list(point) for point in product(*axes.values())]
