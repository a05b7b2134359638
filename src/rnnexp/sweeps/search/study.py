"""A study of Optuna, its settings and its trials."""

import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import optuna
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from rnnexp.compat.optuna import running_trial, tell
from rnnexp.core.errors import UserError
from rnnexp.core.validation import require_positive, validate_choice
from rnnexp.sweeps.search.storage import open_storage, require_no_password
from rnnexp.sweeps.sweep import JobOutcome
from rnnexp.tracking.status import Status

DIRECTIONS = ("maximize", "minimize")
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
Space = Mapping[str, BaseDistribution]
HEARTBEAT_SECONDS, STALE_SECONDS = 60.0, 600.0
"""The interval of heartbeats, and the age at which a trial is taken over; clocks of machines may differ by minutes."""


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a study.

    Args:
        sampler: the config of Optuna's sampler. Its `seed` is for the first trials, and changes whenever the search is
            continued.
        pruner: the config of Optuna's pruner.
        direction: the direction of the metric, `maximize` or `minimize`.
        storage: see `rnnexp.sweeps.search.storage.open_storage`.
        study_name: the name in the storage; processes with the same name share one study.
        n_trials: the number of trials of a complete study, including failed ones and those of other processes.
        n_jobs: the number of trials in a batch, whose results are recorded when all have ended.

    Raises:
        UserError: for an invalid value.
    """

    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]
    direction: Literal["maximize", "minimize"]
    storage: str
    study_name: str
    n_trials: int
    n_jobs: int

    def __post_init__(self) -> None:
        try:
            validate_choice("hydra.sweeper.direction", str(self.direction), DIRECTIONS)
            require_positive(**{"hydra.sweeper.n_trials": self.n_trials, "hydra.sweeper.n_jobs": self.n_jobs})
        except ValueError as error:
            raise UserError(str(error)) from None
        if not isinstance(seed := self.sampler.get("seed"), int | None):
            raise UserError(f"hydra.sweeper.sampler.seed must be a whole number or null, not {seed!r}")
        for name, what in (("storage", "a file or the URL of a database"), ("study_name", "a study in the storage")):
            if not isinstance(value := getattr(self, name), str) or not value:
                raise UserError(f"hydra.sweeper.{name} must be the name of {what}, not {value!r}")
        require_no_password(self.storage)


@dataclass(frozen=True)
class BestTrial:
    """The best trial of a study.

    Args:
        value: the value of the metric.
        overrides: the chosen values by key, as written on the command line.
        run_directory: the run directory of the trial's job.
    """

    value: float
    overrides: Mapping[str, Any]
    run_directory: str | None

    def to_yaml(self) -> str:
        """Return the content of `optimization_results.yaml`, with the keys of hydra-optuna-sweeper."""
        parser = OverridesParser.create()
        params = {key: parser.parse_override(f"{key}={value}").value() for key, value in self.overrides.items()}
        result = {"name": "optuna", "best_params": params, "best_value": self.value}
        return str(yaml.safe_dump({**result, "run_directory": self.run_directory}, sort_keys=False))


class Study:
    """A study in its storage, and the trials of one process in it.

    Args:
        study: the study of Optuna.
        settings: settings of the study.
        space: the distribution of each axis.
        owner: the identifier of this search, which distinguishes its trials from those of other processes.
    """

    def __init__(self, study: optuna.Study, settings: SearchSettings, space: Space, owner: str) -> None:
        self.study, self.settings, self.space, self.owner = study, settings, dict(space), owner

    @property
    def num_finished(self) -> int:
        """The number of trials that have ended."""
        return len(self.study.get_trials(deepcopy=False, states=FINISHED))

    @property
    def num_running_elsewhere(self) -> int:
        """The number of trials of other processes that have not ended."""
        running = self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        return sum(trial.user_attrs.get("owner") != self.owner for trial in running)

    @property
    def has_failed(self) -> bool:
        """Whether every trial has failed."""
        return all(trial.state is TrialState.FAIL for trial in self._asked_trials())

    def ask_for_missing(self) -> list[optuna.Trial]:
        """Return the next batch of new trials; it is empty when the study is complete."""
        missing = self.settings.n_trials - len(self._asked_trials())
        batch = []
        for _ in range(min(self.settings.n_jobs, missing)):
            trial = self.study.ask(self.space)
            self._claim(trial)
            batch.append(trial)
        return batch

    def _claim(self, trial: optuna.Trial) -> None:
        trial.set_user_attr("owner", self.owner)
        trial.set_user_attr("heartbeat", time.time())

    @contextmanager
    def heartbeat(self, trials: Sequence[optuna.Trial]) -> Iterator[None]:
        """Record within the block, every `HEARTBEAT_SECONDS`, that this process runs the trials.

        Optuna's own heartbeat is only for `Study.optimize` and for databases.
        """
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(HEARTBEAT_SECONDS):
                for trial in trials:
                    # The storage may be away for a moment, and another process may have ended the trial.
                    with suppress(Exception):
                        trial.set_user_attr("heartbeat", time.time())

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def unfinished_trials(self) -> list[optuna.Trial]:
        """Return the next batch of trials that an earlier process of this search left running, or a process that died.

        The trials of this search come first: it has their run directories, so that they continue. Trials of another
        space fail. A process whose heartbeat is older than `STALE_SECONDS` counts as dead.
        """
        running = self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        own = [trial for trial in running if trial.user_attrs.get("owner") == self.owner]
        abandoned = [trial for trial in running if trial not in own and _is_stale(trial)]
        batch: list[optuna.Trial] = []
        for frozen in [*own, *abandoned]:
            trial = running_trial(self.study, frozen)
            if frozen.params.keys() != self.space.keys():
                self.fail(trial)
            elif len(batch) < self.settings.n_jobs:
                self._claim(trial)
                batch.append(trial)
        return batch

    def tell(self, trial: optuna.Trial, outcome: JobOutcome) -> None:
        """Record how the job of a trial ended.

        Raises:
            UserError: if the job did not measure the metric.
        """
        if outcome.status is Status.DONE and outcome.error is not None:
            raise outcome.error
        if self.study.get_trials(deepcopy=False)[trial.number].state.is_finished():
            # A process that was taken for dead has ended it.
            return
        trial.set_user_attr("run_directory", str(outcome.directory))
        trial.set_user_attr("status", str(outcome.status))
        if outcome.value is not None:
            state = TrialState.COMPLETE
        elif outcome.status in (Status.FAILED, Status.UNSUPPORTED):
            state = TrialState.FAIL
        else:
            # Samplers learn from pruned trials: they avoid the region of a run that diverged. They ignore failed ones.
            state = TrialState.PRUNED
        tell(self.study, trial, outcome.value, state)

    def fail(self, trial: optuna.Trial) -> None:
        """Record that a trial cannot be run."""
        tell(self.study, trial, None, TrialState.FAIL)

    def best(self) -> BestTrial | None:
        """Return the best trial; None before one has a result."""
        if not self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
            return None
        best = self.study.best_trial
        assert best.value is not None
        return BestTrial(best.value, best.params, best.user_attrs.get("run_directory"))

    def _asked_trials(self) -> list[optuna.trial.FrozenTrial]:
        return [t for t in self.study.get_trials(deepcopy=False) if t.state is not TrialState.WAITING]


def _is_stale(trial: optuna.trial.FrozenTrial) -> bool:
    seen = trial.user_attrs.get("heartbeat")
    if not isinstance(seen, int | float):
        seen = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - seen > STALE_SECONDS


def open_study(settings: SearchSettings, metric: str, space: Space, owner: str, fixed: str) -> Study:
    """Return the study of that name, new or existing.

    Args:
        settings: settings of the study.
        metric: what the trials are compared by.
        space: the distribution of each axis.
        owner: the identifier of this search.
        fixed: a hash of what all trials have in common.

    Raises:
        UserError: if it has another metric, direction, space or fixed settings, or holds pickles, which another person
            may have written.
    """
    name, direction = settings.study_name, settings.direction
    study = optuna.create_study(
        storage=open_storage(settings.storage),
        study_name=name,
        direction=direction,
        pruner=instantiate(settings.pruner),
        load_if_exists=True,
    )
    trials = study.get_trials(deepcopy=False)
    if any("cma" in key and "optimizer" in key for trial in trials for key in trial.system_attrs):
        raise UserError(
            f"the study {name!r} holds the state of a CMA-ES sampler, a pickle, which executes code when it is read: "
            "name another with hydra.sweeper.study_name="
        )
    # Until a trial has ended, the metric may be corrected, and until one has a result, the settings.
    known = study.user_attrs.get("metric", metric) if any(trial.state.is_finished() for trial in trials) else metric
    has_result = any(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
    if (recorded := study.direction.name.lower()) != direction or known != metric:
        present = f"{recorded} {study.user_attrs.get('metric', metric)}"
        raise UserError(
            f"the study {name!r} is to {present}, not to {direction} {metric}: name another with "
            "hydra.sweeper.study_name="
        )
    for trial in trials:
        for key in trial.distributions.keys() & space.keys():
            try:
                check_distribution_compatibility(trial.distributions[key], space[key])
            except ValueError:
                raise UserError(
                    f"{key}: the study {name!r} has tried it in another space: name another with "
                    "hydra.sweeper.study_name="
                ) from None
    if has_result and study.user_attrs.get("fixed", fixed) != fixed:
        raise UserError(
            f"the study {name!r} has trials with other settings outside its space: name another with "
            "hydra.sweeper.study_name="
        )
    study.set_user_attr("metric", metric)
    study.set_user_attr("fixed", fixed)
    study.sampler = make_sampler(settings, len(trials))
    return Study(study, settings, space, owner)


def make_sampler(settings: SearchSettings, num_trials: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of a study that has `num_trials` trials."""
    seed = settings.sampler.get("seed")
    # With the same seed a continued search would repeat its trials.
    seeded = {} if seed is None else {"seed": seed + num_trials}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler: optuna.samplers.BaseSampler = instantiate(settings.sampler, **seeded)
    return sampler
