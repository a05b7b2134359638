"""`hydra/sweeper=optuna`: a study of Optuna says which jobs run."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.rnnexp.launchers import SweepLauncher

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
"""Class, and the arguments that people change; `+hydra.sweeper.pruner.name=` gives it another."""


@dataclass
class OptunaSweeperConf:
    """Arguments of rnnexp.sweeps.search.search.SearchSettings with `params`, and the one home of their defaults."""

    _target_: str = "hydra_plugins.rnnexp.sweeper.OptunaSweeper"
    # The sampler and the pruner are made when the search begins: a dry run and an error need neither.
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
    """Hands the search space to a search, and the search's jobs to the launcher.

    Args:
        params: axes and fixed values, as on the command line, which goes before them.
        settings: see rnnexp.sweeps.search.search.SearchSettings.
    """

    def __init__(self, params: dict[str, str], **settings: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.params, self.settings = params, settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from rnnexp.core.errors import UserError
        from rnnexp.sweeps.search.search import SearchSettings, search

        assert self.config is not None
        assert self.hydra_context is not None
        if not isinstance(self.launcher, SweepLauncher):
            named = self.config.hydra.runtime.choices["hydra/launcher"]
            raise UserError(
                f"hydra/launcher={named} does not tell a search what its jobs measured: use hydra/launcher=pool"
            )
        written = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        overrides = OverridesParser.create(self.hydra_context.config_loader).parse_overrides(written)
        search(self.config, SearchSettings(**self.settings), overrides, self.launcher)
