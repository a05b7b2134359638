"""From a composed config to a run directory with that config frozen in it."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from rnnexp.core.errors import UserError
from rnnexp.runs.distributed import broadcast_from_rank_zero, is_rank
from rnnexp.runs.frozen import escape_interpolations
from rnnexp.tracking.run_directory import RunDirectory


def require_one_job(config: DictConfig) -> None:
    """Raises UserError for a key that only a multirun obeys."""
    for key in ("dry_run", "allow_code_change"):
        if config[key] is not False:
            raise UserError(f"{key}={config[key]} is for sweeps: add -m, or leave it out")


def open_run(config: DictConfig) -> RunDirectory:
    """Makes the run directory and freezes the resolved config in it; `config.paths.output_dir` names it from then on.

    A process that was started from the frozen config of one finds it made. Of ranks that others have started, the first
    makes it and tells the others.

    Raises:
        UserError: when the directory cannot be made.
    """
    if is_frozen(config):
        return RunDirectory.of_finished_run(Path(config.paths.output_dir))
    if is_rank():
        config.paths.output_dir = broadcast_from_rank_zero(lambda: str(_make_run(config).path))
        OmegaConf.resolve(config)
        return RunDirectory(Path(config.paths.output_dir))
    return _make_run(config)


def _make_run(config: DictConfig) -> RunDirectory:
    if config.paths.output_dir is None:
        run = RunDirectory.create(Path(config.paths.outputs_dir).absolute() / "train", str(config.name))
    else:
        run = RunDirectory.create_at(Path(config.paths.output_dir).expanduser().absolute())
    config.paths.output_dir = str(run.path)
    # Once and for all: every later reader would resolve each interpolation again, a parse apiece.
    OmegaConf.resolve(config)
    overrides = [str(override) for override in HydraConfig.get().overrides.task]
    run.freeze(escape_interpolations(resolved(config)), overrides)
    return run


def is_frozen(config: DictConfig) -> bool:
    """Whether the config was read from the run directory that it names, where it was frozen before."""
    sources = [Path(source.path) for source in HydraConfig.get().runtime.config_sources if source.schema == "file"]
    return config.paths.output_dir is not None and Path(config.paths.output_dir) in sources


def resolved(config: DictConfig) -> dict[str, Any]:
    """The config as plain values, every interpolation replaced.

    Raises:
        omegaconf.errors.MissingMandatoryValue: naming the key that has no value.
    """
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
