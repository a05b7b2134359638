"""The stages of a run, in the order in which train.py calls them."""

import logging
import math
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.pytorch import Callback, Trainer

from rnnexp.callbacks.checkpoints import BestCheckpoint
from rnnexp.callbacks.training_metrics import Throughput
from rnnexp.compat.lightning import lightning_errors, num_epochs, set_progress
from rnnexp.core.errors import UserError, left_out_on_error
from rnnexp.core.files.atomic import write_json
from rnnexp.core.printable import mask_secrets
from rnnexp.loggers.base import run_loggers
from rnnexp.runs.build import Experiment, make_trainer
from rnnexp.runs.checkpoints import (
    checkpoint_errors,
    read_checkpoint,
    require_same_experiment,
    require_training_state,
    tested_weights,
)
from rnnexp.tasks.callbacks import ResultWriter
from rnnexp.tasks.precision_check import Precision, is_emulated, probe_precision
from rnnexp.tasks.registry import OF_AVERAGE, OF_BEST, as_record
from rnnexp.tracking.environment import describe_environment, processor_name
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.keys import short_keys
from rnnexp.tracking.run_log import show
from rnnexp.tracking.stopwatch import seconds_since_process_start
from rnnexp.tracking.summary import result_table, start_panel

log = logging.getLogger(__name__)
C = TypeVar("C", bound=Callback)


def check_precision(experiment: Experiment) -> Precision:
    """Run one tiny batch. Raise UnsupportedError if this cell cannot train on this device at this precision."""
    datamodule, trainer = experiment.datamodule, experiment.trainer
    batch = next(iter(datamodule.train_dataloader()))
    batch = datamodule.transfer_batch_to_device(batch, trainer.strategy.root_device, 0)
    return probe_precision(trainer, experiment.task, batch, experiment.settings.precision)


def log_start(experiment: Experiment, precision: Precision) -> None:
    """Show the start panel, write environment.json, and send the config and the short keys to the loggers."""
    trainer, settings = experiment.trainer, experiment.settings
    if not trainer.is_global_zero:
        return
    device = describe_device(experiment)
    if is_emulated(precision.requested, trainer.strategy.root_device):
        log.warning(
            "trainer.precision=%s: %s has no instructions for such numbers: 32-true may be many times as fast",
            precision.requested,
            device["name"],
        )
    run = settings.directory
    if experiment.size_budget is not None:
        # Record the hidden size that was solved for, so that the directory describes its network.
        run.write_config(settings.config, run.read_overrides())
    write_json(run.environment_file, describe_environment(device))
    kind = experiment.task.kind
    keys = short_keys(settings.config, kind.name, kind.dataset_keys, experiment.task.num_parameters)
    for logger in experiment.loggers:
        logger.log_hyperparams(mask_secrets(settings.config))
    for run_logger in run_loggers(experiment.loggers):
        run_logger.log_short_keys(keys)
    same = precision.effective == precision.requested
    num_threads = torch.get_num_threads()
    show(
        start_panel(
            settings.name,
            {
                "model": experiment.task.summary,
                "data": experiment.datamodule.summary,
                **({} if (example := experiment.datamodule.example) is None else {"first pair": example}),
                "device": f"{device['name']}, {trainer.world_size} process{'es' if trainer.world_size > 1 else ''} "
                f"of {num_threads} thread{'s' if num_threads > 1 else ''}",
                "precision": precision.effective + ("" if same else f" (requested {precision.requested})"),
                "backend": experiment.task.stack.last_backend,
                "run": str(run.path),
            },
        )
    )


def fit(experiment: Experiment) -> None:
    """Train, from the checkpoint `ckpt_path` on if it is set.

    Raises:
        UserError: if this run cannot continue from the checkpoint.
        DivergedError, InterruptedRunError: see the callbacks.
    """
    path, run = experiment.settings.ckpt_path, experiment.settings.directory
    checkpoint: dict[str, Any] = {}
    if path is not None:
        checkpoint = read_checkpoint(path)
        require_same_experiment(checkpoint, experiment.task, path)
        require_training_state(checkpoint, experiment.task, path)
        experiment.metrics.update(plain_metrics(checkpoint["metrics"]))
    if path is None or path.parent == run.checkpoints:
        _continue_logs(experiment, checkpoint)
    # Otherwise the trainer would load weights of 64 bits into parameters of 32, and convert them afterwards.
    experiment.trainer.precision_plugin.convert_module(experiment.task)
    experiment.fit_times["start"] = seconds_since_process_start()
    with lightning_errors(), _restore_errors(experiment, path):
        experiment.trainer.fit(experiment.task, datamodule=experiment.datamodule, ckpt_path=path, weights_only=True)
    experiment.fit_times["end"] = seconds_since_process_start()


class _FirstBatch(Callback):
    """A callback that knows whether a batch has been trained."""

    has_ended = False

    def on_train_batch_end(self, *_: object, **__: object) -> None:
        self.has_ended = True


@contextmanager
def _restore_errors(experiment: Experiment, path: Path | None) -> Iterator[None]:
    """Replace errors before the end of the first batch by a UserError, if a checkpoint was restored for it."""
    if path is None:
        yield
        return
    first = _FirstBatch()
    experiment.callbacks.append(first)
    with checkpoint_errors(path, is_over=lambda: first.has_ended):
        yield


def _continue_logs(experiment: Experiment, checkpoint: Mapping[str, Any]) -> None:
    """Continue the loggers after the last step of a checkpoint; from the beginning without one."""
    if not experiment.trainer.is_global_zero:
        return
    for run_logger in run_loggers(experiment.loggers):
        run_logger.continue_from(checkpoint.get("global_step", 0))
    if checkpoint.get("unlogged"):
        metrics = dict(checkpoint["unlogged"])
        step = metrics.pop("step")
        for logger in experiment.loggers:
            logger.log_metrics(metrics, step)
            logger.save()


def test(experiment: Experiment) -> None:
    """Score the test set on one device, so that no sample is counted twice, and update `experiment.metrics`.

    Averaged weights are validated first.

    Raises:
        UserError: if another number of samples was counted than the test set has.
    """
    settings = experiment.settings
    experiment.metrics.update(plain_metrics(experiment.trainer.callback_metrics))
    best = find_callback(experiment, BestCheckpoint)
    if best is not None and best.best_model_score is not None:
        experiment.metrics[f"{best.monitor}{OF_BEST}"] = float(best.best_model_score)
    # An evaluation of the unfinished run may have written an average of fewer epochs.
    settings.directory.average_checkpoint.unlink(missing_ok=True)
    if settings.test_weights == "none":
        return
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # The other ranks have ended, so metrics must not wait for them.
        torch.distributed.destroy_process_group()
    weights = tested_weights(settings.directory, settings.test_weights)
    if settings.test_weights == "average" and weights == settings.directory.last_checkpoint:
        log.warning("test_weights=average: no validation has chosen weights to average, so the last ones are tested")
    # The last weights are in memory.
    if weights != settings.directory.last_checkpoint:
        experiment.task.load_state_dict(read_checkpoint(weights)["state_dict"])
    single = on_one_device(settings.config["trainer"], experiment.trainer.strategy.root_device)
    if weights == settings.directory.average_checkpoint:
        # No epoch has validated these weights. The loggers would record the metrics as those of the last epoch.
        validation = make_trainer(with_batches_of(experiment.trainer, single), [], [])
        with lightning_errors():
            validation.validate(experiment.task, datamodule=experiment.datamodule, verbose=False)
        metrics = plain_metrics(validation.callback_metrics)
        experiment.metrics.update({f"{name}{OF_AVERAGE}": value for name, value in metrics.items()})
    writers: list[Callback] = [c for c in experiment.callbacks if isinstance(c, ResultWriter)]
    trainer = make_trainer(single, writers, experiment.loggers)
    # Loggers would otherwise record the test at step 0.
    set_progress(trainer, num_epochs(experiment.trainer), experiment.trainer.global_step)
    with lightning_errors():
        trainer.test(experiment.task, datamodule=experiment.datamodule, verbose=False)
    experiment.metrics.update(plain_metrics(trainer.callback_metrics))
    num_test = experiment.datamodule.data_info["num_test"]
    is_whole = trainer.num_test_batches == [len(experiment.datamodule.test_dataloader())]
    if is_whole and experiment.task.num_test_samples != num_test:
        raise UserError(f"{experiment.task.num_test_samples} test samples were counted, but there are {num_test}")


def on_one_device(trainer: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Return the config of a trainer that runs on one of the devices that have trained: others may be in use."""
    devices = [device.index] if device.type == "cuda" else 1
    return {**trainer, "devices": devices, "num_nodes": 1, "strategy": "auto"}


def with_batches_of(ranks: Trainer, single: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a trainer of one device that validates as many batches as all ranks have together.

    Args:
        ranks: the trainer of the ranks.
        single: the config of a trainer.
    """
    # None are known if training had ended before this process began.
    num_batches = sum(ranks.num_val_batches) * ranks.world_size
    if ranks.world_size == 1 or not num_batches or math.isinf(num_batches):
        return dict(single)
    # The second would replace the first.
    return {**single, "limit_val_batches": int(num_batches), "overfit_batches": 0}


def write_record(experiment: Experiment, precision: Precision) -> None:
    """Write result.json, send a summary to the loggers, and show the table of results."""
    settings = experiment.settings
    throughput = find_callback(experiment, Throughput)
    times = experiment.fit_times
    # A run that continued counts the training before, too.
    earlier_seconds = throughput.earlier_seconds if throughput else 0.0
    result = {
        "name": settings.name,
        "task": experiment.task.kind.name,
        "task_kind": as_record(experiment.task.kind),
        "data": experiment.datamodule.data_info,
        "config_hash": config_hash(settings.config),
        "overrides": settings.directory.read_overrides(),
        "resumed_from": settings.config["ckpt_path"],
        "seed": settings.seed,
        "tags": list(settings.tags),
        "model": describe_model(experiment),
        "size_budget": experiment.size_budget and experiment.size_budget._asdict(),
        "precision": {
            **precision._asdict(),
            "tf32": {
                "matmul": torch.backends.cuda.matmul.allow_tf32,
                "cudnn": torch.backends.cudnn.allow_tf32,
            },
        },
        "device": describe_device(experiment),
        "metrics": experiment.metrics,
        "signatures": experiment.task.metric_signatures,
        "answers": experiment.task.answer_info,
        "num_epochs": num_epochs(experiment.trainer),
        "num_steps": experiment.trainer.global_step,
        "num_test_samples": experiment.task.num_test_samples,
        "timing": {
            "setup_seconds": times["start"],
            "first_step_seconds": throughput and throughput.first_step_seconds,
            "fit_seconds": times["end"] - times["start"] + earlier_seconds,
            "total_seconds": seconds_since_process_start() + earlier_seconds,
            "samples_per_second": throughput and throughput.samples_per_second,
            "tokens_per_second": throughput and throughput.tokens_per_second,
        },
        "peak_memory_bytes": peak_memory_bytes(experiment),
    }
    settings.directory.write_result(result)
    for logger in run_loggers(experiment.loggers):
        with left_out_on_error(f"the summary in {type(logger).__name__}"):
            logger.summarize({key: result[key] for key in ("model", "precision", "timing", "peak_memory_bytes")})
    show(result_table(result))
    log.info("run directory: %s", settings.directory.path)


def save_figures(experiment: Experiment) -> None:
    """Draw the figures of the run into files, and show them in the loggers that show images.

    A figure that fails is left out with a warning, since the run is already trained and recorded.
    """
    with left_out_on_error("the figures"):
        # matplotlib takes long to import and is not needed before training.
        from rnnexp.runs.figures import draw_figures

        for name, path in draw_figures(experiment.settings.directory, experiment.task, experiment.datamodule).items():
            for logger in run_loggers(experiment.loggers):
                with left_out_on_error(f"figure {name} in {type(logger).__name__}"):
                    logger.log_figure(f"figures/{name}", path)


def plain_metrics(metrics: Any) -> dict[str, float]:  # noqa: ANN401 (Lightning's mapping of names to tensors)
    """Return Lightning's metrics as plain numbers."""
    return {name: float(value) for name, value in metrics.items()}


def find_callback(experiment: Experiment, kind: type[C]) -> C | None:
    """Return the first callback of a class, None without one."""
    return next((callback for callback in experiment.callbacks if isinstance(callback, kind)), None)


def describe_model(experiment: Experiment) -> dict[str, Any]:
    """Return the record of the model for result.json."""
    return {
        **experiment.task.model_info,
        "backend": experiment.task.stack.last_backend,
        "num_parameters": experiment.task.num_parameters,
        "state_size": experiment.task.state_size,
    }


def describe_device(experiment: Experiment) -> dict[str, Any]:
    """Return type, name and number of the devices in use."""
    device = experiment.trainer.strategy.root_device
    return {
        "type": device.type,
        "name": torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name(),
        "num_devices": experiment.trainer.world_size,
        "num_threads": torch.get_num_threads(),
    }


def peak_memory_bytes(experiment: Experiment) -> int:
    """Return the peak of PyTorch's allocated memory on a GPU, or of the process's resident memory on a CPU."""
    device = experiment.trainer.strategy.root_device
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
