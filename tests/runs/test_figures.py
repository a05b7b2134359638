"""The learning curves of a run are labeled by the measures of its task."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rnnexp.runs.figures import draw_figures
from rnnexp.tasks.registry import CLASSIFICATION, LOSS, TRANSLATION, Measure, TaskKind
from rnnexp.tracking.run_directory import RunDirectory

DENSITY = TaskKind("density", "mine.DensityTask", measures=(Measure("test/loss", "log density", lowest=None),))
UNKNOWN = TaskKind("own", "mine.OwnTask")


@pytest.mark.parametrize(
    ("kind", "labels", "logarithmic"),
    [
        (CLASSIFICATION, {"val/loss": "loss, nats", "val/acc": "accuracy"}, ["val/loss"]),
        (TRANSLATION, {"val/loss": "loss, nats per token", "val/bleu": "BLEU"}, ["val/loss"]),
        (DENSITY, {"val/loss": "log density"}, []),
        (UNKNOWN, {"val/loss": LOSS.label}, []),
    ],
    ids=lambda value: value.name if isinstance(value, TaskKind) else "",
)
def test_the_loss_has_the_label_and_the_scale_of_its_measure(
    kind: TaskKind, labels: dict[str, str], logarithmic: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[Any, ...]] = []
    monkeypatch.setattr("rnnexp.runs.figures.learning_curves", lambda *arguments: drawn.append(arguments))
    run = RunDirectory(tmp_path)
    run.metrics_file.write_text("epoch,step,val/loss\n", encoding="utf-8")
    task: Any = SimpleNamespace(kind=TaskKind(kind.name, kind.target, measures=kind.measures))
    draw_figures(run, task, None)
    assert [(shown, log) for _, shown, log, _ in drawn] == [(labels, logarithmic)]
