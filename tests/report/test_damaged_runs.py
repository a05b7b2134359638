"""One damaged run directory, or somebody else's, never ends the report over the others."""

import copy
import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnexp.report import section
from rnnexp.report.__main__ import report
from rnnexp.report.records.groups import make_groups
from rnnexp.tracking.identity import config_hash

Rows = dict[str, dict[str, str]]
OTHERS: tuple[Any, ...] = (None, ["a"], {"a": {"b": [1]}}, "text", True, 10**399, -1, 1e300, "\x1b[31m\u2028|<b>$_{")
"""Values of another kind, one of which differs in kind from any value of a run."""


@pytest.fixture
def three(digits: Path, tmp_path: Path) -> Path:
    """A sweep of three finished runs on images, of which a test damages `gru_1`."""
    return three_of(digits, tmp_path)


def three_of(sweep: Path, parent: Path) -> Path:
    for name in ("gru_1", "gru_2", "srn_1"):
        ignored = shutil.ignore_patterns("checkpoints", "figures")
        shutil.copytree(sweep / "jobs" / name, parent / "three" / "jobs" / name, ignore=ignored)
    return parent / "three"


def reported(sweep: Path, capsys: pytest.CaptureFixture[str]) -> Rows:
    """Return the rows of results.csv by the name of the run, after the two undamaged runs were found in them."""
    assert report([str(sweep), "--output", str(sweep.with_name("report"))]) == 0
    assert "Traceback" not in capsys.readouterr().err
    with (sweep.with_name("report") / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = {Path(row["path"]).name: row for row in csv.DictReader(file)}
    for name in ("gru_2", "srn_1"):
        assert (rows[name]["status"], rows[name]["counts"]) == ("done", "1")
    assert rows["gru_1"]["status"] == "done" or rows["gru_1"]["reason"]
    return rows


def places(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*place, key))


def replaced(node: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = copy.deepcopy(node)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed


def damaged(file: Path) -> Iterator[bytes]:
    """Yield the content of a file with each value replaced by others, and cut or overwritten at some places."""
    content = file.read_bytes()
    if file.suffix in (".json", ".yaml"):
        value = json.loads(content) if file.suffix == ".json" else yaml.safe_load(content)
        for place in places(value):
            for other in OTHERS:
                changed = replaced(value, place, other)
                yield (json.dumps(changed) if file.suffix == ".json" else yaml.safe_dump(changed)).encode()
    for start in range(0, len(content), max(1, len(content) // 10)):
        yield content[:start]
        yield content[:start] + b"\xff\x00\x80" + content[start + 3 :]


def assert_reported_without(
    file: Path, contents: Iterator[bytes], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Figures take most of the time, and an error of theirs does not end a report, see test_report.py.
    monkeypatch.setattr(section, "FIGURES", ())
    monkeypatch.setattr(section, "_examples", lambda *_: iter(()))
    sweep = file.parents[2]
    for content in contents:
        file.write_bytes(content)
        if file.suffix == ".yaml":
            agree_with_config(file.parent)
        reported(sweep, capsys)


def agree_with_config(run: Path) -> None:
    """Write the hash of the changed config into the records, as somebody who changes all files would."""
    try:
        new = config_hash(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")))
    except (LookupError, ValueError, TypeError, AttributeError, yaml.YAMLError):
        return
    for name in ("status.json", "result.json"):
        record = json.loads((run / name).read_text(encoding="utf-8"))
        (run / name).write_text(json.dumps(record | {"config_hash": new}), encoding="utf-8")


def every(number: int, contents: Iterator[bytes]) -> Iterator[bytes]:
    return (content for place, content in enumerate(contents) if place % number == 0)


@pytest.mark.parametrize("name", ["status.json", "result.json", "config.yaml", "metrics.csv", "test_predictions.pt"])
def test_a_sample_of_damages(
    three: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = three / "jobs" / "gru_1" / name
    contents = list(damaged(file))
    assert_reported_without(file, every(max(1, len(contents) // 12), iter(contents)), monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["digits", "phrases"])
@pytest.mark.parametrize(
    "name",
    ["status.json", "result.json", "config.yaml", "environment.json", "metrics.csv", "test_*", "overrides.yaml"],
)
def test_every_damage(
    task: str,
    name: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = three_of(request.getfixturevalue(task), tmp_path) / "jobs" / "gru_1"
    (file,) = run.glob(name)
    assert_reported_without(file, damaged(file), monkeypatch, capsys)


def test_a_result_of_another_run_is_not_believed(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody copied the result of another seed, or changed the config afterwards."""
    run = three / "jobs" / "gru_1"
    original = (run / "result.json").read_bytes()
    shutil.copy(three / "jobs" / "gru_2" / "result.json", run)
    row = reported(three, capsys)["gru_1"]
    assert (row["status"], row["test/acc"]) == ("unreadable", "")
    assert "result.json is about another config" in row["reason"]
    (run / "result.json").write_bytes(original)
    assert reported(three, capsys)["gru_1"]["status"] == "done"
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    config["model"]["hidden_size"] = 64
    (run / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    row = reported(three, capsys)["gru_1"]
    assert (row["status"], row["counts"]) == ("unreadable", "0")
    assert "status.json is about another config" in row["reason"]


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("metrics", "test/acc"), "0.9", "metrics.test/acc must be a number, not '0.9'"),
        (("metrics", "test/acc"), 95.0, "metrics.test/acc must be within 0 and 1, not 95"),
        (("metrics", "test/acc"), 10**399, "metrics.test/acc must be a number"),
        (("data",), [1], "data must be an object, not [1]"),
        (("model", "num_parameters"), "many", "model.num_parameters must be a number, not 'many'"),
        (("device", "name"), {"a": 1}, "device.name must be a text, not {'a': 1}"),
        (("status",), "failed", "has the status 'failed', but status.json says done"),
    ],
)
def test_the_reason_names_file_and_field(
    three: Path, capsys: pytest.CaptureFixture[str], place: tuple[str, ...], value: object, reason: str
) -> None:
    file = three / "jobs" / "gru_1" / "result.json"
    file.write_text(json.dumps(replaced(json.loads(file.read_text(encoding="utf-8")), place, value)), encoding="utf-8")
    row = reported(three, capsys)["gru_1"]
    assert row["status"] == "unreadable"
    assert str(file) in row["reason"]
    assert reason in row["reason"] or reason == "metrics.test/acc must be a number"


def test_files_that_cannot_be_read_are_named(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The result of such a run counts; what was left out is said."""
    run = three / "jobs" / "gru_1"
    metrics = (run / "metrics.csv").read_bytes().splitlines(keepends=True)
    (run / "metrics.csv").write_bytes(b"".join([*metrics[:2], b"\xff\xfe\n", *metrics[2:]]))
    (run / "test_predictions.pt").write_bytes(b"")
    (run / "environment.json").write_text('{"git": {"commit": 3}}', encoding="utf-8")
    assert reported(three, capsys)["gru_1"]["counts"] == "1"
    text = (three.with_name("report") / "report.md").read_text(encoding="utf-8")
    listed = text.partition("### Files that could not be read")[2].partition("\n### ")[0]
    assert "metrics.csv cannot be read completely" in listed
    assert "test\\_predictions.pt cannot be read" in listed
    assert "environment.json: git.commit must be a text" in listed


def test_answers_to_a_part_of_the_samples_are_not_compared(phrases: Path, tmp_path: Path) -> None:
    """A file that was cut at the end of a line looks complete."""
    sweep = three_of(phrases, tmp_path)
    file = sweep / "jobs" / "gru_1" / "test_translations.jsonl"
    lines = file.read_text(encoding="utf-8").split("\n")
    file.write_text("\n".join(lines[:9]) + "\n", encoding="utf-8")
    assert report([str(sweep), "--output", str(tmp_path / "report")]) == 0
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "gru\\_1 has 9 answers, but its result is about" in text.partition("### Files that could not be read")[2]


def test_a_run_that_lost_its_config_or_status(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = three / "jobs" / "gru_1"
    (run / "config.yaml").unlink()
    row = reported(three / "jobs", capsys)["gru_1"]
    assert (row["status"], row["reason"]) == ("unreadable", "it has no config.yaml")
    (run / "status.json").unlink()
    row = reported(three / "jobs", capsys)["gru_1"]
    assert (row["status"], row["reason"]) == ("missing", "it has no config.yaml and no status.json")


def test_a_pipe_in_place_of_a_file(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody writes to the pipe, so a reader would wait for ever."""
    for name in ("metrics.csv", "test_predictions.pt", "result.json"):
        (three / "jobs" / "gru_1" / name).unlink()
        os.mkfifo(three / "jobs" / "gru_1" / name)
        assert reported(three, capsys)["gru_1"]["status"] in ("done", "unreadable")


def test_links_in_a_circle(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (three / "jobs" / "gru_1" / "up").symlink_to(three)
    (three / "jobs" / "loop").symlink_to(three / "jobs")
    (three / "itself").symlink_to("itself")
    assert set(reported(three, capsys)) == {"gru_1", "gru_2", "srn_1"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every directory")
@pytest.mark.parametrize("closed", ["gru_1", "gru_1/result.json"])
def test_a_directory_that_may_not_be_read(three: Path, capsys: pytest.CaptureFixture[str], closed: str) -> None:
    path = three / "jobs" / closed
    path.chmod(0)
    try:
        row = reported(three, capsys)["gru_1"]
    finally:
        path.chmod(0o700)
    assert row["status"] == "unreadable"
    assert "ermission denied" in row["reason"]


def test_two_tasks_of_one_name_are_two_groups(made: Callable[..., Any]) -> None:
    runs = [
        made(cell, task={"_target_": f"{module}.TaggingTask"}, metrics={"test/loss": 1.0})
        for module in ("mine", "yours")
        for cell in ("gru", "srn")
    ]
    groups, _ = make_groups(runs)
    assert [group.title for group in groups] == ["MNIST, mine.TaggingTask", "MNIST, yours.TaggingTask"]
    assert [len(group.settings) for group in groups] == [2, 2]


@pytest.mark.parametrize("name", ["report", "report/figures"])
def test_the_report_is_not_written_through_a_link(three: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (three / name).parent.mkdir(exist_ok=True)
    (three / "elsewhere").mkdir()
    (three / name).symlink_to(three / "elsewhere")
    assert report([str(three)]) == 2
    assert f"{three / name} is a link to {three / 'elsewhere'}: " in capsys.readouterr().err
    assert list((three / "elsewhere").iterdir()) == []


def test_answers_that_contradict_the_result_are_named(three: Path) -> None:
    file = three / "jobs" / "srn_1" / "result.json"
    result = json.loads(file.read_text(encoding="utf-8"))
    result["metrics"]["test/acc"] /= 2
    file.write_text(json.dumps(result), encoding="utf-8")
    assert report([str(three), "--output", str(three.with_name("report"))]) == 0
    text = (three.with_name("report") / "report.md").read_text(encoding="utf-8")
    assert "one of both was changed" in text
