"""Jobs and their status in job directories."""

import copy
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UserError
from rnnexp.sweeps.devices import ResourceRequest
from rnnexp.sweeps.jobs import Job, finalize, load_statuses, prepare, require_gpus
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status

CONFIG: dict[str, Any] = {
    "name": "small",
    "model": {"num_layers": 1, "bidirectional": False, "hidden_size": 64},
    "trainer": {"max_epochs": 4, "limit_train_batches": 1.0},
}


def job(place: Path, **changed: Any) -> Job:
    config = copy.deepcopy(CONFIG)
    for key, value in changed.items():
        node = config["model"] if key in config["model"] else config["trainer"]
        node[key] = value
    return Job("seed=1", ["seed=1", "model=gru"], config, RunDirectory(place), ResourceRequest())


@pytest.mark.parametrize(
    ("changed", "factor"),
    [
        ({"max_epochs": 8}, 2),
        ({"num_layers": 3}, 3),
        ({"bidirectional": True}, 2),
        ({"limit_train_batches": 0.5}, 0.5),
        ({"limit_train_batches": 10}, 1),
        ({"max_epochs": None}, 0.25),
        ({"max_epochs": -1}, 0.25),
    ],
)
def test_the_cost_grows_with_the_network_and_the_epochs(tmp_path: Path, changed: dict[str, Any], factor: float) -> None:
    assert job(tmp_path, **changed).cost == factor * job(tmp_path).cost


def test_the_cost_grows_with_the_square_only_for_wide_layers(tmp_path: Path) -> None:
    narrow, wide, wider = (job(tmp_path, hidden_size=size).cost for size in (8, 4096, 8192))
    assert 3.9 < wider / wide < 4
    assert job(tmp_path, hidden_size=16).cost < 1.1 * narrow


@pytest.mark.parametrize("status", [status for status in Status if status not in ("new", "waiting", "missing")])
def test_a_job_has_the_status_of_its_directory(tmp_path: Path, status: Status) -> None:
    found, saved = job(tmp_path / "a"), job(tmp_path / "b")
    for each in (found, saved):
        prepare(each, {})
        each.run.set_status(status)
    saved.run.last_checkpoint.write_bytes(b"")
    load_statuses([found, saved])
    assert found.status is saved.status is (Status.INTERRUPTED if status.is_live else status)
    assert not found.resumes, "it has no checkpoint"
    assert saved.resumes == (not status.is_final)


def test_a_job_without_a_directory_is_new_and_an_unreadable_one_is_named(tmp_path: Path) -> None:
    new = job(tmp_path / "new")
    load_statuses([new])
    assert (new.status, new.resumes) == (Status.NEW, False)
    prepare(new, {})
    assert (new.status, new.run.status) == (Status.WAITING, Status.QUEUED)
    new.run.status_file.write_text('{"status": "odd"}', encoding="utf-8")
    with pytest.raises(UserError, match=f"remove {new.run.path} to run that job again"):
        load_statuses([new])


def test_a_failed_attempt_leaves_only_its_output(tmp_path: Path) -> None:
    failed = job(tmp_path / "failed")
    prepare(failed, {})
    failed.run.output_file.write_text("the last words", encoding="utf-8")
    failed.run.metrics_file.write_text("step\n", encoding="utf-8")
    failed.run.last_checkpoint.write_bytes(b"")
    prepare(failed, {})
    assert failed.run.output_file.exists()
    assert not failed.run.metrics_file.exists()
    assert not failed.run.last_checkpoint.exists()


def test_a_resumed_job_keeps_its_files(tmp_path: Path) -> None:
    resumed = job(tmp_path / "resumed")
    prepare(resumed, {})
    resumed.run.last_checkpoint.write_bytes(b"")
    resumed.resumes = True
    prepare(resumed, {})
    assert resumed.run.last_checkpoint.exists()
    assert resumed.run.read_overrides() == ["seed=1", "model=gru"]


def test_a_status_that_cannot_be_written_fails_only_that_job(tmp_path: Path) -> None:
    lost = job(tmp_path / "lost")
    reason = finalize(lost, "killed by SIGKILL")
    assert lost.status is Status.FAILED
    assert reason.startswith("killed by SIGKILL, and its status could not be recorded (")


def test_a_job_with_more_gpus_than_there_are_is_refused(tmp_path: Path) -> None:
    greedy = job(tmp_path)
    greedy.request = ResourceRequest(gpus=3)
    require_gpus([greedy], 3)
    with pytest.raises(UserError, match="seed=1: needs 3 GPUs, and there are 2"):
        require_gpus([greedy], 2)
