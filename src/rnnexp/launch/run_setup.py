"""From a composed config to a run directory with that config frozen in it."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from rnnexp.launch.job import literal
from rnnexp.launch.ranks import is_rank
from rnnexp.tracking.run_directory import RunDirectory


def open_run(config: DictConfig) -> RunDirectory:
    """Makes the run directory and freezes the resolved config in it; `config.paths.output_dir` names it from then on.

    A process that was started as a rank finds the directory made.

    Raises:
        UserError: when the directory cannot be made.
    """
    if is_rank():
        return RunDirectory.of_finished_run(Path(config.paths.output_dir))
    if config.paths.output_dir is None:
        run = RunDirectory.create(Path(config.paths.outputs_dir).absolute() / "train", str(config.name))
    else:
        run = RunDirectory.create_at(Path(config.paths.output_dir).expanduser().absolute())
    config.paths.output_dir = str(run.path)
    # Once and for all: every later reader would resolve each interpolation again, a parse apiece.
    OmegaConf.resolve(config)
    overrides = [str(override) for override in HydraConfig.get().overrides.task]
    run.freeze(literal(resolved(config)), overrides)
    return run


def resolved(config: DictConfig) -> dict[str, Any]:
    """The config as plain values, every interpolation replaced.

    Raises:
        omegaconf.errors.MissingMandatoryValue: naming the key that has no value.
    """
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
