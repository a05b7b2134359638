"""A dataset that is learned in a second, and a way to run the programs on it within this process."""

import csv
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from rnnexp.core.files.atomic import read_json
from rnnexp.data.images.files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from rnnexp.data.images.idx import encode_idx

NUM_TRAIN, NUM_VAL, NUM_TEST, NUM_CLASSES, SIDE = 500, 100, 200, 10, 28


def write_dataset(directory: Path, seed: int) -> None:
    """Write 600 and 200 images of ten classes: two bright columns on dim noise, wrong in one image of 20."""
    generator = np.random.default_rng(seed)
    directory.mkdir(parents=True)
    for images_file, labels_file, count in (
        (TRAIN_IMAGES, TRAIN_LABELS, NUM_TRAIN + NUM_VAL),
        (TEST_IMAGES, TEST_LABELS, NUM_TEST),
    ):
        labels = (np.arange(count) % NUM_CLASSES).astype(np.uint8)
        images = generator.integers(0, 80, (count, SIDE, SIDE), dtype=np.uint8)
        shown = labels.copy()
        shown[7::20] = (shown[7::20] + 1) % NUM_CLASSES
        for image, column in zip(images, 2 * shown, strict=True):
            image[:, column : column + 2] = 250
        (directory / images_file).write_bytes(encode_idx(images))
        (directory / labels_file).write_bytes(encode_idx(labels))


@dataclass(frozen=True)
class Outcome:
    """The result of one call of a program."""

    exit_code: int
    stdout: str
    stderr: str
    directories: list[Path]
    """The run directories that it made."""

    @property
    def directory(self) -> Path:
        assert len(self.directories) == 1, self.stdout + self.stderr
        return self.directories[0]

    @property
    def status(self) -> str:
        return str(read_json(self.directory / "status.json")["status"])

    @property
    def result(self) -> dict[str, Any]:
        return read_json(self.directory / "result.json")

    @property
    def metrics_rows(self) -> list[dict[str, str]]:
        with (self.directory / "metrics.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def column(self, name: str) -> list[float]:
        """Return the values of a column of metrics.csv."""
        return [float(row[name]) for row in self.metrics_rows if row.get(name)]

    @property
    def line(self) -> str:
        """The one-line error; fails if stderr has a traceback or any other line."""
        lines = self.stderr.splitlines()
        assert len(lines) == 1, self.stderr
        assert lines[0].startswith("rnnexp: ")
        return lines[0]


Run = Callable[..., Outcome]


def on_small_disk(place: Path, kilobytes: int, script: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script, in which `"$@"` is the command, with a disk of the given size mounted at `place`.

    The disk disappears with the last process that sees it, so the script must print the content that a test needs.
    """
    place.mkdir()
    mount = f"mount -t tmpfs -o size={kilobytes}k tmpfs {place}"
    within = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*within, mount], capture_output=True, check=False).returncode:
        pytest.skip("filling a disk needs a small one, which this system denies this user (unshare --mount)")
    whole = [*within, f"{mount} && {script}", "sh", *command]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


def run_directories(below: Path) -> list[Path]:
    return sorted(path.parent for path in below.rglob("config.yaml"))


def call(program: Callable[[], NoReturn], place: Path, arguments: Sequence[str], *, figures: bool = False) -> Outcome:
    """Call a program in this process as from the command line; its run directories are made below place.

    Figures take more than half of the time of a small run, so a run draws them only if a test asks for them.
    """
    before = run_directories(place)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stdout, stderr = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr):
        patch.setattr(sys, "argv", ["rnnexp", *arguments])
        if not figures:
            patch.setattr("rnnexp.runs.stages.save_figures", lambda _: None)
        with pytest.raises(SystemExit) as ended:
            program()
    assert {number: signal.getsignal(number) for number in handlers} == handlers, "a signal handler was not restored"
    assert isinstance(ended.value.code, int)
    made = [path for path in run_directories(place) if path not in before]
    return Outcome(ended.value.code, stdout.getvalue(), stderr.getvalue(), made)


def write_pairs(path: Path, first: int, count: int) -> Path:
    """Write numbers in two languages as sentence pairs with tabs, which tatoeba and `data=parallel` read."""
    digits = [("one", "un"), ("two", "deux"), ("three", "trois"), ("four", "quatre"), ("five", "cinq")]
    lines = []
    for number in range(first, first + count):
        chosen = [digits[number // 5**place % 5] for place in range(4)]
        english, french = (" ".join(word[side] for word in chosen) for side in (0, 1))
        lines.append(f"He is at {english}.\tIl est à {french}.\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path
