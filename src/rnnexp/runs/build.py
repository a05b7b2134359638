"""Construction of the objects of a run from its settings: data, task, callbacks, loggers and trainer."""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import ClusterEnvironment, LightningEnvironment
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from rnnexp.callbacks.checkpoints import BestCheckpoint, LastCheckpoint, WholeCheckpoints
from rnnexp.callbacks.interruption import SaveOnSignal
from rnnexp.compat.lightning import keep_targets, without_trainer_warnings
from rnnexp.core.allocator import retain_freed_memory
from rnnexp.core.errors import InterruptedRunError, UserError, first_line, left_out_on_error
from rnnexp.core.user_code import describe_user_code
from rnnexp.core.validation import validate_choice
from rnnexp.data.base import DataModule
from rnnexp.data.batches import MeasuredSequences
from rnnexp.loggers.base import run_loggers
from rnnexp.runs.checkpoints import require_same_config
from rnnexp.runs.distributed import cluster_environment, global_rank
from rnnexp.runs.frozen.inputs import require_same_inputs, require_unchanged
from rnnexp.runs.settings import RunSettings
from rnnexp.runs.size_budget import SizeBudget, solve_size_budget
from rnnexp.tasks.base import Task
from rnnexp.tasks.callbacks import TaskCallback
from rnnexp.tasks.registry import kind_of_class, registered_kinds
from rnnexp.tracking.config_file import escape_interpolations
from rnnexp.tracking.run_directory import RunDirectory

PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "bf16-true", "16-true", "64-true")


@dataclass
class Experiment:
    """The objects of a run, and the values that are measured while it runs."""

    settings: RunSettings
    datamodule: DataModule
    task: Task
    trainer: Trainer
    size_budget: SizeBudget | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    fit_times: dict[str, float] = field(default_factory=dict)
    """`start` and `end` of training, in seconds since the process began."""

    @property
    def callbacks(self) -> list[Callback]:
        """The callbacks of the trainer."""
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        return callbacks

    @property
    def loggers(self) -> list[Logger]:
        """The loggers of the trainer."""
        return self.trainer.loggers


def build_experiment(settings: RunSettings) -> Experiment:
    """Make data, task, callbacks, loggers and trainer. `size_budget` decides the hidden size between data and task.

    Raises:
        UserError: for values that do not work, with the config group that holds them.
    """
    _require_same_as_before(settings)
    apply_process_settings(settings.num_threads, settings.tf32, settings.retain_memory)
    # Lightning has read RANK and SLURM_PROCID, with which loggers of a process that trains alone may record nothing.
    rank_zero_only.rank = global_rank()  # type: ignore[attr-defined]
    datamodule = make_datamodule(settings.config)
    size_budget = None
    if settings.size_budget is not None:
        size_budget = solve_size_budget(
            str(settings.size_budget),
            lambda hidden_size: make_task(settings.with_hidden_size(hidden_size).config, datamodule),
            datamodule.data_info,
        )
        settings = settings.with_hidden_size(size_budget.hidden_size)
    task = make_task(settings.config, datamodule)
    callbacks = make_callbacks(settings.config["callbacks"], task)
    loggers = make_loggers(settings.config["logger"])
    trainer = make_trainer(settings.config["trainer"], callbacks, loggers, cluster_environment())
    # Ranks start from the same weights, but draw different dropout masks.
    torch.manual_seed(settings.seed + trainer.global_rank)
    return Experiment(settings, datamodule, task, trainer, size_budget)


def _require_same_as_before(settings: RunSettings) -> None:
    """Raise UserError for a file whose content has changed since the config was frozen or the checkpoint was saved, and
    for a checkpoint of a run with another config.
    """
    require_unchanged(settings.config)
    if settings.ckpt_path is not None:
        earlier = RunDirectory(settings.ckpt_path.absolute().parents[1])
        if earlier.checkpoints == settings.ckpt_path.absolute().parent and earlier.config_file.is_file():
            config = earlier.read_config()
            require_same_inputs(settings.config, config, str(settings.ckpt_path))
            # A run that continues in its directory has begun, so that its config cannot change any more.
            if settings.config.get("resume") is None:
                require_same_config(settings.config, config, settings.ckpt_path)


@contextmanager
def finished_loggers(loggers: list[Logger]) -> Iterator[None]:
    """End W&B runs with the exit code of the program, so that W&B shows a failed run as failed."""
    exit_code = 1
    try:
        yield
        exit_code = 0
    except (UserError, InterruptedRunError) as error:
        exit_code = error.exit_code
        raise
    except KeyboardInterrupt:
        exit_code = 128 + signal.SIGINT
        raise
    finally:
        for logger in run_loggers(loggers):
            with left_out_on_error(f"the end of the record of {type(logger).__name__}"):
                logger.finish(exit_code)


@contextmanager
def config_errors(group: str) -> Iterator[None]:
    """Turn an error of a constructor's arguments into a UserError that names the config group of the arguments."""
    try:
        yield
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        if describe_user_code(error):
            raise
        if isinstance(error.__cause__, ValueError | TypeError | ImportError | MisconfigurationException):
            raise UserError(f"{group}: {first_line(error.__cause__)}") from None
        raise
    except (ValueError, TypeError, MisconfigurationException) as error:
        if describe_user_code(error):
            raise
        raise UserError(f"{group}: {first_line(error)}") from None


def apply_process_settings(num_threads: int | None, tf32: bool, retain_memory: bool) -> None:
    """Set the threads of PyTorch, the rounding of floating point numbers and the allocator for the whole process."""
    if retain_memory:
        retain_freed_memory()
    # A gradient that vanishes over many steps ends in subnormal numbers (in float32 below 1e-38), with which a CPU
    # computes many times more slowly. They become zero. The threads of PyTorch inherit this, so it comes before them.
    # numpy 2.0 warns of that when it looks up the limits of a type, which it does once.
    for dtype in (np.float32, np.float64):
        np.finfo(dtype)
    torch.set_flush_denormal(True)
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    # The older of PyTorch's two interfaces: Lightning reads it, and mixing the two raises an error.
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32


def make_datamodule(config: Mapping[str, Any], checkpoint: Mapping[str, Any] | None = None) -> DataModule:
    """Make the data module and read its data, so that their sizes are known.

    Args:
        config: the config of a run; `data` and `task` are read.
        checkpoint: a checkpoint whose weights will be tested on these data; None to train on them.

    Raises:
        UserError: if the task needs other data, or the data cannot be read.
    """
    with config_errors("data"):
        datamodule: DataModule = instantiate_plain(config["data"])
    _require_fitting_data(datamodule, task_class(config))
    if checkpoint is not None:
        datamodule.use_preprocessing_of(checkpoint)
    with config_errors("data"):
        datamodule.setup()
    return datamodule


def _require_fitting_data(datamodule: DataModule, task: type[Task]) -> None:
    consumed = task.batch_type
    produced = datamodule.choose_batch_type(consumed)
    if produced is not consumed:
        options = kind_of_class(task).data_options
        tasks: dict[str, type[Task]] = {kind.name: get_class(kind.target) for kind in registered_kinds()}
        fitting = [name for name, each in tasks.items() if each.batch_type is produced]
        raise UserError(
            f"data: {task.__name__} consumes {consumed.__name__}, and {type(datamodule).__name__} produces "
            f"{produced.__name__}: choose {f'data={_one_of(options)}' if options else 'other data'}"
            + (f", or task={_one_of(fitting)}" if fitting else "")
        )


def _one_of(choices: Sequence[str]) -> str:
    """Return `a, b or c`."""
    *first, last = choices
    return f"{', '.join(first)} or {last}" if first else last


def datamodule_class(config: Mapping[str, Any]) -> type[DataModule]:
    """Return the class of the data module that the config of a run names."""
    with config_errors("data"):
        named: type[DataModule] = get_class(config["data"]["_target_"])
    return named


def task_class(config: Mapping[str, Any]) -> type[Task]:
    """Return the class of the task that the config of a run names."""
    with config_errors("task"):
        named: type[Task] = get_class(config["task"]["_target_"])
    return named


def make_task(config: Mapping[str, Any], datamodule: DataModule) -> Task:
    """Make the task with its model for these data, see `make_task_of`."""
    return make_task_of(config, task_class(config).arguments_from(datamodule))


def make_task_of(config: Mapping[str, Any], from_data: Mapping[str, Any], *, trains: bool = True) -> Task:
    """Make the task with its model. The weights depend only on the seed, not on earlier random numbers.

    Args:
        config: the config of a run; `model`, `optimizer`, `scheduler`, `task` and `seed` are read.
        from_data: the arguments of the task that depend on the data, see `Task.arguments_from`.
        trains: whether the task will be trained; if not, neither `optimizer` nor `scheduler` is read.
    """
    make_optimizer: Callable[..., Any] = _not_trained
    make_scheduler: Callable[..., Any] = _not_trained
    if trains:
        make_optimizer, make_scheduler = make_optimizer_factories(config)
    with config_errors("model"):
        make_stack = instantiate_plain(config["model"])
    # The task makes a stack of its own; this one attributes errors of the arguments to the config group `model`.
    with config_errors("model"):
        make_stack(input_size=1)
    torch.manual_seed(config["seed"])
    with config_errors("task"):
        task: Task = instantiate_plain(
            config["task"],
            make_stack=make_stack,
            make_optimizer=make_optimizer,
            make_scheduler=make_scheduler,
            **from_data,
        )
    if trains:
        _check_factories(task, make_optimizer, make_scheduler)
    return task


def make_optimizer_factories(config: Mapping[str, Any]) -> tuple[Callable[..., Optimizer], Callable[..., LRScheduler]]:
    """Return the functions parameters -> optimizer, and (optimizer, total_steps=) -> schedule.

    Args:
        config: the config of a run; `optimizer`, `scheduler` and `trainer.precision` are read.
    """
    optimizer = dict(config["optimizer"])
    if optimizer.get("fused") and str(config["trainer"]["precision"]).endswith("-mixed"):
        # Lightning does not clip gradients of a fused optimizer, which would undo their scaling in its own step.
        optimizer["fused"] = False
    with config_errors("optimizer"):
        make_optimizer = instantiate_plain(optimizer)
    with config_errors("scheduler"):
        make_scheduler = instantiate_plain(config["scheduler"])
    return make_optimizer, make_scheduler


def _not_trained(*_: Any, **__: Any) -> Any:  # noqa: ANN401
    raise RuntimeError("this task was made without an optimizer")


def _check_factories(task: Task, make_optimizer: Any, make_scheduler: Any) -> None:  # noqa: ANN401
    """Make an optimizer and a schedule once, since an error of their arguments only shows when they are made."""
    with config_errors("optimizer"):
        optimizer = make_optimizer(task.parameters())
    with config_errors("scheduler"):
        make_scheduler(optimizer, total_steps=1000)


def make_trainer(
    config: Mapping[str, Any],
    callbacks: list[Callback],
    loggers: list[Logger],
    environment: ClusterEnvironment | None = None,
) -> Trainer:
    """Make a trainer.

    Args:
        config: the config group `trainer`.
        callbacks: the callbacks in the order in which they are called.
        loggers: the loggers; may be empty.
        environment: the environment that started the processes; None for a single process.
    """
    with config_errors("trainer"):
        validate_choice("precision", str(config["precision"]), PRECISIONS)
        with without_trainer_warnings():
            trainer: Trainer = instantiate_plain(
                config,
                callbacks=callbacks,
                logger=loggers or False,
                # Lightning adds a bar and a checkpoint callback by default, and raises an error if they are disabled
                # while one is given.
                enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
                enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
                plugins=[environment or LightningEnvironment(), WholeCheckpoints()],
            )
    keep_targets(trainer, MeasuredSequences)
    return trainer


def make_callbacks(config: Mapping[str, Any], task: Task) -> list[Callback]:
    """Make the callbacks of the config group `callbacks`; a null in it switches one off.

    Raises:
        UserError: for a callback that another task needs.
    """
    with config_errors("callbacks"):
        callbacks = [instantiate_plain(callback) for callback in config.values() if callback is not None]
    _require_fitting_callbacks(callbacks, task)
    # A checkpoint holds the state of all other callbacks after the epoch, so it is written after them: the last one by
    # SaveOnSignal if a signal has arrived.
    written = (BestCheckpoint, SaveOnSignal, LastCheckpoint)
    return sorted(callbacks, key=lambda each: [isinstance(each, kind) for kind in reversed(written)])


def _require_fitting_callbacks(callbacks: Sequence[Callback], task: Task) -> None:
    for callback in callbacks:
        if isinstance(callback, TaskCallback) and not callback.fits(task):
            options = task.kind.callbacks_options
            raise UserError(
                f"callbacks: {type(callback).__name__} does not fit {type(task).__name__}: "
                + (f"choose callbacks={_one_of(options)}" if options else "set its key in callbacks to null")
            )


def make_loggers(config: Mapping[str, Any]) -> list[Logger]:
    """Make the loggers of the config group `logger`; a null in it switches one off."""
    with config_errors("logger"):
        return [instantiate_plain(logger) for logger in config.values() if logger is not None]


def instantiate_plain(config: Mapping[str, Any], **arguments: Any) -> Any:  # noqa: ANN401
    """Call the `_target_` of a node of plain values, with lists and dicts instead of OmegaConf's containers."""
    # Hydra resolves a node twice: a text that it has unescaped would be resolved, and could read the environment.
    return instantiate(escape_interpolations(escape_interpolations(config)), **arguments, _convert_="all")
