"""The workbench, which builds the experiments of a benchmark from its config."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryDirectory
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import RenderableType

from rnnexp.benchmark.measurement import StepClock, Steps, TimedSteps
from rnnexp.benchmark.options import KEYS, Options
from rnnexp.benchmark.plain_loop import Recipe
from rnnexp.benchmark.report import describe_benchmark
from rnnexp.core.clock import use_cpu_time
from rnnexp.core.errors import UserError
from rnnexp.runs.build import (
    Experiment,
    apply_process_settings,
    build_experiment,
    config_errors,
    make_optimizer_factories,
    make_task,
    task_class,
)
from rnnexp.runs.create import resolved
from rnnexp.runs.settings import RunSettings
from rnnexp.runs.stages import fit
from rnnexp.tasks.base import Task
from rnnexp.tasks.registry import TaskKind, kind_of_class, registered_kinds
from rnnexp.tracking.run_directory import RunDirectory

Values = Mapping[str, Any]
"""Values of a config, nested as in YAML."""


@dataclass(frozen=True)
class Workbench:
    """A builder of experiments from one config, optionally with other values.

    Args:
        config: the config of a training that ends after `steps.scheduled` steps.
        options: the options of the benchmark.
        overrides: the overrides on the command line.
        config_directories: the arguments on the command line that name further directories of configs.
        kind: the row of the task in the registry.
    """

    config: DictConfig
    options: Options
    overrides: Sequence[str]
    config_directories: Sequence[str]
    kind: TaskKind

    @property
    def steps(self) -> Steps:
        """The numbers of steps of each candidate in each round."""
        return Steps(self.options.warmup_steps, self.options.steps)

    @property
    def outputs_dir(self) -> Path:
        """The directory below which programs write."""
        return Path(self.config.paths.outputs_dir).absolute()

    @property
    def train_arguments(self) -> list[str]:
        """The arguments that train accepts as well, without `logger`; flags first."""
        overrides = [each for each in self.overrides if re.split("[.=]", each)[0] not in (*KEYS, "logger")]
        return [*self.config_directories, *overrides]

    def describe(self) -> dict[str, Any]:
        """Return the report of the benchmark without measurements."""
        return describe_benchmark(self.kind.name, resolved(self.config), list(self.overrides))

    def value(self, key: str) -> Any:  # noqa: ANN401
        """Return the value of a key such as `data.batch_size`; None if there is none."""
        return OmegaConf.select(self.config, key)

    def require_values(self, supported: Mapping[str, Any]) -> None:
        """Raise UserError if a key has a value with which the candidates would not do the same work."""
        if self.value("trainer.gradient_clip_algorithm") not in (None, "norm"):
            raise UserError("+trainer.gradient_clip_algorithm: the candidates of the benchmark clip the norm alone")
        for key, value in supported.items():
            if self.value(key) != value:
                raise UserError(
                    f"{key}={self.value(key)}: not all candidates of the benchmark support it: use "
                    f"{key}={'null' if value is None else value}, or read the speed of a training from its result.json"
                )

    def require_batches(self, num_batches: int) -> None:
        """Raise UserError if an epoch has fewer batches than a candidate needs."""
        if self.steps.scheduled > num_batches:
            raise UserError(
                f"warmup_steps={self.steps.warmup} and steps={self.steps.timed} need {self.steps.scheduled} batches, "
                f"but an epoch has {num_batches} of data.batch_size={self.value('data.batch_size')}: choose fewer steps"
            )

    def with_values(self, values: Values) -> "Workbench":
        """Return a workbench with other values in its config."""
        config = OmegaConf.merge(self.config, values)
        assert isinstance(config, DictConfig)
        return replace(self, config=config)

    def build(self, directory: Path) -> Experiment:
        """Build the experiment as train does.

        Args:
            directory: the run directory.
        """
        plain = resolved(self.with_values({"paths": {"output_dir": str(directory)}}).config)
        return build_experiment(RunSettings.from_config(plain, RunDirectory(directory)))

    def build_task(self, experiment: Experiment, values: Values) -> Task:
        """Build a task for the data of an experiment, with other values in the config."""
        return make_task(resolved(self.with_values(values).config), experiment.datamodule)

    def recipe(self) -> Recipe:
        """Return the optimization of the experiment's model."""
        make_optimizer, make_scheduler = make_optimizer_factories(resolved(self.config))
        return Recipe(
            make_optimizer=make_optimizer,
            make_scheduler=make_scheduler,
            steps=self.steps,
            gradient_clip_val=self.config.trainer.gradient_clip_val,
            seed=self.config.seed,
        )

    def time_rnnexp(self) -> TimedSteps:
        """Build and fit the experiment as train does, in a run directory that is removed afterwards."""
        with TemporaryDirectory() as directory:
            experiment = self.build(Path(directory))
            clock = StepClock(self.steps)
            experiment.callbacks.append(clock)
            fit(experiment)
        return clock.timed_steps


class TaskBenchmark(ABC):
    """The base class of benchmarks of a task. The row of the task in the registry names its benchmark.

    Raises:
        UserError: for values with which the candidates would not do the same work.
    """

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    @abstractmethod
    def measure(self, show: Callable[[RenderableType], None]) -> dict[str, Any]:
        """Run the benchmark, and return its part of the report.

        Args:
            show: a function that prints a table.

        Raises:
            UserError: if the data is too small for the options.
        """


def make_workbench(config: DictConfig) -> Workbench:
    """Return the workbench of a config, and set the number of threads and the matrix precision of this process.

    Raises:
        UserError: for options that are not valid.
    """
    with config_errors("benchmark"):
        options = Options(**{key: value for key, value in resolved(config).items() if key in KEYS})
    if options.cpu_time:
        use_cpu_time()
    apply_process_settings(config.num_threads, config.tf32, config.retain_memory)
    overrides = [str(override) for override in HydraConfig.get().overrides.task]
    if any(each.startswith("paths.output_dir=") for each in overrides):
        raise UserError("paths.output_dir= has no effect here: a benchmark writes below paths.outputs_dir=")
    kind = kind_of_class(task_class(resolved(config)))
    bench = Workbench(config, options, overrides, _config_directories(), kind)
    return bench.with_values({"ckpt_path": None, "trainer": {"max_steps": bench.steps.scheduled}})


def _config_directories() -> list[str]:
    settings = HydraConfig.get()
    sources = settings.runtime.config_sources
    flags = [f"--config-dir={source.path}" for source in sources if source.provider == "command-line"]
    return flags + [override for override in settings.overrides.hydra if override.startswith("hydra.searchpath=")]


def make_task_benchmark(bench: Workbench) -> TaskBenchmark:
    """Return the benchmark of the task.

    Raises:
        UserError: for a task without one, and see `TaskBenchmark`.
    """
    if bench.kind.benchmark is None:
        known = ", ".join(kind.name for kind in registered_kinds() if kind.benchmark is not None)
        raise UserError(f"task {bench.kind.name!r} has no benchmark: choose a task that has one: {known}")
    task_benchmark: TaskBenchmark = resolve_name(bench.kind.benchmark)(bench)
    return task_benchmark
