"""The rows of ensembles, from recorded answers and from the translations of a command."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
import torch
from scipy import stats

from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.report.ensembles import ensemble_blocks
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.runs import Run, find_runs
from rnnexp.report.render.document import Paragraph, Table
from rnnexp.tasks.classification.answers import PredictedClasses

Made = Callable[..., Run]
Grouped = Callable[..., ComparisonGroup]


def voted(*members: tuple[list[int], list[float]]) -> list[int]:
    """Return the classes of an ensemble, given those of its members with their confidences."""
    first, *others = (
        PredictedClasses(np.zeros(len(classes), np.int64), np.array(classes), np.array(confidence, np.float32))
        for classes, confidence in members
    )
    return [int(each) for each in first.combined(others).predicted]


def test_classes_are_voted_with_confidence() -> None:
    assert voted(([3, 3], [0.9, 0.3]), ([5, 5], [0.5, 0.5]), ([5, 3], [0.3, 0.3])) == [3, 3]


def test_the_row_of_an_ensemble(made: Made, group_of: Grouped, tmp_path: Path) -> None:
    labels = torch.arange(100) % 10
    runs = []
    for seed in (1, 2, 3):
        run = made("gru", seed, acc=0.9)
        run.path.mkdir()
        predicted = labels.clone()
        # Every sample is wrong in one run at most.
        predicted[seed * 10 : seed * 10 + 10] = 11
        torch.save(
            {"labels": labels, "predicted": predicted, "confidence": torch.full((100,), 0.8)},
            run.files.predictions_file,
        )
        runs.append(run)
    _, table = ensemble_blocks(group_of(runs), tmp_path)
    assert isinstance(table, Table)
    assert list(table.rows[0][:5]) == ["gru", "3", "90.00 ± 0.00", "100.00", "+10.00 points"]


def test_the_gain_is_that_over_the_mean_of_the_members(made: Made, group_of: Grouped, tmp_path: Path) -> None:
    labels = torch.arange(100) % 10
    wrong = {1: range(10), 2: range(5, 25), 3: range(20, 53)}
    runs = []
    for seed, samples in wrong.items():
        run = made("gru", seed, acc=1 - len(samples) / 100)
        run.path.mkdir()
        predicted = labels.clone()
        predicted[list(samples)] = 11
        confidence = torch.full((100,), 0.8)
        torch.save({"labels": labels, "predicted": predicted, "confidence": confidence}, run.files.predictions_file)
        runs.append(run)
    _, table = ensemble_blocks(group_of(runs), tmp_path)
    assert isinstance(table, Table)
    # The ten samples that two of the three runs have wrong are wrong.
    ensemble = [sum(sample in samples for samples in wrong.values()) < 2 for sample in range(100)]
    members = [fmean(sample not in samples for samples in wrong.values()) for sample in range(100)]
    test = stats.ttest_rel(100 * np.array(ensemble), 100 * np.array(members))
    low, high = test.confidence_interval(0.95)
    deviation = stdev(100.0 - len(samples) for samples in wrong.values())
    assert list(table.rows[0]) == [
        "gru",
        "3",
        f"79.00 ± {deviation:.2f}",
        "90.00",
        "+11.00 points",
        f"{low:.2f} to {high:.2f}",
    ]


def test_a_seed_without_answers_is_in_no_column(made: Made, group_of: Grouped, tmp_path: Path) -> None:
    labels = torch.arange(100) % 10
    runs = [made("gru", seed, acc=acc) for seed, acc in ((1, 0.9), (2, 0.9), (3, 0.1))]
    for run in runs:
        run.path.mkdir()
        predicted = labels.clone()
        predicted[:10] = 11
        torch.save(
            {"labels": labels, "predicted": predicted, "confidence": torch.full((100,), 0.8)},
            run.files.predictions_file,
        )
    runs[2].files.predictions_file.write_bytes(b"damaged")
    _, table = ensemble_blocks(group_of(runs), tmp_path)
    assert isinstance(table, Table)
    assert list(table.rows[0]) == ["gru", "2", "90.00 ± 0.00", "90.00", "0.00 points", "0.00 to 0.00"]


def test_runs_without_answers_have_no_ensemble(made: Made, group_of: Grouped, tmp_path: Path) -> None:
    assert ensemble_blocks(group_of([made("gru", 1), made("gru", 2)]), tmp_path) == []


def test_translations_become_a_row_when_the_command_has_run(phrases: Path, group_of: Grouped, tmp_path: Path) -> None:
    blocks = ensemble_blocks(group_of(find_runs([phrases])), tmp_path)
    commands = [block.text for block in blocks[1:] if isinstance(block, Paragraph)]
    assert len(commands) == 2
    words = shlex.split(commands[0].partition(": ")[2])
    assert words[:3] == ["python", "-m", "rnnexp.translate"]
    source, output = (word.partition("=")[2] for word in words[4:])
    run = Path(source).parent
    references = [row for row in (run / "test_translations.jsonl").read_text(encoding="utf-8").splitlines() if row]
    Path(output).write_text("a sentence\n" * len(references), encoding="utf-8")
    _, table, *rest = ensemble_blocks(group_of(find_runs([phrases])), tmp_path)
    assert isinstance(table, Table)
    assert re.fullmatch(r"(gru|srn)", table.rows[0][0])
    assert table.rows[0][3] == "0.00"
    assert len(rest) == 2
    Path(output).write_text("too few\n", encoding="utf-8")
    assert len(ensemble_blocks(group_of(find_runs([phrases])), tmp_path)) == 3


def test_runs_of_the_same_names_have_files_of_their_own(phrases: Path, group_of: Grouped, tmp_path: Path) -> None:
    runs = find_runs([phrases])
    for run in runs:
        cell, _, seed = run.path.name.partition("_")
        shutil.copytree(run.path, tmp_path / "runs" / cell / f"seed_{seed}")

    def outputs() -> set[str]:
        blocks = ensemble_blocks(group_of(find_runs([tmp_path / "runs"])), tmp_path)
        return set(re.findall("ensemble-[0-9a-f]+", str(blocks)))

    first = outputs()
    assert len(first) == 2
    again = tmp_path / "runs" / "gru" / "seed_1" / "status.json"
    write_json(again, read_json(again) | {"done_since": "2030-01-01T00:00:00+00:00"})
    assert len(outputs() & first) == 1, "a run that was trained again in its place is another one"


@pytest.mark.slow
def test_the_command_of_an_ensemble_translates_the_test_set(phrases: Path, group_of: Grouped, tmp_path: Path) -> None:
    group = group_of(find_runs([phrases]))
    command = next(block.text for block in ensemble_blocks(group, tmp_path)[1:] if isinstance(block, Paragraph))
    words = shlex.split(command.partition(": ")[2])
    subprocess.run([sys.executable, *words[1:]], check=True, capture_output=True)
    _, table, *_ = ensemble_blocks(group, tmp_path)
    assert isinstance(table, Table)
    assert float(table.rows[0][3]) >= 0
