"""Functions that read, choose, average and check checkpoint files, with errors of one line."""

import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rnnexp.core.atomic_files import written_atomically
from rnnexp.core.errors import UserError, first_line
from rnnexp.core.validation import did_you_mean_path, lookup
from rnnexp.tasks.base import Task
from rnnexp.tracking.run_directory import RunDirectory


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint of rnnexp, on the CPU, read with `weights_only=True`.

    Raises:
        UserError: if it is missing, truncated, corrupt, not safe to load, or from another program.
    """
    if path.is_dir():
        raise UserError(f"checkpoint {path} is a directory: name the file in it, best.ckpt or last.ckpt")
    if not path.is_file():
        raise UserError(f"checkpoint {path} is missing{did_you_mean_path(path)}")
    try:
        with warnings.catch_warnings():
            # torch warns of an unusual pickle before the error below.
            warnings.simplefilter("ignore")
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"checkpoint {path} is damaged, or holds more than tensors and plain values and is not loaded: "
            "use one that rnnexp saved"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise UserError(
            f"checkpoint {path} cannot be read ({first_line(error) if str(error) else 'it is empty'}): "
            "it is truncated or damaged; use another"
        ) from None
    if not isinstance(checkpoint, dict) or "rnnexp" not in checkpoint or "state_dict" not in checkpoint:
        raise UserError(f"checkpoint {path} is not from rnnexp: use a best.ckpt or last.ckpt of a run directory")
    return checkpoint


def tested_weights(run: RunDirectory, test_weights: str) -> Path:
    """Return the checkpoint that a run tests: `last.ckpt` if it has not saved the weights that its config names.

    A run without a validation has no best weights, and one without kept epochs has no average.

    Args:
        run: the directory of the run.
        test_weights: `test_weights` of the run's config; none means last.
    """
    if test_weights == "average" and (run.average_checkpoint.is_file() or run.kept_checkpoints):
        return choose_weights(run, "average", test_weights)
    if test_weights == "best" and run.best_checkpoint.is_file():
        return run.best_checkpoint
    return run.last_checkpoint


def choose_weights(run: RunDirectory, weights: str | None, test_weights: str) -> Path:
    """Return the checkpoint of a finished run.

    Args:
        run: the directory of the run.
        weights: best, last or average; None for the weights that the run tested.
        test_weights: `test_weights` of the run's config.

    Raises:
        ValueError: for an unknown name of weights.
        UserError: for the average of a run that has kept no epochs.
    """
    if weights is None:
        return tested_weights(run, test_weights)
    files = {"best": run.best_checkpoint, "last": run.last_checkpoint, "average": run.average_checkpoint}
    path = lookup("weights", weights, files)
    if weights == "average" and not path.is_file():
        # A run that was stopped in training or tested other weights has no average yet.
        if not run.kept_checkpoints:
            raise UserError(f"{run.checkpoints} has no epochs to average: choose weights=best or weights=last")
        return average_kept(run)
    return path


def average_kept(run: RunDirectory) -> Path:
    """Write `average.ckpt` with the mean of the weights of the kept epochs, and return its path.

    Raises:
        UserError: if a checkpoint is damaged.
        ValueError: if no epochs were kept.
    """
    run.require_no_links(run.checkpoints)
    checkpoints = [read_checkpoint(path) for path in run.kept_checkpoints]
    weights = average_checkpoints([checkpoint["state_dict"] for checkpoint in checkpoints])
    with written_atomically(run.average_checkpoint) as file:
        torch.save(checkpoints[-1] | {"state_dict": weights}, file)
    return run.average_checkpoint


def average_checkpoints(state_dicts: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the mean of each weight, summed in double precision.

    It is meant for the last or best checkpoints of one run. Networks of different runs make an ensemble instead.

    Args:
        state_dicts: the weights of each checkpoint; values that are not floating point are those of the last.

    Raises:
        ValueError: for no checkpoints, and for ones of different networks.
    """
    if not state_dicts:
        raise ValueError("there are no checkpoints to average")
    *_, last = state_dicts
    for number, state_dict in enumerate(state_dicts, start=1):
        for name in sorted(state_dict.keys() ^ last.keys()):
            raise ValueError(f"checkpoints of different networks: only one of numbers {number} and last has {name}")
        for name, tensor in last.items():
            if state_dict[name].shape != tensor.shape:
                raise ValueError(
                    f"checkpoints of different networks: {name} is {list(state_dict[name].shape)} in number {number} "
                    f"and {list(tensor.shape)} in the last"
                )
    averaged = {}
    for name, tensor in last.items():
        if tensor.is_floating_point():
            total = torch.zeros_like(tensor, dtype=torch.float64)
            for state_dict in state_dicts:
                total += state_dict[name].to(total)
            averaged[name] = (total / len(state_dicts)).to(tensor.dtype)
        else:
            averaged[name] = tensor.clone()
    return averaged


def load_weights(task: Task, checkpoint: Mapping[str, Any], message: str) -> None:
    """Load the weights of a checkpoint. Raise UserError that begins with `message` if they do not fit."""
    try:
        task.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise UserError(f"{message}: {str(error).splitlines()[-1].strip()}") from None


def require_same_experiment(checkpoint: Mapping[str, Any], task: Task, path: Path) -> None:
    """Raise UserError that names every difference between the experiment of the checkpoint and this one."""
    saved, current = checkpoint["rnnexp"], task.model_info | task.training_info
    different = [f"{key}={saved.get(key)}, here {value}" for key, value in current.items() if saved.get(key) != value]
    if different:
        raise UserError(f"checkpoint {path} is of another experiment: {'; '.join(different)}")
    shapes, others = (_shapes(state) for state in (checkpoint["state_dict"], task.state_dict()))
    names = sorted(name for name in shapes | others if shapes.get(name) != others.get(name))
    if names:
        raise UserError(
            f"checkpoint {path} is of another model: {names[0]} is {shapes.get(names[0], 'missing')}, here "
            f"{others.get(names[0], 'missing')}" + (f", and {len(names) - 1} more differ" if names[1:] else "")
        )


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in state.items()}
