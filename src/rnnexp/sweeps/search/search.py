"""A search: the trials of a study of Optuna run as jobs of a sweep."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import optuna
from hydra.core.override_parser.types import Override
from optuna.distributions import CategoricalDistribution

from rnnexp.core.errors import SweepFailedError, UserError
from rnnexp.core.files.atomic import write_text
from rnnexp.core.printable import printable
from rnnexp.core.validation import quote_override
from rnnexp.sweeps.compose import TRIAL_NUMBER
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.search.space import corners, distributions, num_points, split
from rnnexp.sweeps.search.storage import require_direction, storage_errors
from rnnexp.sweeps.search.study import SearchSettings, Study, make_sampler, open_study
from rnnexp.sweeps.sweep import JobOutcome, Points, SweepSettings, modules_of_tasks, start_report
from rnnexp.tasks.registry import OF_AVERAGE
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.status import Status
from rnnexp.tracking.sweep_directory import SweepDirectory

RESUMABLE = (Status.INTERRUPTED, Status.WAITING)
"""Statuses of jobs that run when the search continues."""
MIN_FAILURES = 4
"""The number of failed trials after which a search ends early if no trial had another outcome."""


class BatchLauncher(Protocol):
    """The interface of launchers that a search uses."""

    def check(self, points: Points) -> list[Job]:
        """Return the jobs of these points. Raise UserError if one cannot be composed or cannot run here."""

    def run_batch(self, points: Points) -> list[JobOutcome]:
        """Run the jobs without a report, and return their outcomes, in order."""


class Search:
    """A search, which asks a study for trials in batches, runs them and records their results until it is complete.

    Args:
        settings: settings of the study.
        sweep: settings of the sweep, whose jobs are the trials.
        overrides: the axes of the search space, and the overrides that every trial has.
        launcher: runs a batch of jobs in the sweep directory.

    Raises:
        UserError: if no metric is optimized, no key is varied, or a value of the space is not valid.
    """

    def __init__(
        self, settings: SearchSettings, sweep: SweepSettings, overrides: Sequence[Override], launcher: BatchLauncher
    ) -> None:
        if sweep.optimized_metric is None:
            raise UserError("a search needs optimized_metric=, a metric of result.json: val/acc_best, or val/bleu_best")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.sweep, self.launcher = sweep, launcher
        self.metric = sweep.optimized_metric
        axes, self.fixed = split(overrides)
        self.space = distributions(axes)
        self.sampler = make_sampler(settings, num_trials=0)
        if isinstance(self.sampler, optuna.samplers.BruteForceSampler):
            # This sampler would repeat points.
            settings = replace(settings, n_trials=min(settings.n_trials, num_points(self.space)))
        self.settings = settings

    def run(self) -> None:
        """Run the search, or list its first trials in a dry run.

        Raises:
            UserError: if a trial cannot be composed, or the study has another metric or space.
            SweepFailedError: at the end, if a trial failed or was stopped.
        """
        # A study counts every trial that it was asked for, so errors must be found before.
        jobs = self._check()
        if self.sweep.dry_run:
            self._dry_run()
            return
        directory = SweepDirectory.open(self.sweep.directory, self.sweep.name)
        with storage_errors(self.settings.storage):
            study = open_study(self.settings, self.metric, self.space, _owner_of(directory), self._fixed_hash(jobs))
            counts = self.run_trials(study)
            self._show_best(study, directory)
            if not counts and study.has_failed:
                raise UserError(
                    f"all hydra.sweeper.n_trials={self.settings.n_trials} trials have failed: see output.log in "
                    f"{directory.jobs}, fix the errors and increase n_trials, or start another study with "
                    "hydra.sweeper.study_name="
                )
        if self.sweep.report and counts:
            start_report(directory.path, modules_of_tasks(jobs))
        if failure := _failure(counts, directory):
            raise failure

    def run_trials(self, study: Study) -> Counter[Status]:
        """Run the missing trials of the study, first those that an earlier process of this search or a process that
        has died left running.

        Trials of other processes count, so that several processes together run `n_trials`.

        Returns:
            The number of trials of each status.

        Raises:
            UserError: if a trial cannot be composed, which fails.
        """
        counts: Counter[Status] = Counter()
        batch = study.unfinished_trials() or study.ask_for_missing()
        while batch:
            with study.heartbeat(batch):
                outcomes = self._run(batch, study)
            for trial, outcome in zip(batch, outcomes, strict=True):
                counts[outcome.status] += 1
                if outcome.status not in RESUMABLE:
                    study.tell(trial, outcome)
            # A job that did not end was stopped because too many failed. If all trials fail, the next ones would too.
            is_hopeless = counts[Status.FAILED] >= MIN_FAILURES and set(counts) == {Status.FAILED}
            is_over = is_hopeless or any(counts[status] for status in RESUMABLE)
            batch = [] if is_over else study.unfinished_trials() or study.ask_for_missing()
        return counts

    def _run(self, batch: Sequence[optuna.Trial], study: Study) -> list[JobOutcome]:
        try:
            return self.launcher.run_batch(self._points({trial.number: trial.params for trial in batch}))
        except UserError:
            # A trial that is still running would be the first one of the next command, which would end like this one.
            for trial in batch:
                try:
                    self.launcher.check(self._points({trial.number: trial.params}))
                except UserError:
                    study.fail(trial)
            raise

    def _points(self, trials: Mapping[int, Mapping[str, Any]]) -> list[list[str]]:
        """Return the overrides of trials, given their parameters by their number."""
        return [
            [*self.fixed, f"{TRIAL_NUMBER}{number}", *(f"{key}={value}" for key, value in params.items())]
            for number, params in trials.items()
        ]

    def _check(self) -> list[Job]:
        try:
            jobs = self.launcher.check(self._points(dict(enumerate(corners(self.space)))))
        except UserError as error:
            numeric = (key for key, axis in self.space.items() if not isinstance(axis, CategoricalDistribution))
            if key := next((key for key in numeric if str(error).startswith(f"{key} ")), None):
                raise UserError(f"{error} (a search tries both ends of {key} first)") from None
            raise
        for job in jobs:
            if self.metric.endswith(OF_AVERAGE) and job.config["test_weights"] != "average":
                raise UserError(f"optimized_metric={self.metric} is measured with test_weights=average alone: set it")
            if pruning := (job.config["callbacks"] or {}).get("pruning"):
                require_direction(self.settings.direction, pruning["monitor"], pruning["mode"])
        return jobs

    def _fixed_hash(self, jobs: Sequence[Job]) -> str:
        """Return a hash of what all trials have in common; machines may have other devices."""
        return config_hash(jobs[0].config, *self.space, "trainer.accelerator", "num_threads")

    def _dry_run(self) -> None:
        study = optuna.create_study(sampler=self.sampler, direction=self.settings.direction)
        first = [study.ask(self.space) for _ in range(min(self.settings.n_jobs, self.settings.n_trials))]
        self.launcher.run_batch(self._points({trial.number: trial.params for trial in first}))
        num_trials = self.settings.n_trials
        print(f"the first {len(first)} trials of a new study of {num_trials}; the next ones depend on their results")

    def _show_best(self, study: Study, directory: SweepDirectory) -> None:
        """Print the best trial and write it into `optimization_results.yaml`."""
        best = study.best()
        if best is None:
            print(f"none of {study.num_finished} trials has a result")
            return
        if best.run_directory is not None and not Path(best.run_directory).exists():
            # The sweep may have been moved.
            moved = directory.jobs / Path(best.run_directory).name
            best = replace(best, run_directory=str(moved) if moved.exists() else best.run_directory)
        shown = " ".join(f"{key}={value}" for key, value in best.overrides.items())
        value = f"{self.metric} {best.value:.6g}"
        # The best trial may be one of another person.
        print(printable(f"best of {study.num_finished} trials: {value} with {shown} in {best.run_directory}"))
        if number := study.num_running_elsewhere:
            print(f"{number} of other processes still run: the same command shows the result when they have ended")
        write_text(directory.path / "optimization_results.yaml", best.to_yaml())


def _owner_of(directory: SweepDirectory) -> str:
    """Return an identifier of this sweep directory, which differs from that of the same path on another machine."""
    file = directory.study / "owner"
    if not file.exists():
        directory.study.mkdir(exist_ok=True)
        write_text(file, uuid.uuid4().hex)
    return file.read_text(encoding="utf-8")


def _failure(counts: Counter[Status], directory: SweepDirectory) -> SweepFailedError | None:
    """Return the error that counts the trials which failed or were stopped; None if there are none."""
    bad = [status for status in (Status.FAILED, *RESUMABLE) if counts[status]]
    if not bad:
        return None
    counted = " and ".join(f"{counts[status]} {status}" for status in bad)
    hint = f"; the same command with {quote_override('sweep_dir', directory.path)} continues"
    return SweepFailedError(
        f"{counted} of {counts.total()} trials, see output.log in {directory.jobs}"
        f"{hint if any(status in RESUMABLE for status in bad) else ''}"
    )
