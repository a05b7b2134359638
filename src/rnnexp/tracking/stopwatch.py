"""The wall time since the process started."""

import os
import time
from pathlib import Path


def _seconds_before_import() -> float:
    stat = Path("/proc/self/stat")
    if not stat.exists():
        return time.process_time()
    start_ticks = int(stat.read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    uptime_seconds = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
    return max(0.0, uptime_seconds - start_ticks / os.sysconf("SC_CLK_TCK"))


_START = time.perf_counter() - _seconds_before_import()


def restart() -> None:
    """Count from the start of this process: a forked process inherits the start of its parent."""
    global _START
    _START = time.perf_counter() - _seconds_before_import()


def seconds_since_process_start() -> float:
    """Return the wall time in seconds since the process started, imports included."""
    return time.perf_counter() - _START
