"""Crash points: each write below a directory has a number, and the process that does a chosen one is killed before it.

The hooks of Python's audit are told of every file that is opened, renamed or removed, so the product needs no hook of
its own. A file is opened, written and renamed: a kill at its opening comes before the write, one at its renaming
between write and rename, and one at the next number after it.

A program whose PYTHONPATH begins with a directory of `make_site` installs the hook in each of its processes.
"""

import csv
import fcntl
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rnnexp.core.files.atomic import TEMPORARY, read_json

TESTS = Path(__file__).parents[1]
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
CHANGES_NOTHING_IF_PRESENT = {"os.remove": False, "os.rmdir": False, "os.mkdir": True}
"""Calls that change nothing where there is a file, or where there is none: a kill there is one at the next number."""
ROOT, LOG, AT = "CRASH_ROOT", "CRASH_LOG", "CRASH_AT"
"""The variables that `make_site` reads: the directory, the file of numbered writes, and the number of the kill."""

SITE = f"""
import os, sys
sys.path.append({str(TESTS)!r})
if "{ROOT}" in os.environ:
    from support.crash_points import install_from_environment
    install_from_environment()
"""


def install(root: str, log: str, at: int) -> None:
    """Number the writes of this process below `root` in the file `log`, and kill it before number `at`; 0 is never."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or not arguments:
            return
        target = arguments[1] if event in ("os.rename", "os.link") else arguments[0]
        if not isinstance(target, str | bytes | os.PathLike):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        path = Path(os.fsdecode(target)).absolute()
        if os.path.lexists(path) == CHANGES_NOTHING_IF_PRESENT.get(event):
            return
        if path.is_relative_to(root) and _number(log, f"{event} {path.relative_to(root)}") == at:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    sys.addaudithook(hook)


def install_from_environment() -> None:
    install(os.environ[ROOT], os.environ[LOG], int(os.environ[AT]))


def _number(log: str, line: str) -> int:
    """Append a line to a file that several processes write, and return its number."""
    descriptor = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        number = os.pread(descriptor, 1 << 24, 0).count(b"\n") + 1
        os.write(descriptor, f"{line}\n".encode())
        return number
    finally:
        os.close(descriptor)


def make_site(place: Path) -> Path:
    """Write the module that Python imports at its start, and return its directory."""
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    return place


def crashing(site: Path, root: Path, log: Path, at: int = 0) -> dict[str, str]:
    """Return the environment of a program that is killed at a point; 0 numbers the points."""
    path = f"{site}{os.pathsep}{TESTS}"
    return {**os.environ, "PYTHONPATH": path, ROOT: str(root), LOG: str(log), AT: str(at)}


def points(log: Path) -> list[str]:
    """Return the event and the path of each point, without the parts of temporary names that differ between runs."""
    lines = log.read_text(encoding="utf-8").split("\n")[:-1]
    return [re.sub(r"(?<=[ /])\.([^/ ]+)\.[0-9a-f]{12}$", r"\1", line) for line in lines]


def run_forked(arguments: Sequence[str], output: str, crash: tuple[str, str, int] | None) -> None:
    """Run the training program in a process that was forked from a server; see `install` for `crash`."""
    from rnnexp import train

    with suppress(OSError):
        os.setsid()
    with Path(output).open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if crash:
        install(*crash)
    sys.orig_argv = [sys.executable, "-m", "rnnexp.train", *arguments]
    sys.argv = ["rnnexp.train", *arguments]
    train.main()


def require_kinds(found: Sequence[str], kinds: Mapping[str, str]) -> None:
    """Fail unless every kind of file is written: a pattern of its event and path, by its name."""
    missing = [kind for kind, pattern in kinds.items() if not any(re.fullmatch(pattern, point) for point in found)]
    assert not missing, (missing, sorted(set(found)))


def outcome(run: Path) -> dict[str, Any]:
    """Return what must not depend on kills: status, metrics, and the rows of metrics.csv."""
    result = read_json(run / "result.json")
    metrics = {name: value for name, value in result["metrics"].items() if "samples_per_second" not in name}
    with (run / "metrics.csv").open(encoding="utf-8", errors="replace", newline="") as file:
        names = ("step", "train/loss", "val/loss", "test/loss")
        # A run without a test has no column for it.
        rows = [tuple(row.get(name, "") for name in names) for row in csv.DictReader(file)]
    status = read_json(run / "status.json")
    assert status["config_hash"] == result["config_hash"]
    return {
        "status": (status["status"], result["status"]),
        "metrics": metrics,
        "rows": [row for row in rows if any(row[1:])],
    }


def require_same(run: Path, expected: dict[str, Any], point: str) -> None:
    """Fail unless a run that was killed at a point has the outcome of an undisturbed one, and no files of its own."""
    found = outcome(run)
    if read_json(run / "result.json")["timing"]["first_step_seconds"] is None:
        # Nothing was left to train, so metrics of training were not measured again.
        tested = {name: value for name, value in expected["metrics"].items() if name in found["metrics"]}
        assert {"test/acc", "test/loss", "val/acc_best"} <= set(tested)
        expected = expected | {"metrics": tested}
    assert found == expected, point
    left = [path.name for path in run.rglob(".*") if TEMPORARY.fullmatch(path.name) or path.name == ".lock"]
    # A run that was killed when it gave its lock back is done: nobody continues it, and the lock stays.
    is_lock_of_a_run = re.fullmatch(r"os\.remove (jobs/[^/]+/)?\.lock", point) is not None
    assert left == [] or (is_lock_of_a_run and left == [".lock"]), point
