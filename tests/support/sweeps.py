"""Sweeps as separate processes: start one, wait for it, and read its results."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.files.atomic import read_json
from support import TESTS

FAULT = "+callbacks.fault={_target_:support.probing_callbacks.Fault,seed:${seed},faults:{%s}}"
FAULT_ONCE = "+callbacks.fault={_target_:support.probing_callbacks.Fault,seed:${seed},faults:{%s},step:15,once:%s}"
"""A fault in the second epoch of the first attempt."""
SEARCH = ["hydra/sweeper=optuna", "optimized_metric=val/acc_best", "hydra.sweeper.direction=maximize"]
started: "list[subprocess.Popen[str]]" = []
"""The processes that `start` has started."""
BARE = ["test_weights=none", "logger=csv", "callbacks.predictions=null", "run_only=[callbacks.fault,callbacks.stop]"]


def statuses(sweep: Path) -> dict[int, str]:
    """Return the status of every job by its seed; fails if two jobs have the same seed."""
    found = [(read_json(path), path) for path in sweep.glob("jobs/*/status.json")]
    assert found
    by_seed = {
        int(path.parent.name.partition("seed-")[2].partition("_")[0]): record["status"] for record, path in found
    }
    assert len(by_seed) == len(found)
    return by_seed


def processes_of(place: Path) -> list[int]:
    """Return processes whose output goes below a directory or whose command line names it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if str(place) in (entry / "cmdline").read_text(encoding="utf-8") or str(place) in str(
                (entry / "fd" / "1").readlink()
            ):
                found.append(int(entry.name))
    return found


def start(tiny: list[str], *overrides: str) -> subprocess.Popen[str]:
    # Drivers of databases may be on the path that the user has set.
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", "rnnexp.train", *tiny, "report=false", *overrides, "-m"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    started.append(process)
    return process


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return what a process prints, as soon as that contains a text. `communicate` returns the rest."""
    assert process.stdout is not None
    printed = b""
    while text.encode() not in printed:
        # Not with the methods of the stream, which keep what follows from `communicate`.
        more = os.read(process.stdout.fileno(), 2**16)
        assert more, printed.decode()
        printed += more
    return printed.decode()


def uninstall(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make imports of a package fail, also in modules of rnnexp that have imported it before."""
    for name in list(sys.modules):
        if name.startswith(("rnnexp.sweeps.backends.", "rnnexp.sweeps.search.", "rnnexp.compat.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)


def wait_for(condition: Callable[[], Any], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def kinds_of(parent: int) -> dict[int, str]:
    """Return the kind of each process of a sweep by its number."""
    kinds = {parent: "parent"}
    servers = {number for number in children_of(parent) if "multiprocessing.forkserver" in command_of(number)}
    kinds |= dict.fromkeys(servers, "fork server")
    for job in (job for server in servers for job in children_of(server)):
        kinds[job] = "job"
        kinds |= {rank: "rank" for rank in children_of(job) if "rnnexp.train" in command_of(rank)}
    return kinds


def children_of(parent: int) -> Iterator[int]:
    try:
        numbers = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="utf-8").split()
    except OSError:
        return
    yield from map(int, numbers)


def command_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
