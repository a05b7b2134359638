"""The logger that copies a run to Trackio."""

import io
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from rnnexp.core.errors import UserError, missing_extra_errors
from rnnexp.core.printable import without_secrets
from rnnexp.core.types import Primitive
from rnnexp.loggers.base import StoreLogger

log = logging.getLogger(__name__)


class TrackioLogger(StoreLogger, Logger):
    """A logger with one Trackio run per job, in the directory of Trackio: TRACKIO_DIR, or its default.

    Trackio finds runs by name, so the name ends in six letters that no other run has. Its tables need pandas, so it
    shows none: samples.csv in the run directory has them.

    Args:
        save_dir: the run directory.
        project, group, name: the values that Trackio shows.
    """

    def __init__(self, save_dir: str, project: str, group: str | None, name: str) -> None:
        with missing_extra_errors("logger=trackio", "trackio"):
            import trackio  # noqa: F401
        StoreLogger.__init__(self, save_dir, "trackio")
        Logger.__init__(self)
        self._project = project
        self._group = None if group is None else without_secrets(group)
        self._earlier_name = self._find_earlier()
        self._name = self._earlier_name or f"{without_secrets(name)}_{uuid.uuid4().hex[:6]}"
        self._run: Any = None
        self._config: dict[str, Any] = {}

    def _find_earlier(self) -> str | None:
        """Return the name of the Trackio run of an earlier process; None if there is none."""
        import trackio

        key = self.read_key()
        try:
            names = [run.name for run in trackio.Api().runs(self._project)] if key else []
        except ValueError:
            # The project does not exist.
            names = []
        return key if key in names else None

    @property
    def name(self) -> str:
        """The project."""
        return self._project

    @property
    def version(self) -> str:
        """The name of the run."""
        return self._name

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:  # noqa: ANN401 (trackio.Run, or a stand-in on other ranks)
        """The Trackio run. At the first access it starts, or that of this directory continues."""
        if self._run is None:
            import trackio

            with _quiet(), self._errors():
                self._run = trackio.init(
                    self._project,
                    name=self._name,
                    group=self._group,
                    config=self._config,
                    resume="allow" if self._earlier_name else "never",
                    embed=False,
                    auto_log_gpu=False,
                    auto_log_cpu=False,
                )
            self.write_key(self._name)
        return self._run

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            # A name of a project that Trackio refuses.
            raise UserError(f"logger.trackio: {error}") from None

    @property
    def is_continued(self) -> bool:
        """Whether Trackio has an earlier part of this run."""
        return self._earlier_name is not None

    def send_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Send a row to Trackio."""
        row = {name: value.item() if isinstance(value, Tensor) else value for name, value in metrics.items()}
        self.experiment.log(row, step=step)

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:  # noqa: ANN401
        """Keep the config, which Trackio takes when the run starts."""
        self._config |= dict(params)

    @rank_zero_only
    def log_short_keys(self, keys: dict[str, Primitive]) -> None:
        """Put the keys at the top of the config."""
        self._config |= keys

    @rank_zero_only
    def log_figure(self, name: str, path: Path) -> None:
        """Log the file as an image."""
        import trackio

        self.experiment.log({name: trackio.Image(str(path))})

    @rank_zero_only
    def finish(self, exit_code: int) -> None:  # noqa: ARG002 (Trackio has no status of runs)
        """Wait until the rows are in the store."""
        if self._run is not None:
            import trackio

            # Unlike the method of the run, it leaves nothing for the end of the process, which would print again.
            with _quiet():
                trackio.finish()
            log.info("Trackio: show this run with  trackio show --project %s", self._project)


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what Trackio prints about itself."""
    with redirect_stdout(io.StringIO()):
        yield
