"""A campaign of random kills: `python tests/reliability/campaign.py --trials 1000`.

Sweeps of short jobs run one after the other. A trial is one SIGKILL, at a random time, of a random process: a job, the
server that jobs are forked from, the sweep's command, or a rank of a job that trains in two processes. A command that
was killed, or ended with a failed job, is given again. At the end of each sweep its table is compared with that of an
undisturbed sweep. The counts are printed, and written as JSON with `--output`:

- lost: jobs without a result;
- double: jobs with two directories, or with a step of training recorded twice;
- blocked: sweeps that did not end with a last command, which was left alone after `MAX_COMMANDS` that were not;
- half: jobs whose result, metrics or files differ from the undisturbed ones.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from support.crash_points import outcome, require_same  # noqa: E402 (after the path is set)
from support.programs import NUM_VAL, write_dataset  # noqa: E402
from support.sweeps import kinds_of  # noqa: E402

TARGETS = {"job": 30, "rank": 15, "fork server": 1, "parent": 1}
"""Kinds of processes -> weight of the choice. A choice without a process is no trial. Jobs run for a small part of the
time, since a command takes longer to start than a job to run, and so are preferred."""
MAX_COMMANDS = 15
SECONDS = 300
"""The longest time that a command may take."""
JOBS = {1: 6, 2: 2}
"""The number of jobs of a sweep, by the number of processes of each."""


class Campaign:
    """Sweeps whose processes are killed.

    Args:
        place: a directory for data and sweeps.
        seed: the seed of times and targets.
    """

    def __init__(self, place: Path, seed: int) -> None:
        self.place, self.random = place, random.Random(seed)
        self.counts: Counter[str] = Counter()
        write_dataset(place / "data" / "Tiny" / "raw", seed=0)
        self.expected, self.interval = {}, {}
        for num_ranks in JOBS:
            sweep, started = place / f"whole-{num_ranks}", time.monotonic()
            with self._start(sweep, num_ranks) as process:
                if process.wait(SECONDS):
                    sys.exit(f"the undisturbed sweep failed, see {self._log}")
            # Short enough for a kill of nearly every job, and long enough for some to end.
            self.interval[num_ranks] = (time.monotonic() - started) / (4 * JOBS[num_ranks])
            self.expected[num_ranks] = {job.name: outcome(job) for job in (sweep / "jobs").iterdir()}

    @property
    def _log(self) -> Path:
        return self.place / "commands.log"

    def _start(self, sweep: Path, num_ranks: int) -> "subprocess.Popen[bytes]":
        arguments = [
            *(f"data.root={self.place}/data", "data.name=Tiny", f"data.val_size={NUM_VAL}", "data.batch_size=50"),
            *("data.download_from=[]", "trainer=cpu", f"trainer.devices={num_ranks}", "trainer.max_epochs=3"),
            *("trainer.limit_train_batches=4", "trainer.log_every_n_steps=1", "model.hidden_size=4"),
            *("model.num_layers=1", "logger=csv", "report=false", "hydra.launcher.jobs=2"),
            *(f"seed=range(1,{JOBS[num_ranks] + 1})", f"sweep_dir={sweep}"),
        ]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "rnnexp.train", "-m", *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def run(self, trials: int) -> dict[str, int]:
        """Run sweeps until that many kills are done, and return the counts."""
        while self.counts["trials"] < trials:
            num_ranks = 2 if self.counts["sweeps"] % 4 == 3 else 1
            sweep = self.place / f"sweep-{self.counts['sweeps']}"
            self.counts["sweeps"] += 1
            is_ended = self._disturb(sweep, num_ranks, trials)
            self.counts["blocked"] += not is_ended
            faults = self._check(sweep, num_ranks) if is_ended else ["blocked"]
            if not faults:
                shutil.rmtree(sweep)
            print(dict(self.counts), *faults, flush=True)
        return dict(self.counts)

    def _disturb(self, sweep: Path, num_ranks: int, trials: int) -> bool:
        """Give the command and kill processes until it ends well. Return whether it did."""
        for number in range(MAX_COMMANDS + 1):
            self.counts["commands"] += 1
            process = self._start(sweep, num_ranks)
            deadline = time.monotonic() + SECONDS
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(self.random.expovariate(1 / self.interval[num_ranks]))
                if process.poll() is None and self.counts["trials"] < trials and number < MAX_COMMANDS:
                    self._kill(process.pid)
            if process.poll() is None:
                process.kill()
                return False
            if process.wait() == 0:
                return True
        return False

    def _kill(self, parent: int) -> None:
        (target,) = self.random.choices(list(TARGETS), list(TARGETS.values()))
        found = [number for number, kind in kinds_of(parent).items() if kind == target]
        if found:
            # It may have ended since.
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(found), signal.SIGKILL)
                self.counts["trials"] += 1
                self.counts[f"kills of a {target}"] += 1

    def _check(self, sweep: Path, num_ranks: int) -> list[str]:
        """Count what is wrong with a sweep that has ended, and return it in words."""
        jobs = {job.name: job for job in (sweep / "jobs").iterdir()}
        expected = self.expected[num_ranks]
        self.counts["lost"] += len(expected.keys() - jobs.keys())
        self.counts["double"] += len(jobs.keys() - expected.keys())
        faults = sorted(expected.keys() ^ jobs.keys())
        for name in expected.keys() & jobs.keys():
            self.counts["jobs"] += 1
            try:
                rows: list[Any] = outcome(jobs[name])["rows"]
                if len(rows) != len(set(rows)):
                    self.counts["double"] += 1
                    faults.append(f"{name}: a step twice")
                require_same(jobs[name], expected[name], name)
            except Exception as error:
                self.counts["half"] += 1
                faults.append(f"{name}: {type(error).__name__} {str(error)[:300]}")
        return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, help="the number of kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="a file for the counts")
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="campaign-"))
    counts = Campaign(place, options.seed).run(options.trials)
    if options.output:
        options.output.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    bad = {kind: counts.get(kind, 0) for kind in ("lost", "double", "blocked", "half")}
    print(f"{counts['trials']} kills, {counts['jobs']} jobs in {counts['sweeps']} sweeps: {bad}")
    if any(bad.values()):
        sys.exit(f"see {place}")
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
