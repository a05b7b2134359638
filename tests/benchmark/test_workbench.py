"""A task uses the benchmark that its registry row names."""

import pytest

from rnnexp.benchmark.workbench import TaskBenchmark
from rnnexp.tasks.registry import load_function, registered_kinds
from support.benchmarks import Measure


def test_a_task_without_a_benchmark_is_a_one_line_error(measure: Measure) -> None:
    outcome = measure("task._target_=lightning.pytorch.LightningModule")
    assert outcome.exit_code == 2
    message = "task 'lightningmodule' has no benchmark: choose a task that has one: classification, translation"
    assert message in outcome.line


@pytest.mark.parametrize("kind", registered_kinds(), ids=lambda kind: kind.name)
def test_rows_name_benchmarks(kind: object) -> None:
    name = getattr(kind, "benchmark", None)
    assert name is not None
    loaded = load_function(name)
    assert isinstance(loaded, type)
    assert issubclass(loaded, TaskBenchmark)
