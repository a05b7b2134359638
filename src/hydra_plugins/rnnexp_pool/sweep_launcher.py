"""What our launchers have in common, whatever engine each makes."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from rnnexp.launch.engine import Engine
    from rnnexp.launch.sweep import Outcome, Sweep


@dataclass
class LauncherConf:
    """Settings of every rnnexp.launch.engine.Engine, and the one home of their defaults."""

    on_error: str = "continue"
    max_failures: Any = None


@dataclass
class TimedLauncherConf(LauncherConf):
    """Of those where nobody else limits the time of a job."""

    job_timeout: Any = None


class SweepLauncher(Launcher):
    """Hands the jobs that a sweeper asks for to one engine, which lasts as long as the sweep.

    Args:
        settings: the fields of the launcher's config.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.settings: dict[str, Any] = {
            name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }
        self.sweep: Sweep | None = None

    @abstractmethod
    def make_engine(self) -> "Engine[Any]":
        """Raises UserError if this machine lacks what the engine needs."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:  # noqa: ARG002
        self.config, self.hydra_context = config, hydra_context
        if not isinstance(config.sweep_dir, str) or not config.sweep_dir:
            from rnnexp.errors import UserError

            raise UserError(f"sweep_dir must be the path of a directory, not {config.sweep_dir!r}")

    def check(self, job_overrides: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        """The configs of these jobs. Raises UserError if one cannot be composed, or can never run here."""
        return self._sweep().check(job_overrides)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence["Outcome"]:  # noqa: ARG002
        return self._sweep().launch(job_overrides)

    def _sweep(self) -> "Sweep":
        from rnnexp.launch.sweep import Sweep

        if self.sweep is None:
            self.sweep = Sweep(self.config, self.hydra_context.config_loader, self.make_engine())
        return self.sweep
