"""A finished run, put together again from its directory."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rnnexp.core.atomic_files import write_json
from rnnexp.core.validation import validate_choice
from rnnexp.runs.build import (
    Experiment,
    apply_process_settings,
    config_errors,
    make_datamodule,
    make_task,
    make_trainer,
)
from rnnexp.runs.checkpoints import choose_weights, load_weights, read_checkpoint
from rnnexp.runs.stages import plain_metrics
from rnnexp.tracking.run_directory import RunDirectory


def load_finished(run: RunDirectory, config: DictConfig) -> tuple[Experiment, Path]:
    """The run's experiment with the weights loaded, on one device of this machine, and where the weights are from.

    Args:
        config: `weights`, see `choose_weights`, and the keys of `data` and `task` that are to differ from the run's.

    Raises:
        UserError: for weights that are missing or damaged, data of another shape.
    """
    finished = OmegaConf.create(run.read_config())
    assert isinstance(finished, DictConfig)
    with config_errors("weights"):
        weights = choose_weights(run, config.weights, str(finished.test_weights))
    checkpoint = read_checkpoint(weights)
    here = {
        "accelerator": "auto",
        "devices": 1,
        "num_nodes": 1,
        "strategy": "auto",
        "profiler": None,
        "limit_test_batches": 1.0,
        "overfit_batches": 0.0,
    }
    for group in ("data", "task"):
        with config_errors(group):
            for key, value in _changes(config, group):
                validate_choice("key of this run", key, finished[group])
                finished[group][key] = value
    if "cache" in finished.data:
        # Seconds saved another time are not worth a place that this machine may not have.
        finished.data.cache = None
    if {"root", "name"} & {key for key, _value in _changes(config, "data")} and "val_size" in finished.data:
        # Only the test images of the other set are scored: it may be too small for this run's validation split.
        finished.data.val_size = 0
    finished.trainer.update(here)
    apply_process_settings(finished)
    datamodule = make_datamodule(finished, checkpoint)
    task = make_task(finished, datamodule)
    load_weights(task, checkpoint, f"{weights} does not fit these data, {datamodule.summary}")
    return Experiment(datamodule, task, make_trainer(finished, [], [])), weights


def _changes(config: DictConfig, group: str) -> list[tuple[str, Any]]:
    """The keys of a group that are to differ from the run's, and their values."""
    return [(str(key), value) for key, value in config[group].items() if value is not None]


def score(run: RunDirectory, experiment: Experiment, weights: Path, config: DictConfig) -> dict[str, Any]:
    """Tests and records. Returns what was recorded: the data, the weights, what was changed and the metrics."""
    experiment.trainer.test(experiment.task, datamodule=experiment.datamodule, verbose=False)
    now = datetime.now(UTC)
    evaluation = {
        "schema_version": 1,
        "name": run.path.name,
        "weights": str(weights.relative_to(run.path)),
        "evaluated": now.isoformat(timespec="seconds"),
        "changed": {f"{group}.{key}": value for group in ("data", "task") for key, value in _changes(config, group)},
        "data": experiment.datamodule.data_info,
        "signatures": experiment.task.metric_signatures,
        "metrics": plain_metrics(experiment.trainer.callback_metrics),
        "num_test_samples": experiment.task.num_test_samples,
    }
    evaluations = run.path / "evaluations"
    evaluations.mkdir(exist_ok=True)
    write_json(evaluations / f"{now:%Y-%m-%d_%H-%M-%S-%f}.json", evaluation)
    return evaluation
