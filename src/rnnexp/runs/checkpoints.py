"""Functions that read, choose, average and check checkpoint files, with errors of one line."""

import io
import logging
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rnnexp.compat.torch_distributed import is_lost_peer
from rnnexp.core.errors import UserError, first_line, is_out_of_memory
from rnnexp.core.files.atomic import read_json, written_atomically
from rnnexp.core.files.sealed_archive import has_seal, is_intact
from rnnexp.core.printable import mask_secrets
from rnnexp.core.user_code import describe_user_code
from rnnexp.core.validation import did_you_mean_path, lookup
from rnnexp.recurrent.backends import BACKENDS
from rnnexp.text.tokenizer_pair import TokenizerPair
from rnnexp.tracking.identity import identity_of
from rnnexp.tracking.keys import flattened, value_at
from rnnexp.tracking.run_directory import RunDirectory

if TYPE_CHECKING:
    # Not imported: Lightning, which a program that only reads checkpoints does not need.
    from rnnexp.tasks.base import Task

log = logging.getLogger(__name__)

PROLONGED = (
    *("callbacks", "inputs", "test_weights", "num_threads", "model.backend"),
    *("trainer.max_epochs", "trainer.max_steps"),
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
    *("trainer.detect_anomaly", "trainer.num_sanity_val_steps", "trainer.limit_test_batches"),
)
"""Config keys in which a run may differ from the one whose checkpoint it continues: the length, and the hardware."""
PROCESSES = ("trainer.devices", "trainer.num_nodes")
PER_PROCESS = ("data.batch_size", "trainer.accumulate_grad_batches")
"""Config keys that may differ as well if the number of processes does: together they make a batch."""
NETWORK = "model."
"""The start of the names of a network's weights in the state of its task."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint of rnnexp, on the CPU, read with `weights_only=True`.

    Its checksums are compared, and it takes no more memory than the file has bytes.

    Raises:
        UserError: if it is missing, truncated, corrupt, not safe to load, from another program, or has a part of
            another kind.
    """
    require_checkpoint_file(path)
    try:
        # Read once: what is loaded is what was checked.
        content = path.read_bytes()
        _require_sound_archive(content)
        with warnings.catch_warnings():
            # torch warns of an unusual pickle before the error below.
            warnings.simplefilter("ignore")
            checkpoint = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, UnsoundError):
        raise UserError(
            f"checkpoint {path} is damaged, or holds more than tensors and plain values and is not loaded: "
            "use one that rnnexp saved"
        ) from None
    # A damaged pickle may call what it holds with any arguments.
    except Exception as error:
        raise UserError(
            f"checkpoint {path} cannot be read ({first_line(error) if path.stat().st_size else 'it is empty'}): "
            "it is truncated or damaged; use another"
        ) from None
    if not isinstance(checkpoint, dict) or "rnnexp" not in checkpoint or "state_dict" not in checkpoint:
        raise UserError(f"checkpoint {path} is not from rnnexp: use a best.ckpt or last.ckpt of a run directory")
    for part, fits in PARTS.items():
        if part in checkpoint and not fits(checkpoint[part]):
            raise UserError(
                f"checkpoint {path} is not from rnnexp: its {part} is {_shown(checkpoint[part])}, of another kind: "
                "use a best.ckpt or last.ckpt of a run directory"
            )
    return checkpoint


def require_checkpoint_file(path: Path) -> None:
    """Raise UserError unless a file is there."""
    if path.is_dir():
        raise UserError(f"checkpoint {path} is a directory: name the file in it, best.ckpt or last.ckpt")
    if not path.is_file():
        raise UserError(f"checkpoint {path} is missing{did_you_mean_path(path)}")


class UnsoundError(Exception):
    """An archive that would take more memory than it has bytes, or that has a damaged member."""


def _require_sound_archive(content: bytes) -> None:
    """Raise UnsoundError for an archive that torch would not have saved. torch compares no checksums."""
    if has_seal(content) and not is_intact(content):
        raise UnsoundError
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        is_compressed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if is_compressed or sum(member.file_size for member in members) > len(content) or archive.testzip():
            raise UnsoundError
        # The one function that torch calls for a pickle that takes memory without data.
        if any(b"\nbytearray\n" in archive.read(member) for member in members if member.filename.endswith(".pkl")):
            raise UnsoundError


def _shown(value: object) -> str:
    return f"a {type(value).__name__} of {len(value)}" if isinstance(value, Sized) else repr(value)[:60]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float) or (torch.is_tensor(value) and value.numel() == 1)


def _is_state_of_callback(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_number(value[key]) for key in NUMBERS_OF_CALLBACKS if key in value)


def _is_state_of_optimizer(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("state"), Mapping)
        and all(isinstance(state, Mapping) for state in value["state"].values())
        and isinstance(value.get("param_groups"), list)
        and all(isinstance(group, Mapping) and isinstance(group.get("params"), list) for group in value["param_groups"])
    )


NUMBERS_OF_CALLBACKS = (
    *("best_loss", "best_model_score", "best_score", "current_score", "kth_value", "wait_count"),
    *("earlier_seconds", "first_step_seconds", "samples", "seconds", "tokens"),
)
"""Values in the states of callbacks that are compared or added during training."""
PARTS_OF_TRAINING = ("loops", "callbacks", "lr_schedulers", "metrics", "backend")
"""Parts that training continues from, besides the state of the optimizer."""
PARTS: Mapping[str, Callable[[Any], bool]] = {
    "state_dict": lambda part: _is_mapping(part) and len(part) > 0 and all(map(torch.is_tensor, part.values())),
    "rnnexp": lambda part: _is_mapping(part) and len(part) > 0,
    "epoch": _is_count,
    "global_step": _is_count,
    "loops": _is_mapping,
    "callbacks": lambda part: _is_mapping(part) and all(map(_is_state_of_callback, part.values())),
    "optimizer_states": lambda part: isinstance(part, list) and all(map(_is_state_of_optimizer, part)),
    "lr_schedulers": lambda part: isinstance(part, list) and all(map(_is_mapping, part)),
    "tokenizers": _is_mapping,
    "metrics": lambda part: _is_mapping(part) and all(torch.is_tensor(value) for value in part.values()),
    "backend": BACKENDS.__contains__,
    "unlogged": lambda part: _is_mapping(part) and all(map(_is_number, part.values())) and ("step" in part or not part),
    "pytorch-lightning_version": lambda part: isinstance(part, str),
}
"""The parts of a checkpoint, each with the function that tells its kind. A part may be absent."""


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
    if weights == "average" and (not path.is_file() or (run.kept_checkpoints and run.describe_unfinished())):
        # A run that tested other weights has no average yet, and one that was stopped in training may since have kept
        # other epochs than those of its average.
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
    run.require_own_files(run.checkpoints)
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


def load_weights(task: "Task", checkpoint: Mapping[str, Any], path: Path, what: str) -> None:
    """Load the weights of a checkpoint.

    Args:
        task: the task that gets them.
        checkpoint: the content of the file.
        path: the file, for messages.
        what: the data or the config that the task was made for, for messages.

    Raises:
        UserError: if they do not fit, or are NaN or infinite, or if the checkpoint does not describe its model.
    """
    if missing := sorted(task.model_info.keys() - checkpoint["rnnexp"].keys()):
        raise UserError(f"{path} does not describe its model ({missing[0]} is missing): use one that rnnexp saved")
    _load_state(task, checkpoint["state_dict"], path, what)
    _require_finite(checkpoint, path)


def load_network(network: torch.nn.Module, checkpoint: Mapping[str, Any], path: Path, what: str) -> None:
    """Load the weights of a network alone, without the metrics of its task, see `load_weights`."""
    weights = {
        name.removeprefix(NETWORK): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(NETWORK)
    }
    _load_state(network, weights, path, what)
    _require_finite(checkpoint, path)


def _load_state(module: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path, what: str) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit {what}: {str(error).splitlines()[-1].strip()}") from None


def require_training_state(checkpoint: Mapping[str, Any], task: "Task", path: Path) -> None:
    """Raise UserError for a checkpoint from which training of a task cannot continue."""
    if not checkpoint.get("optimizer_states"):
        raise UserError(f"ckpt_path: {path} holds only weights: continue from last.ckpt or best.ckpt")
    for part in PARTS_OF_TRAINING:
        if part not in checkpoint:
            raise UserError(f"checkpoint {path} lacks {part}: use one that rnnexp saved")
    _require_finite(checkpoint, path)
    with checkpoint_errors(path):
        _require_fitting_optimizer(checkpoint, list(task.parameters()), path)


def _require_fitting_optimizer(
    checkpoint: Mapping[str, Any], parameters: Sequence[torch.nn.Parameter], path: Path
) -> None:
    """Raise UserError for moments of another shape than their weight: a fused optimizer would write beyond them."""
    for optimizer in checkpoint["optimizer_states"]:
        for index, state in optimizer["state"].items():
            shape = parameters[index].shape
            for name, value in state.items():
                is_scalar = not isinstance(value, torch.Tensor) or value.dim() == 0
                if not is_scalar and (value.shape != shape or not value.is_floating_point()):
                    raise UserError(
                        f"checkpoint {path}: {name} of weight {index} in optimizer_states is {list(value.shape)}, but "
                        f"the weight {list(shape)}: use one that rnnexp saved"
                    )


def _require_finite(checkpoint: Mapping[str, Any], path: Path) -> None:
    if not all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values()):
        raise UserError(f"{path} holds weights that are NaN or infinite: that run diverged; use another")


def require_own_checkpoint(run: RunDirectory, checkpoint: Mapping[str, Any], path: Path) -> None:
    """Raise UserError for a checkpoint of another experiment than the record of a run describes.

    Args:
        run: the run directory; a run that has not ended has no record.
        checkpoint: the content of the file.
        path: the file, for messages.
    """
    recorded = read_json(run.result_file).get("model") if run.result_file.exists() else None
    saved = checkpoint["rnnexp"]
    for key, value in recorded.items() if isinstance(recorded, Mapping) else ():
        if key in saved and saved[key] != value:
            raise UserError(
                f"checkpoint {path} is not of this run: its {key} is {saved[key]!r}, but {value!r} in "
                f"{run.result_file.name}"
            )


def read_tokenizers(checkpoint: Mapping[str, Any], path: Path) -> TokenizerPair:
    """Return the tokenizers in a checkpoint.

    Raises:
        UserError: if they are damaged, or have other digests than the checkpoint records.
    """
    try:
        tokenizers = TokenizerPair.from_plain(checkpoint["tokenizers"])
    # The engine of byte-pair encoding raises a plain Exception.
    except Exception as error:
        raise UserError(
            f"checkpoint {path} holds no valid vocabulary ({type(error).__name__}: {first_line(error)}): use another"
        ) from None
    for side in ("source", "target"):
        here, recorded = getattr(tokenizers, side).digest, checkpoint["rnnexp"].get(f"{side}_tokenizer")
        if recorded is None or not here.startswith(str(recorded)):
            raise UserError(
                f"checkpoint {path}: its {side} vocabulary is not the one that its weights were trained with (digest "
                f"{here[:12]}, but {recorded} in its record): use another"
            )
    return tokenizers


@contextmanager
def checkpoint_errors(path: Path, is_over: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Replace errors that a part of a checkpoint causes by a UserError that names the file.

    Args:
        path: the checkpoint.
        is_over: returns whether the checkpoint is restored, so that later errors have another cause.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if is_over() or is_out_of_memory(error) or is_lost_peer(error) or describe_user_code(error):
            raise
        log.debug("checkpoint %s", path, exc_info=True)
        raise UserError(
            f"checkpoint {path} lacks a part, or has one of another kind ({type(error).__name__}: "
            f"{first_line(error)}): use one that rnnexp saved"
        ) from None


def require_same_config(config: Mapping[str, Any], earlier: Mapping[str, Any], path: Path) -> None:
    """Raise UserError that names the differences between the config of the run that saved a checkpoint and this one.

    The run that continues has the optimizer's state of the checkpoint with its learning rate, and its best epoch, so a
    result under another config would not be one of that config. See `PROLONGED` for what may differ.

    Args:
        config: the config of the run that continues.
        earlier: the config of the run that saved the checkpoint.
        path: the checkpoint.
    """
    has_other_processes = any(value_at(earlier, key) != value_at(config, key) for key in PROCESSES)
    without = (*PROLONGED, *(PER_PROCESS if has_other_processes else ()))
    # In the file of the earlier run secrets are masked.
    before, now = (flattened(identity_of(mask_secrets(each), *without)) for each in (earlier, config))
    different = [f"{key}={before[key]}, here {now[key]}" for key in before if key in now and before[key] != now[key]]
    # Another version of rnnexp may have keys that this one has not, but a group is not empty there and filled here.
    different += [f"{key}=, here with keys" for key in before if _is_filled(key, before, now)]
    different += [f"{key} with keys, here without" for key in now if _is_filled(key, now, before)]
    if different:
        more = f"; and {len(different) - 3} more" if len(different) > 3 else ""
        raise UserError(
            f"checkpoint {path} is of another experiment: {'; '.join(different[:3])}{more}: repeat the overrides of "
            "its run, or leave out ckpt_path="
        )


def _is_filled(key: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether a key has no value in one flattened config, and keys below it in the other."""
    return one[key] in ({}, None) and any(each.startswith(f"{key}.") for each in other)


def require_same_experiment(checkpoint: Mapping[str, Any], task: "Task", path: Path) -> None:
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
