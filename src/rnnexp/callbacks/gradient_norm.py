"""How large the gradient is before clipping."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from rnnexp.callbacks.logged_steps import is_logged_step


class GradientNorm(Callback):
    """Logs `train/grad_norm`, the Euclidean norm of the whole gradient before clipping, at logged steps."""

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:  # noqa: ARG002
        if is_logged_step(trainer):
            gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
            pl_module.log("train/grad_norm", torch.nn.utils.get_total_norm(gradients))
