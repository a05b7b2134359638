"""The registry of tasks: lookups, and limits on its records in run directories."""

import json
import subprocess
import sys
from importlib import import_module

import pytest

from rnnexp.tasks.classification.task import ClassificationTask
from rnnexp.tasks.registry import (
    CLASSIFICATION,
    LOSS,
    TRANSLATION,
    Measure,
    TaskKind,
    as_record,
    kind_of_class,
    kind_of_run,
    kind_of_target,
    load_function,
    register,
)
from rnnexp.tasks.translation.task import TranslationTask

ROWS = (CLASSIFICATION, TRANSLATION)
FUNCTIONS = ("figures", "answers", "sample_test", "benchmark")


class OwnTask(ClassificationTask):
    """A subclass without a registry row."""


@pytest.mark.parametrize(("task", "row"), [(ClassificationTask, CLASSIFICATION), (TranslationTask, TRANSLATION)])
def test_a_row_is_found_by_class_and_by_name(task: type, row: TaskKind) -> None:
    assert kind_of_class(task) is row
    assert kind_of_target(row.target) is row
    module, _, name = row.target.rpartition(".")
    assert getattr(import_module(module), name) is task


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
            assert callable(load_function(function)), name


def test_names_and_targets_are_unique() -> None:
    assert register(CLASSIFICATION) is CLASSIFICATION
    for taken in (TaskKind("classification", "elsewhere.Task"), TaskKind("other", CLASSIFICATION.target)):
        with pytest.raises(ValueError, match="registered already"):
            register(taken)
    assert kind_of_target(CLASSIFICATION.target) is CLASSIFICATION


def test_a_record_gives_the_row_back_without_functions() -> None:
    measures = (Measure("test/f1", "F1", "%", 100, highest=100), LOSS)
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


def test_the_registry_needs_no_torch() -> None:
    code = "import sys, rnnexp.tasks.registry; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("highest", "interval"), [(100, (99.0, 100.0)), (None, (99.0, 101.0))], ids=["bounded", "unbounded"]
)
def test_an_interval_is_clipped_to_possible_values(highest: float | None, interval: tuple[float, float]) -> None:
    measure = Measure("test/acc", "accuracy", "%", 100, highest=highest)
    assert measure.interval(100.0, 1.0) == interval
    assert (measure.title, measure.validation, measure.show(99.5)) == ("accuracy, %", "val/acc", "99.50")
