"""Jobs and their status in job directories."""

import copy
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UserError
from rnnexp.core.files.directory_lock import start_of
from rnnexp.core.files.sealed_archive import sealed
from rnnexp.sweeps import jobs
from rnnexp.sweeps.devices import ResourceRequest
from rnnexp.sweeps.jobs import Job, finalize, load_statuses, prepare, prepare_all, require_gpus
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
        ({"num_layers": None}, 1),
    ],
)
def test_the_cost_grows_with_the_network_and_the_epochs(tmp_path: Path, changed: dict[str, Any], factor: float) -> None:
    assert job(tmp_path, **changed).cost == factor * job(tmp_path).cost


@pytest.mark.parametrize("size", [None, [64, 32]])
def test_a_size_that_is_no_number_has_a_cost(tmp_path: Path, size: object) -> None:
    """A budget solves the size when the job starts, and a module of the user may take a list."""
    assert 0 < job(tmp_path, hidden_size=size).cost < job(tmp_path).cost


def test_the_cost_grows_with_the_square_only_for_wide_layers(tmp_path: Path) -> None:
    narrow, wide, wider = (job(tmp_path, hidden_size=size).cost for size in (8, 4096, 8192))
    assert 3.9 < wider / wide < 4
    assert job(tmp_path, hidden_size=16).cost < 1.1 * narrow


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("step", "1")
    return sealed(buffer.getvalue())


WHOLE = _archive()
"""The content of a checkpoint that can be read."""


@pytest.mark.parametrize("status", [status for status in Status if status not in ("new", "waiting", "missing")])
def test_a_job_has_the_status_of_its_directory(tmp_path: Path, status: Status) -> None:
    found, saved = job(tmp_path / "a"), job(tmp_path / "b")
    for each in (found, saved):
        prepare(each, {})
        each.run.end(status)
        # A live job would still hold the lock.
        assert each.run.recorded_status is status
    saved.run.last_checkpoint.write_bytes(WHOLE)
    load_statuses([found, saved])
    assert found.status is saved.status is (Status.INTERRUPTED if status.is_live else status)
    assert not found.resumes, "it has no checkpoint"
    assert saved.resumes == (not status.is_final), "whatever ended it"


DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"code": null}',
    b'{"status": "odd"}',
    b'{"status": ["done"]}',
    b"\xff\xfe",
    None,
]


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("name", ["status.json", "result.json"])
def test_a_job_whose_files_are_damaged_runs_again(tmp_path: Path, name: str, content: bytes | None) -> None:
    """It continues from its checkpoint. The damaged file is kept under another name, and blocks nothing."""
    damaged, other = job(tmp_path / "damaged"), job(tmp_path / "other")
    for each in (damaged, other):
        prepare(each, {})
        each.run.end(Status.DONE)
        each.run.last_checkpoint.write_bytes(WHOLE)
    file = damaged.run.path / name
    file.unlink()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    load_statuses([damaged, other])
    assert (damaged.status, other.status) == (Status.UNREADABLE, Status.DONE)
    assert damaged.resumes
    prepare(damaged, {"commit": None})
    assert damaged.run.status is Status.QUEUED
    with damaged.run.recorded():
        assert damaged.run.status is Status.RUNNING
    assert damaged.run.status is Status.DONE
    assert damaged.run.last_checkpoint.read_bytes() == WHOLE
    aside = file.with_name(f"{name}.damaged")
    assert aside.is_dir() if content is None else aside.read_bytes() == content


def test_a_job_without_a_directory_is_new(tmp_path: Path) -> None:
    new = job(tmp_path / "new")
    load_statuses([new])
    assert (new.status, new.resumes) == (Status.NEW, False)
    prepare(new, {})
    assert (new.status, new.run.status) == (Status.WAITING, Status.QUEUED)


def test_a_result_of_another_config_does_not_count(tmp_path: Path) -> None:
    mine, other = job(tmp_path / "mine"), job(tmp_path / "other", hidden_size=32)
    for each in (mine, other):
        prepare(each, {})
        each.run.end(Status.DONE)
    shutil.copy(other.run.result_file, mine.run.result_file)
    load_statuses([mine])
    assert mine.status is Status.UNREADABLE
    assert "is of another config" in mine.run.observe().reason


@pytest.mark.parametrize("status", [Status.DONE, Status.INTERRUPTED, Status.RUNNING])
def test_a_job_directory_with_a_run_of_another_config_is_refused(tmp_path: Path, status: Status) -> None:
    """Its result does not count, its checkpoint is not continued, and nothing of it is changed."""
    other, usual = job(tmp_path / "other", hidden_size=32), job(tmp_path / "usual")
    prepare(other, {})
    other.run.last_checkpoint.write_bytes(WHOLE)
    other.run.end(status)
    other.run.path.rename(tmp_path / "mine")
    mine = job(tmp_path / "mine")
    before = {path: path.read_bytes() for path in mine.run.path.rglob("*") if path.is_file()}
    load_statuses([mine, usual])
    assert mine.status is Status.UNREADABLE
    lines: list[str] = []
    assert prepare_all([mine, usual], {}, lines.append) == [usual]
    assert mine.status is Status.FAILED
    assert "mine holds a run of another config" in lines[0]
    assert {path: path.read_bytes() for path in mine.run.path.rglob("*") if path.is_file()} == before


def test_a_config_that_was_changed_after_the_end_is_put_aside(tmp_path: Path) -> None:
    changed, harmless = job(tmp_path / "changed"), job(tmp_path / "harmless")
    for each in (changed, harmless):
        for group in ("data", "task"):
            each.config[group] = {}  # type: ignore[index]
        prepare(each, {})
        each.run.end(Status.DONE)
    texts = []
    for each, (before, after) in ((changed, ("hidden_size: 64", "hidden_size: 65")), (harmless, ("small", "mine"))):
        text = each.run.config_file.read_text(encoding="utf-8")
        texts.append(text)
        each.run.config_file.write_text(text.replace(before, after), encoding="utf-8")
        os.utime(each.run.config_file, (time.time() + 5, time.time() + 5))
    load_statuses([changed, harmless])
    assert prepare_all([changed, harmless], {}, print) == []
    assert [each.status for each in (changed, harmless)] == [Status.DONE] * 2
    assert changed.run.config_file.read_text(encoding="utf-8") == texts[0]
    assert "hidden_size: 65" in changed.run.path.joinpath("config.yaml.damaged").read_text(encoding="utf-8")
    assert harmless.run.config_file.read_text(encoding="utf-8") != texts[1], "its name is not part of the identity"


def test_a_failed_attempt_leaves_only_its_output_and_what_is_not_its_own(tmp_path: Path) -> None:
    failed = job(tmp_path / "failed")
    prepare(failed, {})
    failed.run.output_file.write_text("the last words", encoding="utf-8")
    failed.run.metrics_file.write_text("step\n", encoding="utf-8")
    failed.run.last_checkpoint.write_bytes(b"")
    (failed.run.path / ".metrics.csv.0123456789ab").write_bytes(b"")
    (failed.run.path / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "figure.png").write_bytes(b"")
    failed.run.figures.symlink_to(tmp_path / "elsewhere")
    prepare(failed, {})
    left = {str(path.relative_to(failed.run.path)) for path in failed.run.path.rglob("*")}
    assert left == {
        *("output.log", "notes.txt", "config.yaml", "overrides.yaml", "status.json", "checkpoints"),
    }
    assert (tmp_path / "elsewhere" / "figure.png").exists()


def test_a_readable_checkpoint_is_never_deleted(tmp_path: Path) -> None:
    """The best weights can be read, and the last state cannot: the job begins anew beside them."""
    failed = job(tmp_path / "failed")
    prepare(failed, {})
    failed.run.best_checkpoint.write_bytes(WHOLE)
    failed.run.last_checkpoint.write_bytes(b"half")
    failed.run.set_status(Status.FAILED)
    prepare(failed, {})
    assert not failed.resumes
    assert list(failed.run.checkpoints.iterdir()) == []
    kept = {path.name: path.read_bytes() for path in (failed.run.path / "checkpoints.damaged").iterdir()}
    assert kept == {"best.ckpt": WHOLE, "last.ckpt.damaged": b"half"}


def test_a_resumed_job_keeps_its_files(tmp_path: Path) -> None:
    resumed = job(tmp_path / "resumed")
    prepare(resumed, {})
    resumed.run.last_checkpoint.write_bytes(WHOLE)
    prepare(resumed, {})
    assert resumed.resumes
    assert resumed.run.last_checkpoint.exists()
    assert resumed.run.read_overrides() == ["seed=1", "model=gru"]


@pytest.mark.parametrize("last", [b"half", None])
def test_a_job_continues_from_the_predecessor(tmp_path: Path, last: bytes | None) -> None:
    resumed = job(tmp_path / "resumed")
    prepare(resumed, {})
    resumed.run.previous_checkpoint.write_bytes(WHOLE)
    if last is not None:
        resumed.run.last_checkpoint.write_bytes(last)
    load_statuses([resumed])
    assert resumed.resumes
    prepare(resumed, {})
    assert resumed.resumes
    assert resumed.run.previous_checkpoint.read_bytes() == WHOLE


def test_only_the_job_with_a_strange_directory_fails(tmp_path: Path) -> None:
    """The target of a link is not touched, and a file in the place of a directory is put aside."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "letter.txt").write_text("Dear reader", encoding="utf-8")
    linked, file, usual = (job(tmp_path / name) for name in ("linked", "file", "usual"))
    linked.run.path.symlink_to("elsewhere")
    file.run.path.write_text("x", encoding="utf-8")
    load_statuses([linked, file, usual])
    lines: list[str] = []
    assert prepare_all([linked, file, usual], {}, lines.append) == [file, usual]
    assert linked.status is Status.FAILED
    assert len(lines) == 1
    assert "linked is a symbolic link" in lines[0]
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["letter.txt"]
    assert (tmp_path / "file.damaged").read_text(encoding="utf-8") == "x"


STRANGE: dict[str, Callable[[Path, Path], object]] = {
    "output.log": lambda path, elsewhere: path.symlink_to(elsewhere),
    "train.log": lambda path, elsewhere: path.hardlink_to(elsewhere),
    "metrics.csv": lambda path, _: os.mkfifo(path),
    "checkpoints": lambda path, elsewhere: (path.rename(elsewhere.parent / "theirs"), path.symlink_to("../theirs")),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_job_writes_through_no_link_and_no_pipe(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine", encoding="utf-8")
    strange, usual = job(tmp_path / "strange"), job(tmp_path / "usual")
    prepare(strange, {})
    strange.run.last_checkpoint.write_bytes(WHOLE)
    (strange.run.checkpoints / ".last.ckpt.0123456789ab").write_bytes(b"theirs")
    STRANGE[name](strange.run.path / name, elsewhere)
    lines: list[str] = []
    assert prepare_all([strange, usual], {}, lines.append) == [usual]
    assert len(lines) == 1
    assert f"{strange.run.path / name} is a " in lines[0]
    assert elsewhere.read_text(encoding="utf-8") == "mine"
    assert name != "checkpoints" or len(list((tmp_path / "theirs").iterdir())) == 2


HOLD = """
import sys, time
from pathlib import Path
from rnnexp.core.files.directory_lock import locked

with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(120)
"""


def start_orphan(directory: Path) -> int:
    """Start a process that holds the lock of a directory, and whose parent has ended. Return its id."""
    parent = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {HOLD!r}, {str(directory)!r}], "
    parent += "stdout=subprocess.PIPE, stderr=subprocess.DEVNULL); print(p.pid, flush=True); p.stdout.readline()"
    return int(subprocess.run([sys.executable, "-c", parent], stdout=subprocess.PIPE, check=True).stdout)


def test_a_stopped_process_of_an_ended_sweep_is_killed(tmp_path: Path) -> None:
    stopped = job(tmp_path / "stopped")
    prepare(stopped, {})
    orphan = start_orphan(stopped.run.path)
    os.kill(orphan, signal.SIGSTOP)
    lines: list[str] = []
    assert prepare_all([stopped], {}, lines.append) == [stopped]
    assert start_of(orphan) is None
    assert f"process {orphan} on " in lines[0]
    assert stopped.run.status is Status.QUEUED


def test_a_process_of_an_ended_sweep_has_time_to_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "GRACE_SECONDS", -4)
    hung = job(tmp_path / "hung")
    prepare(hung, {})
    orphan = start_orphan(hung.run.path)
    start = time.monotonic()
    assert prepare_all([hung], {}, lambda _: None) == [hung]
    assert time.monotonic() - start > 0.9
    assert start_of(orphan) is None


def test_a_process_that_somebody_else_started_is_not_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "GRACE_SECONDS", -10)
    used = job(tmp_path / "used")
    prepare(used, {})
    with subprocess.Popen([sys.executable, "-c", HOLD, str(used.run.path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        lines: list[str] = []
        assert prepare_all([used], {}, lines.append) == []
        assert process.poll() is None
        process.kill()
    assert used.status is Status.FAILED
    assert f"is in use by process {process.pid}" in lines[-1]


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
