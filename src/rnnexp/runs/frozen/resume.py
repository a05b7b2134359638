"""The config with which `resume=` continues a run in its directory."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from rnnexp.core.errors import UserError
from rnnexp.core.validation import escape_interpolation, expand_home
from rnnexp.runs.create import resolved
from rnnexp.runs.distributed import broadcast_from_rank_zero, global_rank, is_rank
from rnnexp.runs.frozen.config import (
    read_frozen_config,
    require_own_paths,
    trusted_modules,
    without_addresses,
)
from rnnexp.runs.settings import require_valid
from rnnexp.tracking.config_file import escape_interpolations, map_text
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status

FIXED = ("ckpt_path", "paths", "run_only", "sweep_dir", "dry_run", "allow_code_change", "optimized_metric")
"""Config keys outside the identity of an experiment that cannot change when a run continues."""
OWN = ("resume", "trust")
"""Config keys that say how a run is resumed, and that are not part of its config."""


def run_to_resume(config: DictConfig) -> RunDirectory:
    """Return the run directory that `resume` names.

    Raises:
        UserError: if there is no such run, or if it is running.
    """
    if is_rank():
        # Rank 0 may have begun to run it when the others read its status.
        return RunDirectory(Path(broadcast_from_rank_zero(lambda: str(_idle_run(config).path))))
    return _idle_run(config)


def _idle_run(config: DictConfig) -> RunDirectory:
    run = RunDirectory.of_finished_run(expand_home(str(config.resume)).absolute())
    run.require_own_files()
    if run.status is Status.RUNNING:
        raise UserError(f"resume: {run.path} is running: wait for it, or end it first")
    return run


def resumed_config(config: DictConfig, run: RunDirectory) -> DictConfig:
    """Return the config in the directory of a run, with the other overrides of the command line.

    It is written to the directory, since ranks read it there. The directory may have been moved or copied: paths in it
    follow.

    Args:
        config: the composed config.
        run: the run that `resume` names.

    Raises:
        UserError: for an override that would change the results of the run, and for a config that calls or writes what
            the user has not named, see `rnnexp.runs.frozen.config`.
    """
    overrides = _overrides()
    given = [_key(override) for override in overrides]
    recorded = read_frozen_config(run, trusted_modules(OmegaConf.to_container(config.trust)), given=given)
    before = str((recorded.get("paths") or {}).get("output_dir"))
    frozen = map_text(recorded, partial(_moved, before=before, now=str(run.path)))
    frozen["data"] |= without_addresses(frozen["data"])
    changed: DictConfig = OmegaConf.create(escape_interpolations(frozen))
    require_own_paths(frozen, run, given)
    for override in overrides:
        if not _take_over(override, config, changed) or config_hash(resolved(changed)) != config_hash(frozen):
            raise UserError(
                f"resume: {override} cannot change in a run that continues: leave it out, or start a new run"
            )
    require_valid(resolved(changed))
    # It is written also without a change, so that it has no interpolation that a rank would resolve.
    if global_rank() == 0:
        earlier = run.read_overrides()
        run.write_config(resolved(changed), earlier + [override for override in overrides if override not in earlier])
    changed.resume = escape_interpolation(str(run.path))
    return changed


def require_no_overrides(run: RunDirectory) -> None:
    """Raise UserError for overrides of the command line that resume a run that is done."""
    if overrides := _overrides():
        raise UserError(
            f"resume: {run.path} is done, so {' '.join(overrides)} cannot take effect: leave it out, or start a new run"
        )


def _overrides() -> list[str]:
    return [str(override) for override in HydraConfig.get().overrides.task if _key(str(override)) not in OWN]


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].replace("/", ".")


def _take_over(override: str, source: DictConfig, target: DictConfig) -> bool:
    """Give `target` the value that an override has in `source`. Return whether there is one that can change."""
    key = _key(override)
    if key.partition(".")[0] in FIXED:
        return False
    # With its interpolations, which are resolved in the other config.
    value: Any = OmegaConf.to_container(source)
    *groups, name = key.split(".")
    for group in groups:
        value = value.get(group) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping) and name in value:
        OmegaConf.update(target, key, value[name], merge=False, force_add=True)
        return True
    parent = OmegaConf.select(target, ".".join(groups)) if groups else target
    if not override.startswith("~") or not isinstance(parent, DictConfig):
        return False
    parent.pop(name, None)
    return True


def _moved(text: str, before: str, now: str) -> str:
    """Return a path at or below a directory as the one at or below another; any other text unchanged."""
    return f"{now}{text[len(before) :]}" if text == before or text.startswith(f"{before}/") else text
