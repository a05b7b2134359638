"""The options of a dashboard."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from rnnexp.core.errors import UserError
from rnnexp.core.validation import did_you_mean
from rnnexp.tasks.registry import LOSS, registered_kinds


@dataclass(frozen=True)
class Options:
    """The keys of conf/dashboard.yaml as values.

    Args:
        project: the W&B project of the runs.
        entity: the user or team that owns it; None for the default of the account.
        sweep: the name of a sweep; None for all runs.
        dataset: the short key of a dataset; None for all datasets.
        metric: a metric that runs log as `val/<metric>` and `test/<metric>`.
        timeout_seconds: the time to wait for an answer of W&B.
        outputs_dir: the directory below which programs write.
    """

    project: str
    entity: str | None
    sweep: str | None
    dataset: str | None
    metric: str
    timeout_seconds: float
    outputs_dir: Path


def make_options(config: DictConfig) -> Options:
    """Return the options in a config.

    Raises:
        UserError: for a time that is not positive.
    """
    seconds = config.timeout_seconds
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise UserError(f"timeout_seconds must be a number above 0, not {seconds!r}")
    return Options(
        project=str(config.project),
        entity=_text(config.entity),
        sweep=None if config.sweep is None else Path(str(config.sweep)).name,
        dataset=_text(config.dataset),
        metric=_text(config.metric) or main_metric(str(config.task_name)),
        timeout_seconds=float(seconds),
        outputs_dir=Path(config.paths.outputs_dir).absolute(),
    )


def main_metric(task_name: str) -> str:
    """Return the metric by which the report orders runs on a task, without its split.

    It is the loss for a task that the package does not contain.
    """
    kinds = {kind.name: kind for kind in registered_kinds()}
    if task_name not in kinds:
        print(f"the loss is shown, since rnnexp has no task {task_name!r}{did_you_mean(task_name, kinds)}")
    measure = kinds[task_name].main if task_name in kinds else LOSS
    return measure.name.removeprefix("test/")


def _text(value: object) -> str | None:
    # YAML reads a name of digits as a number.
    return None if value is None else str(value)
