"""The wheel of the project, unpacked as pip would install it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from support import ROOT


def python(*arguments: str, cwd: Path, path: Path | None = None) -> str:
    """Return what Python prints, with `path` before everything else that it imports from."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def unpack_wheel(wheels: Path, site: Path) -> None:
    """Build the wheel in one directory and unpack it in another."""
    build = ("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(wheels))
    python(*build, str(ROOT), cwd=wheels)
    (wheel,) = wheels.glob("rnnexp-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
