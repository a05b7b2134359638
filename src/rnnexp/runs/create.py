"""The run directory of this process: a new one with the composed config frozen in it, or an earlier one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from rnnexp.core.errors import UserError
from rnnexp.core.validation import escape_interpolation, expand_home
from rnnexp.runs.distributed import broadcast_from_rank_zero, global_rank, is_rank
from rnnexp.runs.frozen.inputs import with_inputs
from rnnexp.runs.frozen.last_checkpoint import put_damaged_checkpoints_aside, resumable_checkpoint
from rnnexp.runs.settings import require_valid
from rnnexp.tracking.run_directory import RunDirectory

LOOK_UPS = (
    "hydra.utils.get_class",
    "hydra.utils.get_method",
    "hydra.utils.get_object",
    "hydra.utils.get_static_method",
)
"""Functions of Hydra that return the object of a name, `path`."""


def require_one_job(config: DictConfig) -> None:
    """Raise UserError for a key that only sweeps use."""
    for key in ("dry_run", "allow_code_change"):
        if config[key] is not False:
            raise UserError(f"{key}={config[key]} is for sweeps: add -m, or leave it out")


def open_run(config: DictConfig) -> tuple[RunDirectory, dict[str, Any]]:
    """Make the run directory and freeze the resolved config in it.

    The directory exists already if the config is the one in it: in a rank, in a job of a sweep and with `resume=`. If
    torchrun or srun started several ranks, rank 0 makes the directory and sends its path to the others.

    Returns:
        The directory, and the resolved config as plain values; `paths.output_dir` in it names the directory.

    Raises:
        UserError: if the directory cannot be made.
    """
    if _is_frozen(config):
        return RunDirectory.of_finished_run(Path(config.paths.output_dir)), resolved(config)
    if not is_rank():
        return _make_run(config)
    path = broadcast_from_rank_zero(lambda: str(_make_run(config)[0].path))
    config.paths.output_dir = escape_interpolation(path)
    return RunDirectory(Path(path)), with_inputs(resolved(config))


def continued(config: Mapping[str, Any], run: RunDirectory) -> dict[str, Any]:
    """Return the config with `ckpt_path` of the latest readable checkpoint in the run's own directory, if it has one.

    The caller holds the lock of the directory: before, another process may save a later one.
    """
    own = put_damaged_checkpoints_aside(run) if global_rank() == 0 else resumable_checkpoint(run)
    return dict(config) | ({} if own is None else {"ckpt_path": str(own)})


def _make_run(config: DictConfig) -> tuple[RunDirectory, dict[str, Any]]:
    # Imports torch.
    from rnnexp.runs.arguments import require_constructible

    plain = resolved(config)
    require_valid(plain)
    require_constructible([plain])
    if config.paths.output_dir is None:
        run = RunDirectory.create(Path(config.paths.outputs_dir).absolute() / "train", str(config.name))
    else:
        run = RunDirectory.create_at(expand_home(config.paths.output_dir).absolute())
    config.paths.output_dir = escape_interpolation(str(run.path))
    frozen = with_inputs(resolved(config))
    run.freeze(frozen, [str(override) for override in HydraConfig.get().overrides.task])
    return run, frozen


def _is_frozen(config: DictConfig) -> bool:
    """Return whether the config was read from the run directory that it names."""
    sources = [Path(source.path) for source in HydraConfig.get().runtime.config_sources if source.schema == "file"]
    is_read_from_it = config.paths.output_dir is not None and Path(config.paths.output_dir) in sources
    return config.resume is not None or is_read_from_it


def resolved(config: DictConfig) -> dict[str, Any]:
    """Return the config as plain values, every interpolation replaced, and a cell by its name.

    Raises:
        omegaconf.errors.MissingMandatoryValue: for a key without a value.
        UserError: for a cell that has no name.
    """
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    model = plain.get("model")
    if isinstance(model, dict) and isinstance(model.get("cell"), dict):
        plain["model"] = _with_named_cell(model)
    return {str(key): value for key, value in plain.items()}


def _with_named_cell(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model whose cell, a node for Hydra, is replaced by the name of the cell and its options.

    One cell has one spelling then, so that it is one setting in a report and can be trusted by its name.
    """
    node = {key: value for key, value in model["cell"].items() if key not in ("_partial_", "_convert_", "_recursive_")}
    target = node.pop("_target_", None)
    name = node.pop("path", None) if str(target) in LOOK_UPS else target
    if not isinstance(name, str) or "_args_" in node:
        raise UserError(
            f"model.cell must be the name of a cell, not {model['cell']}: write model.cell=my_cells.mgu, and its "
            "options in model.cell_options"
        )
    return {**model, "cell": name, "cell_options": {**(model.get("cell_options") or {}), **node}}
