"""Evaluation of a finished run, which is rebuilt from its directory."""

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from rnnexp.compat.lightning import lightning_errors
from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import write_json
from rnnexp.core.validation import validate_choice
from rnnexp.runs.build import (
    Experiment,
    apply_process_settings,
    config_errors,
    datamodule_class,
    make_datamodule,
    make_task_of,
    make_trainer,
    task_class,
)
from rnnexp.runs.checkpoints import (
    checkpoint_errors,
    choose_weights,
    load_weights,
    read_checkpoint,
    read_tokenizers,
    require_own_checkpoint,
)
from rnnexp.runs.frozen.config import read_frozen_config, without_fetching
from rnnexp.runs.frozen.inputs import changed_inputs
from rnnexp.runs.settings import RunSettings
from rnnexp.runs.stages import plain_metrics
from rnnexp.tracking.run_directory import SCHEMA_VERSION, RunDirectory

log = logging.getLogger(__name__)

Changes = Mapping[str, Mapping[str, Any]]
"""Config group -> key -> the value that replaces the run's."""

BUILT_GROUPS = ("data", "task", "model", "trainer")
"""Config groups from which an evaluation makes objects."""

ON_ONE_DEVICE = {
    "accelerator": "auto",
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "profiler": None,
    "limit_test_batches": 1.0,
    "overfit_batches": 0.0,
}


def choose_device(accelerator: str) -> torch.device:
    """Return the device on which finished networks run.

    Args:
        accelerator: `auto`, `cpu` or `gpu`.

    Raises:
        UserError: for `gpu` if PyTorch finds none.
    """
    found = torch.accelerator.current_accelerator(check_available=True)
    if accelerator == "gpu" and found is None:
        raise UserError("accelerator=gpu, but PyTorch sees no GPU here: use accelerator=cpu or accelerator=auto")
    return torch.device("cpu") if accelerator == "cpu" or found is None else found


def load_finished(
    run: RunDirectory, weights: str | None, changes: Changes, trust: Sequence[str] = ()
) -> tuple[Experiment, Path]:
    """Rebuild the experiment of a run, with its weights, on one device of this machine.

    Args:
        run: the directory of the run.
        weights: see `choose_weights`.
        changes: other values for config groups, such as `data` and `task`.
        trust: modules whose code may be called, see `rnnexp.runs.frozen.config`.

    Returns:
        The experiment, and the checkpoint of the weights.

    Raises:
        UserError: for weights that are missing or damaged, or data of another shape.
    """
    settings = RunSettings.from_config(_changed_config(run, changes, trust), run)
    _require_same_files(settings.config, run, changes)
    with config_errors("weights"):
        checkpoint_file = choose_weights(run, weights, settings.test_weights)
    if unfinished := run.describe_unfinished():
        log.warning("%s", unfinished)
    checkpoint = read_checkpoint(checkpoint_file)
    apply_process_settings(settings.num_threads, settings.tf32, settings.retain_memory)
    require_own_checkpoint(run, checkpoint, checkpoint_file)
    if "tokenizers" in checkpoint:
        read_tokenizers(checkpoint, checkpoint_file)
    with checkpoint_errors(checkpoint_file):
        datamodule = make_datamodule(settings.config, checkpoint)
    task = make_task_of(settings.config, task_class(settings.config).arguments_from(datamodule), trains=False)
    load_weights(task, checkpoint, checkpoint_file, f"these data, {datamodule.summary}")
    trainer = make_trainer(settings.config["trainer"], [], [])
    return Experiment(settings, datamodule, task, trainer), checkpoint_file


def _require_same_files(config: Mapping[str, Any], run: RunDirectory, changes: Changes) -> None:
    """Raise UserError for data that have changed since the run began. For changed code a warning is logged."""
    unread = {key for key, value in config["data"].items() if value is None}
    for key, path in changed_inputs(config, without=unread | changes.get("data", {}).keys()):
        if not key.startswith("module:"):
            name = re.split(r"[./]", key.removeprefix("data."))[0]
            raise UserError(
                f"{path} has changed since {run.path} began: restore it, or name other data with data.{name}="
            )
        log.warning("%s has changed since %s began", path, run.path)


def _changed_config(run: RunDirectory, changes: Changes, trust: Sequence[str]) -> dict[str, Any]:
    config = read_frozen_config(run, trust, BUILT_GROUPS)
    changed_data = changes.get("data", {})
    config["data"] |= without_fetching(config["data"], changed_data)
    config["data"] |= datamodule_class(config).evaluation_overrides(changed_data)
    for group, values in changes.items():
        with config_errors(group):
            config[group] = _with_changes(config[group], values)
    config["trainer"] = {**config["trainer"], **ON_ONE_DEVICE, "default_root_dir": str(run.path)}
    return config


def _with_changes(node: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(node)
    for key, value in changes.items():
        validate_choice("key of this run", key, node)
        both_nested = isinstance(value, Mapping) and isinstance(node[key], Mapping)
        changed[key] = _with_changes(node[key], value) if both_nested else value
    return changed


def flat(changes: Changes) -> dict[str, Any]:
    """Return the changes by their whole keys, such as `data.root`, as records have them."""
    return {f"{group}.{key}": value for group, values in changes.items() for key, value in values.items()}


def score(experiment: Experiment, weights: Path, changes: Changes) -> dict[str, Any]:
    """Test, write the record into the run directory, and return it."""
    run = experiment.settings.directory
    with lightning_errors():
        experiment.trainer.test(experiment.task, datamodule=experiment.datamodule, verbose=False)
    now = datetime.now(UTC)
    evaluation = {
        "schema_version": SCHEMA_VERSION,
        "name": run.path.name,
        "weights": str(weights.relative_to(run.path)),
        "evaluated": now.isoformat(timespec="seconds"),
        "changed": flat(changes),
        "data": experiment.datamodule.data_info,
        "signatures": experiment.task.metric_signatures,
        "metrics": plain_metrics(experiment.trainer.callback_metrics),
        "num_test_samples": experiment.task.num_test_samples,
    }
    file = run.new_evaluation_file(now)
    file.parent.mkdir(exist_ok=True)
    write_json(file, evaluation)
    return evaluation
