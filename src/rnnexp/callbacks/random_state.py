"""The random state of a checkpoint, without which dropout would differ after a resume."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class RandomState(Callback):
    """Saves torch's random state of the CPU and of every CUDA device as tensors, and restores it as training starts."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        # Not earlier: making the optimiser and the loaders may draw random numbers too.
        loaded, self._loaded = self._loaded, None
        if loaded is None:
            return
        torch.set_rng_state(loaded["cpu"].cpu())
        if len(loaded["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([state.cpu() for state in loaded["cuda"]])
