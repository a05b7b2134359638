"""`hydra/launcher=pool`: every job of a multirun is a process of its own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.rnnexp_pool.sweep_launcher import SweepLauncher, TimedLauncherConf

if TYPE_CHECKING:
    from rnnexp.launch.pool import Pool


@dataclass
class PoolLauncherConf(TimedLauncherConf):
    """Settings of rnnexp.launch.pool.Pool."""

    _target_: str = "hydra_plugins.rnnexp_pool.pool_launcher.PoolLauncher"
    jobs: Any = "auto"
    jobs_per_device: int = 1


ConfigStore.instance().store(group="hydra/launcher", name="pool", node=PoolLauncherConf, provider="rnnexp")


class PoolLauncher(SweepLauncher):
    """See rnnexp.launch.pool.Pool."""

    def make_engine(self) -> "Pool":
        from rnnexp.launch.pool import Pool

        return Pool(self.settings)
