"""A search: a study of Optuna asks for trials, a launcher runs them as the jobs of a sweep, the study is told."""

import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.utils import instantiate
from omegaconf import DictConfig

from rnnexp.core.atomic_files import write_text
from rnnexp.core.errors import SweepFailedError, UserError
from rnnexp.core.validation import quote_override, require_positive, validate_choice
from rnnexp.sweeps.search.space import corners, distributions, num_points, split
from rnnexp.sweeps.search.storage import open_storage, require_direction, require_optuna, storage_errors
from rnnexp.sweeps.sweep import Outcome, write_report
from rnnexp.tracking.sweep_directory import SweepDirectory

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler


DIRECTIONS = ("maximize", "minimize")
STOPPED = ("interrupted", "waiting")
"""Statuses of jobs that go on with the search."""
LEAST_HOPELESS = 4
"""Failures, and nothing else, after which a search ends before its time."""


@dataclass(frozen=True)
class SearchSettings:
    """What is asked of a study.

    Args:
        sampler, pruner: configs of Optuna's objects. The sampler's `seed` is for the first trials; it goes another
            way each time the search is continued.
        direction: of the metric, `maximize` or `minimize`.
        storage: see rnnexp.sweeps.search.storage.open_storage.
        study_name: in the storage; processes that give the same name search together.
        n_trials: at which the study is complete, whoever ran them, and however they ended.
        n_jobs: trials that are asked for at once, and run before the study is told.

    Raises:
        UserError: for a value outside these.
    """

    sampler: DictConfig
    pruner: DictConfig
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


class BatchLauncher(Protocol):
    """What a search needs of a launcher: configs checked before the first trial, and batches of jobs run."""

    def check(self, job_overrides: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        """Return the configs of these jobs. Raises UserError if one cannot be composed or can never run here."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Outcome]:
        """Run the jobs and return what became of each, in order."""


def search(
    config: DictConfig, settings: SearchSettings, overrides: Sequence[Override], launcher: BatchLauncher
) -> None:
    """Asks, runs and tells until the study has its trials, then says which is best.

    Args:
        config: of the multirun as a whole.
        overrides: the axes of the search space, and what is the same for every trial.
        launcher: runs a batch of jobs in the sweep directory.

    Raises:
        UserError: if there is nothing to optimize or to vary, a value of the space cannot be, or the study is another.
        SweepFailedError: at the end, if a trial failed or was stopped.
    """
    require_optuna()
    if config.optimized_metric is None:
        raise UserError("a search needs optimized_metric=, a metric of result.json: val/acc_best, or val/bleu_best")
    axes, fixed = split(overrides)
    space = distributions(axes)

    def points(values: Sequence[tuple[int, Mapping[str, Any]]]) -> list[list[str]]:
        return [
            [*fixed, f"trial_number={number}", *(f"{key}={value}" for key, value in point.items())]
            for number, point in values
        ]

    def launch(trials: Sequence["Trial"]) -> Sequence[Outcome]:
        return launcher.launch(points([(trial.number, trial.params) for trial in trials]), trials[0].number)

    import optuna

    sampler = _sampler(settings, 0)
    if isinstance(sampler, optuna.samplers.BruteForceSampler):
        # It would go on with points that it has tried.
        settings = replace(settings, n_trials=min(settings.n_trials, num_points(space)))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # What a study has been asked for counts on every machine, so what cannot run is found before.
    for each in launcher.check(points(list(enumerate(corners(space))))):
        if pruning := (each["callbacks"] or {}).get("pruning"):
            require_direction(settings.direction, pruning["monitor"], pruning["mode"])
    if config.dry_run:
        study = optuna.create_study(sampler=sampler, direction=settings.direction)
        first = [study.ask(space) for _ in range(min(settings.n_jobs, settings.n_trials))]
        launch(first)
        print(f"the first {len(first)} of {settings.n_trials} trials; what follows depends on how they end")
        return
    # The trials' sweep would report after every batch.
    report, config.report = config.report, False
    directory = SweepDirectory.open(Path(config.sweep_dir).expanduser().absolute(), str(config.hydra.job.config_name))
    with storage_errors(settings.storage):
        study = open_study(settings, str(config.optimized_metric), space)
        ended = run_trials(study, settings, space, _owner(directory), launch)
        say_best(study, str(config.optimized_metric), directory)
        if not ended and not any(trial.state.name in ("COMPLETE", "PRUNED", "RUNNING") for trial in study.trials):
            raise UserError(
                f"all that hydra.sweeper.n_trials={settings.n_trials} asks for has failed: mend what output.log in "
                f"{directory.jobs} says, and raise it, or begin another study with hydra.sweeper.study_name="
            )
    if report and ended:
        write_report(directory.path)
    if told := " and ".join(f"{ended[how]} {how}" for how in ("failed", *STOPPED) if ended[how]):
        more = (
            ""
            if told == f"{ended['failed']} failed"
            else f"; the same command with {quote_override('sweep_dir', directory.path)} goes on"
        )
        raise SweepFailedError(f"{told} of {ended.total()} trials, see output.log in {directory.jobs}{more}")


def open_study(settings: SearchSettings, metric: str, space: dict[str, "BaseDistribution"]) -> "Study":
    """The study of that name, new or to be continued.

    Raises:
        UserError: if it optimizes something else, or in another space.
    """
    import optuna
    from optuna.distributions import check_distribution_compatibility

    name, direction = settings.study_name, settings.direction
    study = optuna.create_study(
        storage=open_storage(settings.storage),
        study_name=name,
        direction=direction,
        pruner=instantiate(settings.pruner),
        load_if_exists=True,
    )
    trials = study.get_trials(deepcopy=False)
    # Before a trial has ended, a metric that nothing measures may be mended.
    known = study.user_attrs.get("metric", metric) if any(trial.state.is_finished() for trial in trials) else metric
    if (there := f"{study.direction.name.lower()} {known}") != (wanted := f"{direction} {metric}"):
        raise UserError(
            f"the study {name!r} is to {there}, not to {wanted}: name another with hydra.sweeper.study_name="
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
    study.set_user_attr("metric", metric)
    study.sampler = _sampler(settings, len(trials))
    return study


def _sampler(settings: SearchSettings, num_trials: int) -> "BaseSampler":
    from optuna.exceptions import ExperimentalWarning

    seed = settings.sampler.get("seed")
    # A sampler that began again with its seed would ask the same again.
    continued = {} if seed is None else {"seed": seed + num_trials}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler: BaseSampler = instantiate(settings.sampler, **continued)
    return sampler


def _owner(directory: SweepDirectory) -> str:
    """What tells this sweep directory from all others, also from one of the same name on another machine."""
    file = directory.study / "owner"
    if not file.exists():
        directory.study.mkdir(exist_ok=True)
        write_text(file, uuid.uuid4().hex)
    return file.read_text()


def run_trials(
    study: "Study",
    settings: SearchSettings,
    space: dict[str, "BaseDistribution"],
    owner: str,
    launch: Callable[[Sequence["Trial"]], Sequence[Outcome]],
) -> Counter[str]:
    """Runs what is missing of the study's trials, first those that an earlier process of this owner left behind.

    Those that run elsewhere count, so that several processes do not run more than was asked for.

    Returns:
        How often a trial ended with which status.
    """

    def ask() -> list["Trial"]:
        asked = sum(trial.state.name != "WAITING" for trial in study.get_trials(deepcopy=False))
        missing = settings.n_trials - asked
        return [_ask(study, space, owner) for _ in range(min(settings.n_jobs, missing))]

    ended: Counter[str] = Counter()
    batch = _left_behind(study, space, owner) or ask()
    while batch:
        for trial, outcome in zip(batch, launch(batch), strict=True):
            ended[outcome.run_status] += 1
            _tell(study, trial, outcome)
        # What has not ended was stopped on purpose: too many have failed. Where all do, the next would as well.
        is_hopeless = ended["failed"] >= LEAST_HOPELESS and set(ended) == {"failed"}
        batch = [] if is_hopeless or any(ended[how] for how in STOPPED) else ask()
    return ended


def _left_behind(study: "Study", space: dict[str, "BaseDistribution"], owner: str) -> list["Trial"]:
    from optuna import Trial
    from optuna.trial import TrialState

    left = []
    for frozen in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        if frozen.user_attrs.get("owner") != owner:
            continue
        if frozen.params.keys() == space.keys():
            left.append(Trial(study, frozen._trial_id))
        else:
            study.tell(frozen.number, state=TrialState.FAIL)
    return left


def _ask(study: "Study", space: dict[str, "BaseDistribution"], owner: str) -> "Trial":
    trial = study.ask(space)
    trial.set_user_attr("owner", owner)
    return trial


def _tell(study: "Study", trial: "Trial", outcome: Outcome) -> None:
    """Tells the study how a trial ended, if it did."""
    from optuna.trial import TrialState

    status = outcome.run_status
    if status in STOPPED:
        return
    value = outcome.return_value if status == "done" else None
    trial.set_user_attr("run_directory", outcome.working_dir)
    trial.set_user_attr("status", status)
    if value is not None:
        state = TrialState.COMPLETE
    else:
        # What diverged is bad, and a sampler should keep away from there; of what failed nothing is known.
        state = TrialState.FAIL if status in ("failed", "unsupported") else TrialState.PRUNED
    try:
        study.tell(trial, value, state)
    except RuntimeError as error:
        # How a sampler that has tried everything ends a search, which expects to be asked by Optuna itself.
        if "Study.stop" not in str(error):
            raise


def say_best(study: "Study", metric: str, directory: SweepDirectory) -> None:
    """Prints the best trial, and writes it as hydra-optuna-sweeper does into `optimization_results.yaml`."""
    from optuna.trial import TrialState

    number = len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]))
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        print(f"none of {number} trials has a result")
        return
    best = study.best_trial
    shown = " ".join(f"{key}={value}" for key, value in best.params.items())
    where = best.user_attrs.get("run_directory")
    print(f"best of {number} trials: {metric} {best.value:.6g} with {shown} in {where}")
    parser = OverridesParser.create()
    params = {key: parser.parse_override(f"key={value}").value() for key, value in best.params.items()}
    result = {"name": "optuna", "best_params": params, "best_value": best.value, "run_directory": where}
    write_text(directory.path / "optimization_results.yaml", yaml.safe_dump(result, sort_keys=False))
