"""The steps of one experiment, in the order in which train.py calls them."""

import logging
import resource
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.pytorch import Callback
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from rnnexp.callbacks.checkpoints import BestCheckpoint
from rnnexp.callbacks.training_metrics import Throughput
from rnnexp.core.atomic_files import write_json
from rnnexp.core.errors import InterruptedRunError, UserError
from rnnexp.loggers.base import run_loggers
from rnnexp.runs.build import Experiment, make_trainer
from rnnexp.runs.checkpoints import average_kept, read_checkpoint, require_same_experiment
from rnnexp.runs.create import resolved
from rnnexp.runs.frozen import escape_interpolations
from rnnexp.tasks.callbacks import ResultWriter
from rnnexp.tasks.precision_check import Precision, probe_precision
from rnnexp.tasks.registry import as_record
from rnnexp.tracking.environment import describe_environment
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.run_log import show
from rnnexp.tracking.short_keys import short_keys
from rnnexp.tracking.stopwatch import seconds_since_process_start
from rnnexp.tracking.summary import result_table, start_panel

log = logging.getLogger(__name__)
C = TypeVar("C", bound=Callback)


def probe(config: DictConfig, experiment: Experiment) -> Precision:
    """Raises UnsupportedError if this cell cannot train on this device at this precision."""
    datamodule, trainer = experiment.datamodule, experiment.trainer
    batch = experiment.task.tiny_batch(next(iter(datamodule.train_dataloader())))
    batch = datamodule.transfer_batch_to_device(batch, trainer.strategy.root_device, 0)
    return probe_precision(trainer, experiment.task, batch, str(config.trainer.precision))


def log_start(config: DictConfig, run: RunDirectory, experiment: Experiment, precision: Precision) -> None:
    """The start panel, environment.json, and the resolved config once to every logger, to W&B with short keys."""
    trainer = experiment.trainer
    if not trainer.is_global_zero:
        return
    device = describe_device(experiment)
    if experiment.size_budget is not None:
        # With the size that was found, so that the directory says by itself which network it holds.
        run.write_config(escape_interpolations(resolved(config)), run.read_overrides())
    write_json(run.environment_file, describe_environment(device))
    plain = resolved(config)
    kind = experiment.task.kind
    keys = short_keys(plain, kind.name, kind.dataset_keys, experiment.task.num_parameters)
    for logger in experiment.loggers:
        logger.log_hyperparams(plain)
    for run_logger in run_loggers(experiment.loggers):
        run_logger.log_short_keys(keys)
    same = precision.effective == precision.requested
    show(
        start_panel(
            str(config.name),
            {
                "model": experiment.task.summary,
                "data": experiment.datamodule.summary,
                "device": f"{device['name']}, {trainer.world_size} process{'es' if trainer.world_size > 1 else ''} "
                f"of {torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}",
                "precision": precision.effective + ("" if same else f" (asked for {precision.requested})"),
                "backend": experiment.task.stack.backend,
                "run": str(run.path),
            },
        )
    )


def fit(config: DictConfig, experiment: Experiment) -> None:
    """Trains, from `ckpt_path` on if it is given.

    Raises:
        UserError: if the checkpoint is not one that can be continued here.
        DivergedError, InterruptedRunError: see the callbacks.
    """
    path = None if config.ckpt_path is None else Path(config.ckpt_path).expanduser()
    if path is not None:
        checkpoint = read_checkpoint(path)
        require_same_experiment(checkpoint, experiment.task, path)
        if "optimizer_states" not in checkpoint:
            raise UserError(f"ckpt_path: {path} holds weights alone: continue from last.ckpt or best.ckpt")
        if path == RunDirectory(Path(config.paths.output_dir)).last_checkpoint:
            for logger in run_loggers(experiment.loggers):
                logger.continue_from(checkpoint["global_step"])
    experiment.fit_times["start"] = seconds_since_process_start()
    with _lightning_understood():
        experiment.trainer.fit(experiment.task, datamodule=experiment.datamodule, ckpt_path=path, weights_only=True)
    experiment.fit_times["end"] = seconds_since_process_start()


@contextmanager
def _lightning_understood() -> Iterator[None]:
    """Turns the two ways in which Lightning ends a run by itself into ours: bad settings, and Ctrl-C."""
    try:
        with warnings.catch_warnings():
            # Of validation, where data.val_size=0 was the intention.
            warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
            yield
    except MisconfigurationException as error:
        raise UserError(f"trainer: {str(error).strip()}") from None
    except ValueError as error:
        # The one setting that is compared with the data, and refused in another way than all the others.
        if "`val_check_interval`" not in str(error):
            raise
        raise UserError(f"trainer: {str(error).strip()}") from None
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from None


@contextmanager
def _test_interrupted(run: RunDirectory) -> Iterator[None]:
    """Says that only the test is missing."""
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted by SIGINT in the test; training is complete: python -m rnnexp.evaluate run={run.path}",
            signal.SIGINT,
        ) from None


def test(config: DictConfig, run: RunDirectory, experiment: Experiment) -> None:
    """Scores the test set on one device, so that no sample is counted twice, and adds to `experiment.metrics`.

    Raises:
        UserError: if another number of samples was counted than the test set has.
    """
    experiment.metrics.update(plain_metrics(experiment.trainer.callback_metrics))
    best = find_callback(experiment, BestCheckpoint)
    if best is not None and best.best_model_score is not None:
        experiment.metrics[f"{best.monitor}_best"] = float(best.best_model_score)
    if config.test_weights == "none":
        return
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # The other ranks have left: metrics must not wait for them.
        torch.distributed.destroy_process_group()
    if weights := _weights_to_test(config, run):
        experiment.task.load_state_dict(read_checkpoint(weights)["state_dict"])
    single = OmegaConf.merge(config, {"trainer": {"devices": 1, "num_nodes": 1, "strategy": "auto"}})
    assert isinstance(single, DictConfig)
    writers: list[Callback] = [callback for callback in experiment.callbacks if isinstance(callback, ResultWriter)]
    trainer = make_trainer(single, writers, experiment.loggers)
    # Loggers put the test where training ended, not at step 0 of a trainer that never trained.
    trainer.fit_loop.epoch_progress.current.completed = experiment.trainer.current_epoch
    trainer.fit_loop.epoch_loop._batches_that_stepped = experiment.trainer.global_step
    with _test_interrupted(run), _lightning_understood():
        trainer.test(experiment.task, datamodule=experiment.datamodule, verbose=False)
    experiment.metrics.update(plain_metrics(trainer.callback_metrics))
    there_are = experiment.datamodule.data_info["num_test"]
    is_whole = trainer.num_test_batches == [len(experiment.datamodule.test_dataloader())]
    if is_whole and experiment.task.num_test_samples not in (None, there_are):
        raise UserError(f"{experiment.task.num_test_samples} test samples were counted, but there are {there_are}")


def _weights_to_test(config: DictConfig, run: RunDirectory) -> Path | None:
    """None where those in memory are the ones, as in a run that ended before its first validation."""
    if config.test_weights == "average":
        return average_kept(run) if run.kept_checkpoints else None
    if config.test_weights == "best":
        return next((path for path in (run.best_checkpoint, run.last_checkpoint) if path.exists()), None)
    return None


def write_record(config: DictConfig, run: RunDirectory, experiment: Experiment, precision: Precision) -> None:
    """Writes result.json, hands its summary to W&B, and shows the final table."""
    throughput = find_callback(experiment, Throughput)
    times = experiment.fit_times
    plain = resolved(config)
    result = {
        "name": config.name,
        "task": experiment.task.kind.name,
        "task_kind": as_record(experiment.task.kind),
        "data": experiment.datamodule.data_info,
        "config_hash": config_hash(plain),
        "overrides": run.read_overrides(),
        "resumed_from": config.ckpt_path,
        "seed": config.seed,
        "tags": list(config.tags),
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
        "num_epochs": experiment.trainer.current_epoch,
        "num_steps": experiment.trainer.global_step,
        "num_test_samples": experiment.task.num_test_samples,
        "timing": {
            "setup_seconds": times["start"],
            "first_step_seconds": throughput and throughput.first_step_seconds,
            "fit_seconds": times["end"] - times["start"],
            "total_seconds": seconds_since_process_start(),
            "samples_per_second": throughput and throughput.samples_per_second,
            "tokens_per_second": throughput and throughput.tokens_per_second,
        },
        "peak_memory_bytes": peak_memory_bytes(experiment),
    }
    run.write_result(result)
    for logger in run_loggers(experiment.loggers):
        logger.summarize({key: result[key] for key in ("model", "precision", "timing", "peak_memory_bytes")})
    show(result_table(result))
    log.info("run directory: %s", run.path)


def save_figures(run: RunDirectory, experiment: Experiment) -> None:
    """The pictures of the run, as files and in the loggers that show pictures."""
    # matplotlib takes a while to import: nobody waits for it before training.
    from rnnexp.runs.figures import draw_figures

    for name, path in draw_figures(run, experiment.task, experiment.datamodule).items():
        for logger in run_loggers(experiment.loggers):
            logger.log_figure(f"figures/{name}", path)


def plain_metrics(metrics: Any) -> dict[str, float]:  # noqa: ANN401 (Lightning's mapping of names to tensors)
    return {name: float(value) for name, value in metrics.items()}


def find_callback(experiment: Experiment, kind: type[C]) -> C | None:
    return next((callback for callback in experiment.callbacks if isinstance(callback, kind)), None)


def describe_model(experiment: Experiment) -> dict[str, Any]:
    """What result.json says of the model."""
    return {
        **experiment.task.model_info,
        "backend": experiment.task.stack.backend,
        "num_parameters": experiment.task.num_parameters,
        "state_size": experiment.task.state_size,
    }


def describe_device(experiment: Experiment) -> dict[str, Any]:
    """The accelerator in use, by its own name, and how many there are."""
    device = experiment.trainer.strategy.root_device
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        from rnnexp.tracking.environment import processor_name

        name = processor_name()
    return {
        "type": device.type,
        "name": name,
        "num_devices": experiment.trainer.world_size,
        "num_threads": torch.get_num_threads(),
    }


def peak_memory_bytes(experiment: Experiment) -> int:
    """On a GPU the most that PyTorch had allocated, on a CPU the most that the process had resident."""
    device = experiment.trainer.strategy.root_device
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
