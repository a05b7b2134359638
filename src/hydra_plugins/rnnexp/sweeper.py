"""Hydra's sweepers `grid`, every point of a grid, and `optuna`, a study of Optuna that chooses the jobs.

Hydra imports this module in every program, so it has no slow imports at the top.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.rnnexp.launchers import SweepLauncher
from rnnexp.core.errors import UserError, missing_extra_errors
from rnnexp.core.files.atomic import write_text

SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "grid": "BruteForceSampler",
    "gp": "GPSampler",
}
PRUNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "median": ("MedianPruner", {"n_startup_trials": 5, "n_warmup_steps": 0}),
    "percentile": ("PercentilePruner", {"percentile": 25.0, "n_startup_trials": 5, "n_warmup_steps": 0}),
    "successive_halving": ("SuccessiveHalvingPruner", {}),
    "hyperband": ("HyperbandPruner", {}),
    "threshold": ("ThresholdPruner", {"lower": None, "upper": None, "n_warmup_steps": 0}),
    "none": ("NopPruner", {}),
}
"""The class of each pruner and the arguments shown in the config; `+hydra.sweeper.pruner.name=` adds another."""


@dataclass
class GridSweeperConf:
    """Settings with the names of Hydra's sweeper `basic`.

    Args:
        params: axes and fixed values by key, which the command line overrides.
    """

    _target_: str = "hydra_plugins.rnnexp.sweeper.GridSweeper"
    params: dict[str, str] | None = None


@dataclass
class OptunaSweeperConf:
    """`params` and the arguments of `rnnexp.sweeps.search.study.SearchSettings`. The defaults are defined here only."""

    _target_: str = "hydra_plugins.rnnexp.sweeper.OptunaSweeper"
    # The search instantiates the sampler and the pruner, after the settings have been checked.
    _recursive_: bool = False
    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"sampler": "tpe"}, {"pruner": "median"}])
    sampler: Any = None
    pruner: Any = None
    direction: Any = None
    storage: Any = "${sweep_dir}/study/journal.log"
    study_name: Any = "${..job.config_name}"
    n_trials: Any = 20
    n_jobs: Any = 2
    params: dict[str, str] = field(default_factory=dict)


def _store(group: str, name: str, node: Any) -> None:  # noqa: ANN401
    ConfigStore.instance().store(group=f"hydra/{group}", name=name, node=node, provider="rnnexp")


_store("sweeper", "grid", GridSweeperConf)
_store("sweeper", "optuna", OptunaSweeperConf)
for name, sampler in SAMPLERS.items():
    _store("sweeper/sampler", name, {"_target_": f"optuna.samplers.{sampler}", "seed": None})
for name, (pruner, arguments) in PRUNERS.items():
    _store("sweeper/pruner", name, {"_target_": f"optuna.pruners.{pruner}", **arguments})


class LaunchingSweeper(Sweeper):
    """The base class of the sweepers, which pass jobs to the launcher.

    Args:
        params: axes and fixed values by key, in the grammar of the command line, which overrides them.
    """

    def __init__(self, params: dict[str, str]) -> None:
        super().__init__()
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def parse(self, arguments: list[str]) -> list[Override]:
        """Return the overrides of `params` and then those of the command line."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return parser.parse_overrides([*(f"{key}={value}" for key, value in self.params.items()), *arguments])


class GridSweeper(LaunchingSweeper):
    """A sweeper that passes every point of a grid to the launcher.

    Hydra's own sweeper `basic` composes each point once more; our launcher composes all points before the first job
    starts.

    Args:
        params: see `GridSweeperConf`.
    """

    def __init__(self, params: dict[str, str] | None) -> None:
        super().__init__(params or {})

    def sweep(self, arguments: list[str]) -> None:
        assert self.config is not None
        assert self.launcher is not None
        points = grid_points(self.parse(arguments))
        # A launcher of ours writes the file, when it knows that it may write into the directory.
        if not isinstance(self.launcher, SweepLauncher):
            from rnnexp.sweeps.compose import to_yaml

            self.validate_batch_is_legal(points)
            directory = Path(self.config.hydra.sweep.dir)
            directory.mkdir(parents=True, exist_ok=True)
            write_text(directory / "multirun.yaml", to_yaml(self.config))
        for returned in self.launcher.launch(points, initial_job_idx=0):
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


class OptunaSweeper(LaunchingSweeper):
    """A sweeper that passes the search space to a search, and the jobs of the search to the launcher.

    Args:
        params: axes and fixed values by key, in the grammar of the command line, which overrides them.
        settings: see `rnnexp.sweeps.search.study.SearchSettings`.
    """

    def __init__(self, params: dict[str, str], **settings: Any) -> None:  # noqa: ANN401
        super().__init__(params)
        self.settings: dict[str, Any] = {
            name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }

    def sweep(self, arguments: list[str]) -> None:
        if not isinstance(self.launcher, SweepLauncher):
            assert self.config is not None
            name = self.config.hydra.runtime.choices["hydra/launcher"]
            raise UserError(f"hydra/launcher={name} does not return the metrics of its jobs: use hydra/launcher=pool")
        with missing_extra_errors("a search", "optuna"):
            import optuna  # noqa: F401
        from rnnexp.sweeps.search.search import Search
        from rnnexp.sweeps.search.study import SearchSettings

        overrides = self.parse(arguments)
        Search(SearchSettings(**self.settings), self.launcher.sweep_settings, overrides, self.launcher).run()
