"""What every task shares: how it is optimised."""

from collections.abc import Callable, Iterator
from typing import Any

from lightning.pytorch import LightningModule
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

MakeOptimizer = Callable[[Iterator[Parameter]], Optimizer]
MakeScheduler = Callable[..., LRScheduler]


class Task(LightningModule):
    """A loss and metrics over a model, trained by an optimiser and a schedule that are handed in as factories.

    Args:
        make_optimizer: parameters -> optimiser.
        make_scheduler: (optimizer, total_steps=) -> schedule, stepped after every optimiser step.
    """

    def __init__(self, make_optimizer: MakeOptimizer, make_scheduler: MakeScheduler) -> None:
        super().__init__()
        self._make_optimizer = make_optimizer
        self._make_scheduler = make_scheduler

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (Lightning's union of a dozen types)
        optimizer = self._make_optimizer(self.parameters())
        scheduler = self._make_scheduler(optimizer, total_steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
