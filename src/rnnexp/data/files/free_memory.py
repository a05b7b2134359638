"""A check that data fit into memory, before they are read."""

import os
import resource
from pathlib import Path

from rnnexp.core.errors import UserError

GIGA = 1e9
MEMORY_FILE, STATE_FILE = Path("/proc/meminfo"), Path("/proc/self/statm")
CONTROL_GROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """Return the memory that this process can still take: of the machine, its container and its own limit."""
    available = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if MEMORY_FILE.exists():
        fields = dict(line.split(":") for line in MEMORY_FILE.read_text(encoding="utf-8").strip().split("\n"))
        available.append(int(fields["MemAvailable"].split()[0]) * 1024)
    limit, used = CONTROL_GROUP / "memory.max", CONTROL_GROUP / "memory.current"
    if limit.exists() and (text := limit.read_text(encoding="utf-8").strip()) != "max":
        available.append(int(text) - int(used.read_text(encoding="utf-8")) + _cached_bytes())
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY and STATE_FILE.exists():
        pages = int(STATE_FILE.read_text(encoding="utf-8").split()[0])
        available.append(address_space - pages * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(available))


def _cached_bytes() -> int:
    """Return the memory of the container that caches files. It counts as used, and is freed when it is needed."""
    file = CONTROL_GROUP / "memory.stat"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return int(dict(line.split() for line in lines).get("inactive_file", 0))


def require_memory(num_bytes: int, what: str, remedy: str) -> None:
    """Raise UserError if data do not fit into memory.

    Args:
        num_bytes: the memory that they take while they are read or made.
        what: their name, for the message.
        remedy: what to do, for the message.
    """
    available = available_bytes()
    if num_bytes > available:
        raise UserError(
            f"{what}: takes {num_bytes / GIGA:,.1f} GB of memory, and {available / GIGA:,.1f} GB are free: {remedy}"
        )
