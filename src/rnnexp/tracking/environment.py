"""The environment of a run: versions, machine, code and command line."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from rnnexp import __version__

PACKAGES = ("rnnexp", "torch", "lightning", "torchmetrics", "hydra-core", "wandb", "numpy", "torchvision")


def git_state(directory: Path) -> dict[str, Any]:
    """Return `commit` (40 hexadecimal digits) and `dirty` (whether tracked files differ); None outside a checkout."""

    def git(*arguments: str) -> str | None:
        try:
            answer = subprocess.run(  # noqa: S603
                ("git", "-C", str(directory), *arguments),  # noqa: S607 (the git on the user's PATH)
                capture_output=True,
                encoding="utf-8",
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    # An installed package may be inside another repository: only code that git tracks has a commit.
    if commit is None or not git("ls-files", "."):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}


def package_version(name: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe_version() -> str:
    """Return the version of rnnexp and of what its results depend on most: `rnnexp 0.3.0 (torch 2.14.1, ...)`."""
    others = ", ".join(f"{name} {package_version(name)}" for name in ("torch", "lightning"))
    return f"rnnexp {__version__} ({others}, Python {platform.python_version()})"


def processor_name() -> str:
    """Return the model name of the processor if the system reports it, else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def num_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_environment(device: dict[str, Any]) -> dict[str, Any]:
    """Return the content of environment.json.

    Args:
        device: the description of the device in use.
    """
    return {
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "working_directory": str(Path.cwd()),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "host": platform.node(),
        "processor": processor_name(),
        "num_cores": num_cores(),
        "device": device,
        "git": git_state(Path(__file__).parent),
    }
