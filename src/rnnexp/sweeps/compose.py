"""The composition of jobs from the config of a multirun. Only `templates` beside it reads a DictConfig."""

import re
from collections.abc import Sequence
from operator import methodcaller
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf

from rnnexp.cli.checks import require_switches
from rnnexp.compat.omegaconf import interpolations_parsed_once
from rnnexp.core.errors import UserError
from rnnexp.core.printable import mask_secrets, without_secrets
from rnnexp.core.progress import Progress
from rnnexp.core.validation import escape_interpolation, expand_home
from rnnexp.runs.create import resolved
from rnnexp.runs.frozen.inputs import with_inputs
from rnnexp.runs.settings import require_valid
from rnnexp.sweeps.devices import requested_resources
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.sweep import SweepSettings
from rnnexp.sweeps.templates import ConfigComposer
from rnnexp.tracking.config_file import map_text
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.sweep_directory import SweepDirectory

RUN_DIRECTORY = "<run directory>"
"""The run directory in a config, until its name is known, which contains the hash of the config."""
PATIENCE_SECONDS = 3.0
"""The time before the progress is shown; most sweeps are composed earlier."""
TRIAL_NUMBER = "trial_number="
"""The start of the first override that a search sets for a trial."""


def read_settings(config: DictConfig) -> SweepSettings:
    """Return the settings of a sweep from the config of a multirun.

    Raises:
        UserError: if `sweep_dir` is not a path.
    """
    if not isinstance(config.sweep_dir, str) or not config.sweep_dir:
        raise UserError(f"sweep_dir must be the path of a directory, not {config.sweep_dir!r}")
    return SweepSettings(
        directory=expand_home(config.sweep_dir).absolute(),
        name=str(config.hydra.job.config_name),
        multirun=to_yaml(config),
        dry_run=bool(config.dry_run),
        allow_code_change=bool(config.allow_code_change),
        report=bool(config.report),
        optimized_metric=None if config.optimized_metric is None else str(config.optimized_metric),
    )


def to_yaml(config: DictConfig) -> str:
    """Return a config as YAML, without secrets, and with its interpolations as they are."""
    plain = mask_secrets(OmegaConf.to_container(config, enum_to_str=True))
    return OmegaConf.to_yaml(OmegaConf.create(plain))


class JobComposer:
    """A callable that composes the jobs of a sweep, all before the first one starts.

    Args:
        loader: Hydra's loader, which composes the config of one job.
        config: the config of the multirun.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self.loader, self.config = loader, config

    @interpolations_parsed_once()
    def __call__(self, points: Sequence[Sequence[str]], sweep: SweepDirectory, num_gpus: int) -> list[Job]:
        """Return one job for every point, in their order. Points that are the same experiment share one job.

        Args:
            points: the overrides of each point.
            sweep: the sweep directory.
            num_gpus: the number of GPUs that `trainer.accelerator=auto` and `trainer.devices=-1` select.

        Raises:
            UserError: if a config cannot be composed.
        """
        jobs: dict[str, Job] = {}
        ordered = []
        varying = _varying_keys(points)
        compose = ConfigComposer(self.loader, self.config, varying)
        # The name of a directory ends with the identity, and may begin with the overrides of an earlier grid.
        present = {path.name.rpartition("_")[2]: path.name for path in sweep.jobs.glob("*")}
        with Progress("composing", len(points), "jobs", patience_seconds=PATIENCE_SECONDS) as progress:
            for index, overrides in enumerate(points):
                plain = _as_plain_values(compose(overrides, index), sweep)
                identity = config_hash(plain)
                if identity not in jobs:
                    shown = _trial_overrides(overrides) or [o for o in overrides if o.partition("=")[0] in varying]
                    run = sweep.job(present.get(identity) or _directory_name(shown, identity))
                    plain = map_text(plain, methodcaller("replace", RUN_DIRECTORY, str(run.path)))
                    _adapt_to_job(plain, sweep)
                    label = " ".join(shown) or str(plain["name"])
                    jobs[identity] = Job(label, list(overrides), plain, run, requested_resources(plain, num_gpus))
                ordered.append(jobs[identity])
                progress.advance(1)
        return ordered


def _as_plain_values(composed: DictConfig, sweep: SweepDirectory) -> dict[str, Any]:
    """Return the config of a point, which is changed, as valid plain values; its run directory is `RUN_DIRECTORY`."""
    require_switches(composed)
    if composed.get("resume") is not None:
        raise UserError("resume= continues one run: leave out -m; a sweep continues with the same sweep_dir=")
    # The default contains the current time; all jobs must have the same directory.
    composed.sweep_dir = escape_interpolation(str(sweep.path))
    composed.paths.output_dir = RUN_DIRECTORY
    plain = with_inputs(resolved(composed))
    require_valid(plain)
    return plain


def _varying_keys(points: Sequence[Sequence[str]]) -> set[str]:
    """Return the keys whose overrides differ between the points; an empty set for a single point."""
    shared = set.intersection(*(set(overrides) for overrides in points))
    return {override.partition("=")[0] for overrides in points for override in overrides if override not in shared}


def _trial_overrides(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that a search sets for a trial, its number first; an empty list for a point of a grid."""
    numbered = (index for index, override in enumerate(overrides) if override.startswith(TRIAL_NUMBER))
    return list(overrides[next(numbered, len(overrides)) :])


def _directory_name(overrides: Sequence[str], identity: str) -> str:
    # Hydra requires quotes around an equals sign in run=.
    slug = "_".join(re.sub(r"[^\w.+-]+", "-", without_secrets(override)) for override in overrides)[:80].strip("-_")
    return f"{slug}_{identity}" if slug else identity


def _adapt_to_job(config: dict[str, Any], sweep: SweepDirectory) -> None:
    """Change the values of a config that differ in a job of a sweep."""
    # These are about the sweep's command; a job is a single run.
    config["dry_run"] = config["allow_code_change"] = False
    # A job sees only its own devices, numbered from 0.
    if isinstance(config["trainer"]["devices"], list):
        config["trainer"]["devices"] = len(config["trainer"]["devices"])
    wandb = (config.get("logger") or {}).get("wandb")
    if wandb and wandb.get("group") == config["name"]:
        wandb["group"] = sweep.path.name
