"""The registry of tasks: one row per task, of strings and small values, importable without torch.

Programs read the registry and contain no names of tasks. A user's own module adds the row of its task with `register`,
which runs when the module is imported: in every process that trains or evaluates. The report imports nothing that a run
directory names, so it reads the row from result.json, see `as_record`, unless the user names the module: `import_rows`.
A class without a row gets one with defaults: no figures, the loss as measure.

Functions are written as `module:function`; `pkgutil.resolve_name` imports them when they are called. Only the rows
in this file and those of `register` name functions: a row from a record has none.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.user_code import describe_user_code
from rnnexp.core.user_modules import add_working_directory


@dataclass(frozen=True)
class Measure:
    """A metric of result.json and its format in reports.

    Args:
        name: the key in `metrics` of result.json.
        label: the name in tables and figures.
        unit: the unit of the shown value.
        scale: the factor from the metric's value to the shown value.
        digits: digits after the decimal point.
        higher_is_better: whether a higher value is better.
        lowest: the lower bound of shown values; None if there is none.
        highest: the upper bound of shown values; None if there is none.
    """

    name: str
    label: str
    unit: str = ""
    scale: float = 1.0
    digits: int = 2
    higher_is_better: bool = True
    lowest: float | None = 0
    highest: float | None = None

    @property
    def title(self) -> str:
        """The label with its unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    @property
    def validation(self) -> str:
        """The name of the same metric on the validation split."""
        return self.name.replace("test/", "val/", 1)

    def show(self, value: float) -> str:
        """Format a scaled value, without its unit."""
        return f"{value:.{self.digits}f}"

    def interval(self, middle: float, half_width: float) -> tuple[float, float]:
        """Return the ends of an interval, clipped to possible values but never past its middle; all are scaled."""
        lowest = -math.inf if self.lowest is None else self.lowest
        highest = math.inf if self.highest is None else self.highest
        return min(middle, max(lowest, middle - half_width)), max(middle, min(highest, middle + half_width))


MOST_DIGITS = 15
"""Digits after the decimal point that a recorded measure may have at most: as many as a float has."""
OF_BEST, OF_AVERAGE = "_best", "_average"
"""The end of the name of a validation metric: its best value, `val/acc_best`, and that of averaged weights."""


def plain_name(metric: str) -> str:
    """Return the name of a validation metric without its end, `val/acc` for `val/acc_best` and `val/acc_average`."""
    return metric.removesuffix(OF_BEST).removesuffix(OF_AVERAGE)


LOSS = Measure("test/loss", "loss", digits=4, higher_is_better=False, lowest=None)


@dataclass(frozen=True)
class TaskKind:
    """A row of the registry.

    The metric that selects the best epoch of a run is in the config (`monitor` and `monitor_mode`), where a user can
    change it.

    Args:
        name: the name of the task in records and reports: `classification`.
        target: the class of the task, `module.Class` as `_target_` names it. Its subclasses share the row, unless they
            have one of their own.
        data_options: options of the config group `data` with batches of the right type, for error messages.
        callbacks_options: options of the config group `callbacks` that work with the task, for error messages.
        dataset_keys: keys of the config group `data` that distinguish data sets, besides `name`. Their values are part
            of a data set's short name.
        measures: the metrics to compare, the main measure first, which is also logged on the validation split.
        throughput: the unit of the speed of training, `samples` or `tokens` per second. See `Task.num_tokens`.
        figures: `module:function` that makes the figures of a run besides its learning curves:
            `(run: RunDirectory, task, datamodule) -> dict[name, Figure]`.
        answers: `module:function` that reads a run's answer to each test sample, for the report:
            `(run: RecordedRun) -> Answers`, see `rnnexp.tasks.answers`.
        sample_test: the name of the test between the answers of two runs, see `Answers.compare`; None for no test.
        report_figures: `module:function` that makes the figures of a group in the report that only this task has:
            `(runs: Mapping[str, Sequence[RecordedRun]], read) -> dict[name, (Figure, caption)]`. It is given the runs
            of the best setting of each cell by label, and the function that reads answers.
        predictor: `module:class`, a `rnnexp.tasks.predictor.Predictor`, which uses a trained network without Lightning;
            None if `rnnexp.load` has none.
        export: `module:class`, a `rnnexp.export.parts.Export`, which says what an exported network takes and returns.
        workload: `module:function` that returns what `rnnexp.latency` times:
            `(task, datamodule, network) -> Workload`, see `rnnexp.tasks.workload`.
        benchmark: `module:class`, a `rnnexp.benchmark.workbench.TaskBenchmark`, which measures the speed of training.
    """

    name: str
    target: str
    data_options: tuple[str, ...] = ()
    callbacks_options: tuple[str, ...] = ()
    dataset_keys: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = (LOSS,)
    throughput: str = "samples"
    figures: str | None = None
    answers: str | None = None
    sample_test: str | None = None
    report_figures: str | None = None
    predictor: str | None = None
    export: str | None = None
    workload: str | None = None
    benchmark: str | None = None

    @property
    def main(self) -> Measure:
        """The measure by which settings are ordered."""
        return self.measures[0]


CLASSIFICATION = TaskKind(
    name="classification",
    target="rnnexp.tasks.classification.task.ClassificationTask",
    data_options=("mnist", "mnist_pixels", "mnist_permuted", "delayed_recall", "sequences"),
    callbacks_options=("default", "averaging", "gradient_flow"),
    dataset_keys=("view", "permutation", "length"),
    measures=(
        Measure("test/acc", "accuracy", "%", 100, highest=100),
        Measure("test/macro_f1", "macro F1", "%", 100, highest=100),
        Measure(LOSS.name, "loss", "nats", 1, 4, False),
    ),
    figures="rnnexp.tasks.classification.figures:draw_predictions",
    answers="rnnexp.tasks.classification.answers:read",
    sample_test="McNemar's exact test",
    predictor="rnnexp.tasks.classification.predictor:Classifier",
    export="rnnexp.export.sequences:SequenceExport",
    workload="rnnexp.tasks.workload:of_sequences",
    benchmark="rnnexp.benchmark.classification.benchmark:ClassificationBenchmark",
)
TRANSLATION = TaskKind(
    name="translation",
    target="rnnexp.tasks.translation.task.TranslationTask",
    data_options=("phrasebook", "multi30k", "tatoeba", "parallel"),
    callbacks_options=("translation", "[averaging,translation]"),
    dataset_keys=("source_lang", "target_lang"),
    measures=(
        Measure("test/bleu", "BLEU", highest=100),
        Measure("test/literature/bleu", "BLEU as in the literature", highest=100),
        Measure("test/chrf", "chrF", highest=100),
        Measure("test/exact_match", "exact match", "%", 100, highest=100),
        Measure(LOSS.name, "loss", "nats per token", 1, 4, False),
    ),
    throughput="tokens",
    figures="rnnexp.tasks.translation.figures:draw_translations",
    answers="rnnexp.tasks.translation.answers:read",
    sample_test="sacrebleu's paired bootstrap of BLEU",
    report_figures="rnnexp.tasks.translation.agreement:draw_agreement",
    predictor="rnnexp.tasks.translation.predictor:SentencePredictor",
    export="rnnexp.export.translation:TranslationExport",
    workload="rnnexp.tasks.translation.workload:of_sentences",
    benchmark="rnnexp.benchmark.translation.benchmark:TranslationBenchmark",
)
REGRESSION = TaskKind(
    name="regression",
    target="rnnexp.tasks.regression.task.RegressionTask",
    data_options=("adding", "sequences"),
    callbacks_options=("default", "averaging", "gradient_flow"),
    dataset_keys=("length",),
    measures=(
        Measure("test/rmse", "RMSE", digits=4, higher_is_better=False),
        Measure("test/mae", "mean absolute error", digits=4, higher_is_better=False),
        Measure("test/r2", "R²", digits=3, lowest=None, highest=1),
        Measure(LOSS.name, "mean squared error (loss)", digits=5, higher_is_better=False),
    ),
    figures="rnnexp.tasks.regression.figures:draw_predictions",
    answers="rnnexp.tasks.regression.answers:read",
    sample_test="paired t-test of the squared error of each sequence",
    predictor="rnnexp.tasks.regression.predictor:Regressor",
    export="rnnexp.export.sequences:SequenceExport",
    workload="rnnexp.tasks.workload:of_sequences",
)
TAGGING = TaskKind(
    name="tagging",
    target="rnnexp.tasks.tagging.task.TaggingTask",
    data_options=("copying", "parity", "sequences"),
    callbacks_options=("default", "averaging", "gradient_flow"),
    dataset_keys=("length",),
    measures=(
        Measure("test/acc", "accuracy of steps", "%", 100, highest=100),
        Measure("test/macro_f1", "macro F1 of steps", "%", 100, highest=100),
        Measure("test/sequence_acc", "sequences all right", "%", 100, highest=100),
        Measure(LOSS.name, "loss", "nats per step", 1, 4, False),
    ),
    figures="rnnexp.tasks.tagging.figures:draw_predictions",
    answers="rnnexp.tasks.tagging.answers:read",
    sample_test="paired t-test of the share of right steps in each sequence",
    predictor="rnnexp.tasks.tagging.predictor:Tagger",
    export="rnnexp.export.sequences:SequenceExport",
    workload="rnnexp.tasks.workload:of_sequences",
)
_ROWS = {kind.target: kind for kind in (CLASSIFICATION, REGRESSION, TAGGING, TRANSLATION)}
"""Target -> row."""


def register(kind: TaskKind) -> TaskKind:
    """Add a row, and return it. Call it where the class of the task is defined.

    Raises:
        ValueError: for a name or a target that another row has.
    """
    for row in _ROWS.values():
        # A module may be imported twice.
        if row != kind and (row.name == kind.name or row.target == kind.target):
            raise ValueError(f"task {kind.name!r} ({kind.target}) is registered already: {row.name!r} ({row.target})")
    _ROWS[kind.target] = kind
    return kind


def import_rows(modules: Iterable[str]) -> None:
    """Import modules of the user that `register` rows, from the working directory too.

    Raises:
        UserError: if a module cannot be imported.
    """
    add_working_directory()
    for module in modules:
        try:
            import_module(module)
        except Exception as error:
            reason = describe_user_code(error) or f"{type(error).__name__}: {first_line(error)}"
            raise UserError(f"--trust: {module} cannot be imported: {reason}") from error


def registered_kinds() -> tuple[TaskKind, ...]:
    """Return all rows, those of this file first."""
    return tuple(_ROWS.values())


def kind_of_target(target: str) -> TaskKind:
    """Return the row of the class of a name, without importing it; defaults for a class without a row.

    Args:
        target: `_target_` of the config group `task`.
    """
    class_name = target.rpartition(".")[2]
    return _ROWS.get(target) or TaskKind((class_name.removesuffix("Task") or class_name).lower(), target)


def kind_of_class(task: type) -> TaskKind:
    """Return the row of a class, or of the nearest of its bases that has one; defaults for a class without a row."""
    targets = [f"{each.__module__}.{each.__qualname__}" for each in task.__mro__]
    return next((_ROWS[target] for target in targets if target in _ROWS), kind_of_target(targets[0]))


def kind_of_run(target: str, record: object) -> TaskKind:
    """Return the row of a run from its files, without importing anything that they name.

    Args:
        target: `task._target_` of its config.
        record: `task_kind` of its result.json, see `as_record`; None if it has no result.
    """
    if not isinstance(record, Mapping):
        return kind_of_target(target)
    built_in = _ROWS.get(str(record.get("target")))
    return built_in or _from_record(record) or kind_of_target(target)


def as_record(kind: TaskKind) -> dict[str, Any]:
    """Return the part of a row that result.json keeps: plain values, without the names of functions."""
    plain = {name: getattr(kind, name) for name in ("name", "target", "throughput")}
    return plain | {
        "dataset_keys": list(kind.dataset_keys),
        "measures": [dict(vars(measure)) for measure in kind.measures],
    }


def _from_record(record: Mapping[str, Any]) -> TaskKind | None:
    """Return the row that `as_record` has recorded; None for a record with a value that a row cannot have."""
    try:
        row = {name: record[name] for name in ("name", "target", "throughput")}
        dataset_keys, recorded = record["dataset_keys"], record["measures"]
        measures = tuple(_measure_from_record(measure) for measure in recorded)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    is_valid = isinstance(dataset_keys, list) and all(_is_name(value) for value in (*row.values(), *dataset_keys))
    return TaskKind(**row, dataset_keys=tuple(dataset_keys), measures=measures or (LOSS,)) if is_valid else None


def _measure_from_record(record: Mapping[str, Any]) -> Measure:
    """Return a recorded measure.

    Raises:
        ValueError: for a value of another type than the field has.
        TypeError: if a field without a default is missing.
    """
    valid: dict[str, Callable[[object], bool]] = {
        "name": _is_name,
        "label": _is_name,
        "unit": lambda value: isinstance(value, str),
        "scale": _is_finite,
        "digits": lambda value: type(value) is int and value in range(MOST_DIGITS + 1),
        "higher_is_better": lambda value: isinstance(value, bool),
        "lowest": lambda value: value is None or _is_finite(value),
        "highest": lambda value: value is None or _is_finite(value),
    }
    # A later version may record further fields.
    known = {field: value for field, value in record.items() if field in valid}
    if wrong := [field for field, value in known.items() if not valid[field](value)]:
        raise ValueError(f"a measure cannot have this {wrong[0]}: {known[wrong[0]]!r}")
    return Measure(**known)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
