"""A search: a study of Optuna asks for trials, a launcher runs them as the jobs of a sweep, the study is told."""

import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import yaml
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.utils import instantiate
from omegaconf import DictConfig

from rnnexp.arguments import choose, require_positive
from rnnexp.errors import SweepFailedError, UserError
from rnnexp.files import write_text
from rnnexp.launch.search_space import distributions, split
from rnnexp.launch.sweep import write_report
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.study import open_storage, require_optuna
from rnnexp.tracking.sweep_directory import SweepDirectory

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

DIRECTIONS = dict.fromkeys(("maximize", "minimize"))


@dataclass(frozen=True)
class SearchSettings:
    """What is asked of a study.

    Args:
        sampler, pruner: configs of Optuna's objects.
        direction: of the metric, `maximize` or `minimize`.
        storage: see rnnexp.tracking.study.open_storage.
        study_name: in the storage; processes that give the same name search together.
        n_trials: at which the study is complete, whoever ran them, and however they ended.
        n_jobs: trials that are asked for at once, and run before the study is told.
        seed: of the sampler, which goes another way each time the search is continued; None for chance.

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
    seed: int | None

    def __post_init__(self) -> None:
        try:
            choose("hydra.sweeper.direction", str(self.direction), DIRECTIONS)
            require_positive(**{"hydra.sweeper.n_trials": self.n_trials, "hydra.sweeper.n_jobs": self.n_jobs})
        except ValueError as error:
            raise UserError(str(error)) from None
        if not isinstance(self.seed, int | None):
            raise UserError(f"hydra.sweeper.seed must be a whole number or null, not {self.seed!r}")
        if not self.storage:
            raise UserError("hydra.sweeper.storage has no value: name a file or the URL of a database")


def search(config: DictConfig, settings: SearchSettings, overrides: Sequence[Override], launcher: Launcher) -> None:
    """Asks, runs and tells until the study has its trials, then says which is best.

    Args:
        config: of the multirun as a whole.
        overrides: the axes of the search space, and what is the same for every trial.
        launcher: runs a batch of jobs in the sweep directory.

    Raises:
        UserError: if there is nothing to optimize or to vary, or the study is another one.
        SweepFailedError: at the end, if a trial failed or was stopped.
    """
    require_optuna()
    if config.optimized_metric is None:
        raise UserError("a search needs optimized_metric=, a metric of result.json: val/acc_best, or val/bleu_best")
    if str(config.hydra.runtime.choices["hydra/launcher"]) == "basic":
        raise UserError("hydra/launcher=basic does not tell a search what its jobs measured: use hydra/launcher=pool")
    axes, fixed = split(overrides)
    space = distributions(axes)

    def launch(trials: Sequence["Trial"]) -> Sequence[JobReturn]:
        points = [[*fixed, f"trial={trial.number}", *_overrides(trial)] for trial in trials]
        return launcher.launch(points, initial_job_idx=trials[0].number)

    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if config.dry_run:
        study = optuna.create_study(sampler=_sampler(settings, 0), direction=settings.direction)
        launch([study.ask(space) for _ in range(min(settings.n_jobs, settings.n_trials))])
        return
    # The trials' sweep would report after every batch.
    report, config.report = config.report, False
    directory = SweepDirectory.open(Path(config.sweep_dir).expanduser().absolute(), str(config.hydra.job.config_name))
    study = open_study(settings, str(config.optimized_metric), space)
    ended = run_trials(study, settings, space, _owner(directory), launch)
    say_best(study, str(config.optimized_metric), directory)
    if report and ended:
        write_report(directory.path)
    if told := " and ".join(f"{ended[how]} {how}" for how in ("failed", "interrupted", "queued") if ended[how]):
        more = (
            "" if told == f"{ended['failed']} failed" else f"; the same command with sweep_dir={directory.path} goes on"
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

    # A sampler that began again with its seed would ask the same again.
    seed = {} if settings.seed is None else {"seed": settings.seed + num_trials}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        sampler: BaseSampler = instantiate(settings.sampler, **seed)
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
    launch: Callable[[Sequence["Trial"]], Sequence[JobReturn]],
) -> Counter[str]:
    """Runs what is missing of the study's trials, first those that an earlier process of this owner left behind.

    Those that run elsewhere count, so that several processes do not run more than was asked for.

    Returns:
        How often a trial ended with which status.
    """
    ended: Counter[str] = Counter()
    batch = _left_behind(study, space, owner)
    exhausted = False
    while batch or not exhausted:
        if not batch:
            missing = settings.n_trials - sum(
                trial.state.name != "WAITING" for trial in study.get_trials(deepcopy=False)
            )
            batch = [_ask(study, space, owner) for _ in range(min(settings.n_jobs, missing))]
        if not batch:
            break
        for trial, result in zip(batch, launch(batch), strict=True):
            run = RunDirectory(Path(str(result.working_dir)))
            ended[run.status] += 1
            exhausted |= _tell(study, trial, run, result)
        # What has not ended was stopped on purpose: too many have failed.
        exhausted |= bool(ended["interrupted"] or ended["queued"])
        batch = []
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


def _overrides(trial: "Trial") -> list[str]:
    return [f"{key}={value}" for key, value in trial.params.items()]


def _tell(study: "Study", trial: "Trial", run: RunDirectory, result: JobReturn) -> bool:
    """Tells the study how a trial ended, if it did. Returns whether the sampler has nothing more to try."""
    from optuna.trial import TrialState

    status = run.status
    if status in ("queued", "running", "interrupted"):
        return False
    value = result.return_value if status == "done" else None
    trial.set_user_attr("run_directory", str(run.path))
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
        return True
    return False


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
    result = {"name": "optuna", "best_params": best.params, "best_value": best.value, "run_directory": where}
    write_text(directory.path / "optimization_results.yaml", yaml.safe_dump(result, sort_keys=False))
