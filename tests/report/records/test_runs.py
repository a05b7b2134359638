"""Runs are found and read as far as possible, with the reason for each file that cannot be read."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnexp.core.errors import UserError
from rnnexp.core.files.directory_lock import locked
from rnnexp.report.records.runs import Run, find_runs, read_run
from rnnexp.tracking.status import Status


def by_name(runs: list[Run]) -> dict[str, Run]:
    return {run.path.name: run for run in runs}


def test_runs_are_found_in_a_sweep_and_in_its_parent_directory(digits: Path) -> None:
    names = ["gru_1", "gru_2", "srn_1", "srn_2"]
    for place in (digits, digits / "jobs", digits.parent):
        found = [run for run in find_runs([place]) if digits in run.path.parents]
        assert [run.path.name for run in found] == names
        assert {run.status for run in found} == {"done"}


def test_a_run_directory_may_be_given_and_counts_once(digits: Path) -> None:
    job = digits / "jobs" / "gru_2"
    (run,) = find_runs([job, job])
    assert (run.path, run.seed, run.facts["cell"]) == (job, "2", "gru")
    assert len(find_runs([job, digits])) == 4


def test_a_run_has_its_hardware(digits: Path) -> None:
    run = read_run(digits / "jobs" / "gru_1")
    assert run.metric("test/acc") is not None
    assert run.metric("test/nothing") is None
    assert run.number("model.num_parameters") == run.facts["num_parameters"]
    assert run.number("timing.tokens_per_second") is None
    assert run.device
    assert len(run.config_hash) == 12


def test_a_misspelled_directory(digits: Path) -> None:
    with pytest.raises(UserError, match=r"jobz is not a directory; did you mean 'jobs'\?"):
        find_runs([digits / "jobz"])


def test_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no runs: a run directory has a config\.yaml and a status\.json"):
        find_runs([tmp_path])


def test_an_empty_directory_beside_a_full_one(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no runs"):
        find_runs([digits, tmp_path])


@pytest.mark.parametrize("file", ["result.json", "status.json"])
def test_truncated_json(sweep: Path, file: str) -> None:
    path = sweep / "jobs" / "gru_1" / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    run = by_name(find_runs([sweep]))["gru_1"]
    assert run.status is Status.UNREADABLE
    assert f"{file} is not valid JSON" in run.reason
    assert "was it cut short?" in run.reason
    # The config of the run is still read.
    assert run.facts["cell"] == "gru"
    assert not run.result


def test_json_that_is_not_text(sweep: Path) -> None:
    (sweep / "jobs" / "gru_1" / "result.json").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8" in by_name(find_runs([sweep]))["gru_1"].reason


def test_a_missing_result(sweep: Path) -> None:
    (sweep / "jobs" / "gru_1" / "result.json").unlink()
    run = by_name(find_runs([sweep]))["gru_1"]
    assert (run.status, "result.json is missing" in run.reason) == (Status.UNREADABLE, True)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (2, "has schema version 2; this rnnexp reads up to 1: update it to compare this run"),
        ("1", "has schema version '1'; this rnnexp reads"),
        (None, "has no schema version; this rnnexp reads up to 1"),
    ],
)
def test_a_result_of_another_schema(sweep: Path, changed: Callable[..., None], version: object, message: str) -> None:
    changed(sweep / "jobs" / "gru_1" / "result.json", lambda result: result.update(schema_version=version))
    run = by_name(find_runs([sweep]))["gru_1"]
    assert run.status is Status.UNREADABLE
    assert message in run.reason


def test_a_result_without_metrics(sweep: Path, changed: Callable[..., None]) -> None:
    changed(sweep / "jobs" / "gru_1" / "result.json", lambda result: result.pop("metrics"))
    assert by_name(find_runs([sweep]))["gru_1"].reason.endswith("result.json holds no metrics")


@pytest.mark.parametrize(
    ("content", "message"),
    [("model: {cell: [", "does not hold a config"), ("seed: 1\n", "is not the config of a run: data must be")],
)
def test_an_empty_config(sweep: Path, content: str, message: str) -> None:
    (sweep / "jobs" / "gru_1" / "config.yaml").write_text(content, encoding="utf-8")
    run = by_name(find_runs([sweep]))["gru_1"]
    assert (run.status, run.config) == (Status.UNREADABLE, None)
    assert message in run.reason


def test_a_run_that_failed_needs_no_result(sweep: Path, changed: Callable[..., None]) -> None:
    job = sweep / "jobs" / "gru_1"
    (job / "result.json").write_text("{", encoding="utf-8")
    changed(job / "status.json", lambda status: status.update(status="failed", reason="no memory"))
    run = by_name(find_runs([sweep]))["gru_1"]
    assert (run.status, run.reason) == ("failed", "no memory")


def test_an_unfinished_run(sweep: Path, changed: Callable[..., None]) -> None:
    job = sweep / "jobs" / "gru_1"
    changed(job / "status.json", lambda status: status.update(status="running"))
    with locked(job):
        run = by_name(find_runs([sweep]))["gru_1"]
    assert (run.status, run.result) == ("running", {})
    assert run.since.startswith("20")


def test_a_run_whose_process_is_gone_was_interrupted(sweep: Path, changed: Callable[..., None]) -> None:
    job = sweep / "jobs" / "gru_1"
    changed(job / "status.json", lambda status: status.update(status="running"))
    run = by_name(find_runs([sweep]))["gru_1"]
    assert (run.status, run.result) == ("interrupted", {})
    assert run.reason.startswith("its process ended without a record, last seen 0:0")
    assert run.since.startswith("20")


def test_jobs_that_have_not_begun_or_lost_their_config(sweep: Path, changed: Callable[..., None]) -> None:
    changed(sweep / "sweep.json", lambda record: record["jobs"].append("lstm_1"))
    (sweep / "jobs" / "gru_1" / "config.yaml").unlink()
    (sweep / "jobs" / "gru_2" / "status.json").unlink()
    runs = by_name(find_runs([sweep]))
    found = {name: (run.status, run.reason) for name, run in runs.items() if run.config is None}
    assert found == {
        "lstm_1": (Status.MISSING, "it has not started"),
        "gru_1": (Status.UNREADABLE, "it has no config.yaml"),
        "gru_2": (Status.MISSING, "it has no status.json"),
    }


def test_a_sweep_that_has_just_begun(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text('{"jobs": ["a", "b"]}', encoding="utf-8")
    assert [run.status for run in find_runs([tmp_path])] == [Status.MISSING, Status.MISSING]


@pytest.mark.parametrize("content", ["{", "{}", '{"jobs": 3}'])
def test_only_the_jobs_of_a_sweep_are_needed(sweep: Path, content: str) -> None:
    (sweep / "sweep.json").write_text(content, encoding="utf-8")
    assert len(find_runs([sweep])) == 4


@pytest.mark.parametrize("content", [None, "{", '{"git": null}', '{"git": {"commit": null}}'])
def test_code_may_be_unknown(sweep: Path, content: str | None) -> None:
    file = sweep / "jobs" / "gru_1" / "environment.json"
    file.unlink()
    if content:
        file.write_text(content, encoding="utf-8")
    run = read_run(sweep / "jobs" / "gru_1")
    assert (run.code, run.status) == ("unknown", "done")


def test_code_is_a_commit_and_a_flag_for_changes(sweep: Path) -> None:
    file = sweep / "jobs" / "gru_1" / "environment.json"
    file.write_text('{"git": {"commit": "0123456789abcdef", "dirty": true}}', encoding="utf-8")
    assert read_run(file.parent).code == "0123456789 with changes"


def test_directories_below_a_run_are_not_runs(sweep: Path) -> None:
    shutil.copytree(sweep / "jobs" / "srn_1", sweep / "jobs" / "gru_1" / "copy")
    assert len(find_runs([sweep])) == 4


def test_seeds_of_the_data(made: Callable[..., Run]) -> None:
    assert made(seed=3).seed == "3"
    assert made(seed=3, data__seed=3).seed == "3"
    assert made(seed=3, data__seed=4).seed == "3, data 4"


def test_a_config_that_was_edited_afterwards(sweep: Path) -> None:
    file = sweep / "jobs" / "gru_1" / "config.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("hidden_size: 16", "hidden_size: 64"), encoding="utf-8")
    run = by_name(find_runs([sweep]))["gru_1"]
    assert run.status is Status.UNREADABLE
    assert "is about another config" in run.reason


def test_a_result_of_another_seed(sweep: Path) -> None:
    shutil.copy(sweep / "jobs" / "gru_2" / "result.json", sweep / "jobs" / "gru_1" / "result.json")
    runs = by_name(find_runs([sweep]))
    assert (runs["gru_1"].status, runs["gru_2"].status) == (Status.UNREADABLE, Status.DONE)
    assert "result.json is about another config" in runs["gru_1"].reason
    assert runs["gru_1"].result == {}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.yaml", "a: &a [x]\nb: [*a, *a]"),
        ("config.yaml", "a: " + "[" * 3000 + "]" * 3000),
        ("config.yaml", "data: null\ntask: {}\nmodel: {}\ntrainer: {}"),
        ("config.yaml", "data: {}\ntask: 3\nmodel: {}\ntrainer: {}"),
        ("config.yaml", "data: {}\ntask: {}\nmodel: {}\ntrainer: {}\ncallbacks: [a]"),
        ("config.yaml", "data: {}\ntask: {}\nmodel: {}\ntrainer: {}\nrun_only: 3"),
        ("config.yaml", "data: {_target_: 3}\ntask: {_target_: 3}\nmodel: {}\ntrainer: {}"),
        ("status.json", "[" * 200_000),
        ("status.json", '{"status": "done", "since": ' + "9" * 400 + "}"),
        ("status.json", '{"status": ["done"]}'),
        ("result.json", "[" * 200_000),
        ("result.json", '{"schema_version": 1, "metrics": {"test/acc": ' + "9" * 400 + "}}"),
        ("environment.json", "[" * 200_000),
    ],
)
def test_one_run_beyond_the_bounds_does_not_end_the_report(sweep: Path, file: str, content: str) -> None:
    (sweep / "jobs" / "gru_1" / file).write_text(content, encoding="utf-8")
    runs = by_name(find_runs([sweep]))
    assert runs["gru_1"].status is (Status.DONE if file == "environment.json" else Status.UNREADABLE)
    assert [run.status for name, run in runs.items() if name != "gru_1"] == [Status.DONE] * 3
