"""The registry of tasks: lookups, and limits on its records in run directories."""

import json
import subprocess
import sys
from importlib import import_module
from pkgutil import resolve_name

import pytest

from rnnexp.tasks.base import Task
from rnnexp.tasks.classification.task import ClassificationTask
from rnnexp.tasks.registry import (
    CLASSIFICATION,
    LOSS,
    REGRESSION,
    TAGGING,
    TRANSLATION,
    Measure,
    TaskKind,
    as_record,
    kind_of_class,
    kind_of_run,
    kind_of_target,
    register,
)
from rnnexp.tasks.translation.task import TranslationTask

ROWS = (CLASSIFICATION, REGRESSION, TAGGING, TRANSLATION)
OF_EVERY_TASK = ("figures", "answers", "predictor", "export", "workload")
FUNCTIONS = (*OF_EVERY_TASK, "report_figures", "benchmark")


class OwnTask(ClassificationTask):
    """A subclass without a registry row."""


@pytest.mark.parametrize(("task", "row"), [(ClassificationTask, CLASSIFICATION), (TranslationTask, TRANSLATION)])
def test_a_row_is_found_by_class_and_by_name(task: type, row: TaskKind) -> None:
    assert kind_of_class(task) is row
    assert kind_of_target(row.target) is row
    module, _, name = row.target.rpartition(".")
    assert getattr(import_module(module), name) is task


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_stand_in_has_what_the_task_reads_from_its_data(row: TaskKind) -> None:
    module, _, name = row.target.rpartition(".")
    task: type[Task] = getattr(import_module(module), name)
    assert "input_size" in task.arguments_from(task.stand_in()) or row is TRANSLATION


def test_a_subclass_shares_the_row_of_its_base() -> None:
    assert kind_of_class(OwnTask) is CLASSIFICATION


def test_a_class_without_a_row_has_defaults() -> None:
    kind = kind_of_target("elsewhere.TaggingTask")
    assert kind == TaskKind("tagging", "elsewhere.TaggingTask")
    assert kind.main == LOSS
    assert not any(getattr(kind, name) for name in FUNCTIONS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_functions_of_a_row_exist(row: TaskKind) -> None:
    for name in FUNCTIONS:
        if function := getattr(row, name):
            assert callable(resolve_name(function)), name
    assert all(getattr(row, name) for name in OF_EVERY_TASK)


def test_names_and_targets_are_unique() -> None:
    assert register(CLASSIFICATION) is CLASSIFICATION
    for taken in (TaskKind("classification", "elsewhere.Task"), TaskKind("other", CLASSIFICATION.target)):
        with pytest.raises(ValueError, match="registered already"):
            register(taken)
    assert kind_of_target(CLASSIFICATION.target) is CLASSIFICATION


def test_a_record_gives_the_row_back_without_functions() -> None:
    measures = (Measure("test/f1", "F1", "%", 100, lowest=None, highest=100), LOSS)
    kind = TaskKind("tagging", "mine.TaggingTask", ("words",), (), ("lang",), measures, "tokens", figures="mine:draw")
    record = json.loads(json.dumps(as_record(kind)))
    found = kind_of_run(kind.target, record)
    assert (found.name, found.measures, found.dataset_keys, found.throughput) == (
        *("tagging", measures, ("lang",)),
        "tokens",
    )
    assert found.figures is None


def test_a_record_cannot_name_functions() -> None:
    harmful = as_record(TaskKind("tagging", "mine.TaggingTask")) | dict.fromkeys(FUNCTIONS, "os:abort")
    kind = kind_of_run("mine.TaggingTask", harmful)
    assert not any(getattr(kind, name) for name in FUNCTIONS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_record_of_a_row_of_the_package_is_that_row(row: TaskKind) -> None:
    assert kind_of_run("elsewhere.Subclass", as_record(row)) is row


@pytest.mark.parametrize("record", [None, "text", {}, {"name": "x"}, {"name": "x", "target": "y", "measures": 3}])
def test_a_damaged_record_leaves_defaults(record: object) -> None:
    assert kind_of_run("mine.TaggingTask", record) == TaskKind("tagging", "mine.TaggingTask")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_the_report_calls_needs_no_torch(row: TaskKind) -> None:
    functions = [function for function in (row.answers, row.report_figures) if function]
    code = f"import sys; from pkgutil import resolve_name; [resolve_name(each) for each in {functions}]"
    code += "; print(*{'torch', 'lightning', 'hydra', 'torchmetrics'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize(
    ("lowest", "highest", "middle", "interval"),
    [
        *[(0, 100, 100.0, (99.0, 100.0)), (0, None, 100.0, (99.0, 101.0))],
        *[(0, None, 0.5, (0.0, 1.5)), (-1, 1, -0.5, (-1.0, 0.5)), (None, None, -0.5, (-1.5, 0.5))],
    ],
)
def test_an_interval_is_clipped_to_possible_values(
    lowest: float | None, highest: float | None, middle: float, interval: tuple[float, float]
) -> None:
    measure = Measure("test/acc", "accuracy", "%", 100, lowest=lowest, highest=highest)
    assert measure.interval(middle, 1.0) == interval
    assert (measure.title, measure.validation, measure.show(99.5)) == ("accuracy, %", "val/acc", "99.50")


@pytest.mark.parametrize(("middle", "interval"), [(-0.5, (-0.5, -0.4)), (100.5, (100.4, 100.5))])
def test_an_interval_contains_its_middle(middle: float, interval: tuple[float, float]) -> None:
    """Even if the row states bounds that the measure exceeds."""
    assert Measure("test/r", "r", highest=100).interval(middle, 0.1) == pytest.approx(interval)


def test_a_class_called_task_has_a_name() -> None:
    assert kind_of_target("mine.Task").name == "task"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("name", 3), ("label", None), ("unit", 1), ("scale", "x"), ("scale", True), ("scale", float("inf"))],
        *[("digits", 2.5), ("digits", -1), ("digits", 1000), ("higher_is_better", "no"), ("highest", "100")],
        *[("lowest", [0]), ("lowest", float("nan"))],
    ],
)
def test_a_measure_of_another_type_leaves_defaults(field: str, value: object) -> None:
    record = as_record(TaskKind("tagging", "mine.TaggingTask", measures=(Measure("test/f1", "F1"),)))
    assert kind_of_run("mine.TaggingTask", record).main.name == "test/f1"
    record["measures"][0][field] = value
    assert kind_of_run("mine.TaggingTask", record) == TaskKind("tagging", "mine.TaggingTask")


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", 3), ("target", None), ("throughput", 1), ("dataset_keys", "lang"), ("dataset_keys", [1])],
)
def test_a_row_of_another_type_leaves_defaults(field: str, value: object) -> None:
    record = as_record(TaskKind("tags", "mine.Tagger"))
    assert kind_of_run("mine.TaggingTask", record).name == "tags"
    assert kind_of_run("mine.TaggingTask", record | {field: value}) == TaskKind("tagging", "mine.TaggingTask")
