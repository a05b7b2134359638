"""Hydra's sweeper `optuna`: a study of Optuna chooses the jobs.

Hydra imports this module in every program, so it has no slow imports at the top.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.rnnexp.launchers import SweepLauncher, missing_extra_errors
from rnnexp.core.errors import UserError

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


_store("sweeper", "optuna", OptunaSweeperConf)
for name, sampler in SAMPLERS.items():
    _store("sweeper/sampler", name, {"_target_": f"optuna.samplers.{sampler}", "seed": None})
for name, (pruner, arguments) in PRUNERS.items():
    _store("sweeper/pruner", name, {"_target_": f"optuna.pruners.{pruner}", **arguments})


class OptunaSweeper(Sweeper):
    """A sweeper that passes the search space to a search, and the jobs of the search to the launcher.

    Args:
        params: axes and fixed values by key, in the grammar of the command line, which overrides them.
        settings: see `rnnexp.sweeps.search.study.SearchSettings`.
    """

    def __init__(self, params: dict[str, str], **settings: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.params = params
        self.settings: dict[str, Any] = {
            name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        assert self.hydra_context is not None
        if not isinstance(self.launcher, SweepLauncher):
            assert self.config is not None
            name = self.config.hydra.runtime.choices["hydra/launcher"]
            raise UserError(f"hydra/launcher={name} does not return the metrics of its jobs: use hydra/launcher=pool")
        with missing_extra_errors("a search"):
            import optuna  # noqa: F401
        from rnnexp.sweeps.search.search import Search
        from rnnexp.sweeps.search.study import SearchSettings

        all_overrides = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        overrides = OverridesParser.create(self.hydra_context.config_loader).parse_overrides(all_overrides)
        Search(SearchSettings(**self.settings), self.launcher.sweep_settings, overrides, self.launcher).run()
