"""A task uses the benchmark that its registry row names."""

from pathlib import Path
from pkgutil import resolve_name

import pytest

from rnnexp.benchmark import start_up
from rnnexp.benchmark.workbench import TaskBenchmark
from rnnexp.core.errors import UserError
from rnnexp.tasks.registry import registered_kinds
from support.benchmarks import Measure


def test_a_task_without_a_benchmark_is_a_one_line_error(measure: Measure) -> None:
    outcome = measure("task._target_=lightning.pytorch.LightningModule")
    assert outcome.exit_code == 2
    message = "task 'lightningmodule' has no benchmark: choose a task that has one: classification, translation"
    assert message in outcome.line


BENCHMARKS = {kind.name: kind.benchmark for kind in registered_kinds() if kind.benchmark is not None}


def test_these_tasks_have_a_benchmark() -> None:
    assert set(BENCHMARKS) == {"classification", "translation"}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_rows_name_benchmarks(name: str) -> None:
    loaded = resolve_name(BENCHMARKS[name])
    assert isinstance(loaded, type)
    assert issubclass(loaded, TaskBenchmark)


def test_measured_processes_find_the_same_configs(
    measure: Measure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name / "experiment").mkdir(parents=True)
        (tmp_path / name / "experiment" / f"{name}.yaml").write_text("# @package _global_\ntags: [x]\n")
    commands: list[tuple[str, ...]] = []

    def run_python(*arguments: str) -> str:
        commands.append(arguments)
        raise UserError("stop")

    monkeypatch.setattr(start_up, "import_seconds", lambda: 1.0)
    monkeypatch.setattr(start_up, "run_python", run_python)
    flags = [f"--config-dir={tmp_path}/first"]
    found = [f"hydra.searchpath=[file://{tmp_path}/second]", "experiment=[first,second]", "start_up=true"]
    assert measure(*found, "peers.joeynmt=python", flags=flags).line == "rnnexp: stop"
    (command,) = commands
    module, arguments = command[:2], command[2:]
    assert module == ("-m", "rnnexp.train")
    assert arguments[0] == flags[0]
    assert found[0] in arguments
    assert found[1] in arguments
    assert not [argument for argument in arguments if argument.startswith("peers")], "a key of the benchmark"
