"""From a config to the three objects of an experiment: its data, its task and its trainer."""

import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import ClusterEnvironment, LightningEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from rnnexp.callbacks.checkpoints import LastCheckpoint, WholeCheckpoints
from rnnexp.core.errors import UserError
from rnnexp.core.validation import validate_choice
from rnnexp.data.base import DataModule
from rnnexp.loggers.base import run_loggers
from rnnexp.runs.distributed import cluster_environment
from rnnexp.runs.size_budget import SizeBudget, solve_size_budget
from rnnexp.runs.validate import require_sound_settings
from rnnexp.tasks.base import Task
from rnnexp.tasks.callbacks import TaskCallback
from rnnexp.tasks.registry import kind_of_class

PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "bf16-true", "16-true", "64-true")


@dataclass
class Experiment:
    """What runs, and what is found out as it runs."""

    datamodule: DataModule
    task: Task
    trainer: Trainer
    size_budget: SizeBudget | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    fit_times: dict[str, float] = field(default_factory=dict)
    """`start` and `end` of training, in seconds since the process began."""

    @property
    def callbacks(self) -> list[Callback]:
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        return callbacks

    @property
    def loggers(self) -> list[Logger]:
        return self.trainer.loggers


@contextmanager
def config_errors(group: str) -> Iterator[None]:
    """Turns what a constructor says of its arguments into one line that names the config group they came from."""
    try:
        yield
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, ValueError | TypeError | ImportError | MisconfigurationException):
            raise UserError(f"{group}: {_first_line(error.__cause__)}") from None
        raise
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise UserError(f"{group}: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    """With the next one where the first ends in a colon, as where Hydra says what it could not import, and why."""
    first, *rest = (str(error).strip() or type(error).__name__).splitlines()
    return f"{first} {rest[0]}" if first.endswith(":") and rest else first


def assemble(config: DictConfig) -> Experiment:
    """Data, task and trainer of an experiment.

    Raises:
        UserError: naming the config group whose values do not work.
    """
    require_sound_settings(config)
    apply_process_settings(config)
    datamodule = make_datamodule(config)
    size_budget = solve_size_budget(config, datamodule.data_info, lambda sized: make_task(sized, datamodule))
    task = make_task(config, datamodule)
    callbacks = make_callbacks(config.callbacks)
    require_fitting_callbacks(callbacks, task)
    trainer = make_trainer(config, callbacks, make_loggers(config.logger), cluster_environment())
    # Ranks start from the same weights, but must not drop the same units.
    torch.manual_seed(config.seed + trainer.global_rank)
    return Experiment(datamodule, task, trainer, size_budget)


@contextmanager
def finished_loggers(loggers: list[Logger]) -> Iterator[None]:
    """Ends W&B runs with the exit code that the program will have; a crashed run must not look finished."""
    exit_code = 1
    try:
        yield
        exit_code = 0
    except UserError as error:
        exit_code = error.exit_code
        raise
    except KeyboardInterrupt:
        exit_code = 128 + signal.SIGINT
        raise
    finally:
        for logger in run_loggers(loggers):
            logger.finish(exit_code)


def apply_process_settings(config: DictConfig) -> None:
    """Threads and float32 products: settings of the whole process, set in this one place."""
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    # The older of PyTorch's two interfaces: Lightning reads it, and mixing the two raises.
    torch.backends.cuda.matmul.allow_tf32 = config.tf32
    torch.backends.cudnn.allow_tf32 = config.tf32


def make_datamodule(config: DictConfig, checkpoint: Mapping[str, Any] | None = None) -> DataModule:
    """The data, read and ready, so that their sizes are known.

    Args:
        checkpoint: of weights that were trained on other data and are to work on these; None to train on these.
    """
    with config_errors("data"):
        datamodule: DataModule = instantiate(config.data)
    require_fitting_data(datamodule, task_class(config))
    if checkpoint is not None:
        datamodule.use_preprocessing_of(checkpoint)
    with config_errors("data"):
        datamodule.setup()
    return datamodule


def require_fitting_data(datamodule: DataModule, task: type[Task]) -> None:
    """Raise UserError if the data module produces other batches than the task consumes."""
    produced, consumed = datamodule.batch_type, task.batch_type
    if produced is not consumed:
        options = kind_of_class(task).data_options
        raise UserError(
            f"data: {task.__name__} consumes {consumed.__name__}, and {type(datamodule).__name__} produces "
            f"{produced.__name__}: choose {f'data={one_of(options)}' if options else 'other data'}"
        )


def one_of(choices: Sequence[str]) -> str:
    """Return `a, b or c`."""
    *first, last = choices
    return f"{', '.join(first)} or {last}" if first else last


def task_class(config: DictConfig) -> type[Task]:
    """The class of the task that the config names."""
    with config_errors("task"):
        named: type[Task] = get_class(config.task._target_)
    return named


def make_task(config: DictConfig, datamodule: DataModule) -> Task:
    """The model in its task, for these data; see `make_task_of`."""
    return make_task_of(config, task_class(config).arguments_from(datamodule))


def make_task_of(config: DictConfig, from_data: Mapping[str, Any]) -> Task:
    """The model in its task. Weights are drawn from the seed alone, whatever was drawn before.

    Args:
        from_data: the arguments of the task that the data decide, see `Task.arguments_from`.
    """
    with config_errors("optimizer"):
        make_optimizer = instantiate(config.optimizer)
    with config_errors("scheduler"):
        make_scheduler = instantiate(config.scheduler)
    with config_errors("model"):
        make_stack = instantiate(config.model)
        # The task will make its own; this one only tells whose fault it is if none can be made.
        make_stack(input_size=1)
    torch.manual_seed(config.seed)
    with config_errors("task"):
        task: Task = instantiate(
            config.task,
            make_stack=make_stack,
            make_optimizer=make_optimizer,
            make_scheduler=make_scheduler,
            **from_data,
        )
    # An optimiser and a schedule whose settings are wrong say so only when they are made.
    with config_errors("optimizer"):
        optimizer = make_optimizer(task.parameters())
    with config_errors("scheduler"):
        make_scheduler(optimizer, total_steps=1000)
    return task


def make_trainer(
    config: DictConfig,
    callbacks: list[Callback],
    loggers: list[Logger],
    environment: ClusterEnvironment | None = None,
) -> Trainer:
    """The trainer of the config.

    Args:
        environment: that has started the processes; None for one alone, wherever it runs.
    """
    with config_errors("trainer"):
        validate_choice("precision", str(config.trainer.precision), PRECISIONS)
        with warnings.catch_warnings():
            # On a CPU Lightning replaces fp16 and only warns; the probe will refuse to go on.
            warnings.filterwarnings("ignore", message=".*AMP with fp16 is not supported on CPU")
            trainer: Trainer = instantiate(
                config.trainer,
                callbacks=callbacks,
                logger=loggers or False,
                enable_progress_bar=_has_bar(callbacks),
                # Checkpoints are callbacks of ours; Lightning adds one of its own unless told not to.
                enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
                plugins=[environment or LightningEnvironment(), WholeCheckpoints()],
            )
    return trainer


def make_callbacks(config: Mapping[str, Any]) -> list[Callback]:
    with config_errors("callbacks"):
        callbacks = [instantiate(callback) for callback in config.values() if callback is not None]
    # The last checkpoint holds the state of all others as they are after the epoch, so it is written after them.
    return sorted(callbacks, key=lambda callback: isinstance(callback, LastCheckpoint))


def require_fitting_callbacks(callbacks: Sequence[Callback], task: Task) -> None:
    """Raise UserError for a callback that reads what this task does not offer."""
    for callback in callbacks:
        if isinstance(callback, TaskCallback) and not callback.fits(task):
            options = task.kind.callbacks_options
            raise UserError(
                f"callbacks: {type(callback).__name__} does not fit {type(task).__name__}: "
                + (f"choose callbacks={one_of(options)}" if options else "set its key in callbacks to null")
            )


def make_loggers(config: Mapping[str, Any]) -> list[Logger]:
    with config_errors("logger"):
        return [instantiate(logger) for logger in config.values() if logger is not None]


def _has_bar(callbacks: list[Callback]) -> bool:
    # Lightning adds a bar of its own unless told not to, and refuses a bar that was given if told so.
    return any(isinstance(callback, ProgressBar) for callback in callbacks)
