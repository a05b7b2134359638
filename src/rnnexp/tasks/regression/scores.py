"""Scores of a regression, each per predicted number."""

import torch
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, R2Score


class Determination(R2Score):
    """R² per target: 1 - squared error / squared deviation of the targets from their mean."""

    def __init__(self) -> None:
        super().__init__(multioutput="raw_values")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch, in float64: the sums of squares cancel if the targets are far from those of training."""
        exact = torch.float32 if preds.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
        super().update(preds.to(exact), target.to(exact))

    def compute(self) -> Tensor:
        """Return [targets], a scalar for one; NaN for fewer than two samples, for which the base class raises."""
        return super().compute() if int(self.total) > 1 else torch.full_like(self.residual, torch.nan)


class RegressionScores(MetricCollection):
    """The mean absolute error (`mae`), the root of the mean squared error (`rmse`) and R² (`r2`) of each target.

    `update` takes predictions and targets [samples, targets].

    Args:
        num_targets: the number of targets.
    """

    def __init__(self, num_targets: int) -> None:
        scores = {
            "mae": MeanAbsoluteError(num_outputs=num_targets),
            "rmse": MeanSquaredError(squared=False, num_outputs=num_targets),
            "r2": Determination(),
        }
        super().__init__(scores, compute_groups=False)  # type: ignore[arg-type]

    def in_units(self, std: Tensor) -> dict[str, Tensor]:
        """Return each score per target, float64 [targets] on the CPU.

        Args:
            std: the value of one in the units of each target, float64 [targets].
        """
        per_target = {name: value.cpu().double().reshape(-1) for name, value in self.compute().items()}
        return {name: value if name == "r2" else value * std for name, value in per_target.items()}
