"""Checkpoints as files: read safely, and refused in one line if they are not what they should be."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rnnexp.arguments import near_miss
from rnnexp.errors import UserError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of ours, on the CPU, read with `weights_only=True`.

    Raises:
        UserError: if it is missing, cut short, corrupt, not loadable safely, or from another program.
    """
    if not path.is_file():
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"checkpoint {path} is missing{near_miss(path.name, siblings)}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"checkpoint {path} is damaged, or holds more than tensors and plain values and is not loaded: "
            "use one that rnnexp saved"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise UserError(
            f"checkpoint {path} cannot be read ({str(error).splitlines()[0] if str(error) else 'it is empty'}): "
            "it is cut short or damaged; use another"
        ) from None
    if not isinstance(checkpoint, dict) or "rnnexp" not in checkpoint or "state_dict" not in checkpoint:
        raise UserError(f"checkpoint {path} is not from rnnexp: use a best.ckpt or last.ckpt of a run directory")
    return checkpoint


def require_same_experiment(checkpoint: Mapping[str, Any], described: Mapping[str, Any], path: Path) -> None:
    """Raises UserError naming every way in which the checkpoint's model differs from the one at hand."""
    saved = checkpoint["rnnexp"]
    different = [f"{key}={saved.get(key)}, here {value}" for key, value in described.items() if saved.get(key) != value]
    if different:
        raise UserError(f"checkpoint {path} is of another model: {'; '.join(different)}")
