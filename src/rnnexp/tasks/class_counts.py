"""Scores of a classifier, all computed from the counts of one metric."""

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix


class ClassificationCounts(MulticlassConfusionMatrix):
    """A confusion matrix [true class, predicted class], and the accuracies that follow from it.

    Each accuracy of torchmetrics keeps counts of its own; one matrix is enough for all and costs one update per batch.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, validate_args=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count predictions.

        Args:
            preds: the predicted classes, int64 [...].
            target: the true classes, int64 [...]; those below 0 are not counted.
        """
        # torch.bincount, which torchmetrics calls, makes the CPU wait for the device.
        target = target.flatten()
        cells = target.clamp(min=0) * self.num_classes + preds.flatten()
        self.confmat.view(-1).scatter_add_(0, cells, (target >= 0).to(cells.dtype))

    def accuracy(self) -> Tensor:
        """Return the share of samples whose class was predicted, scalar; NaN before the first sample."""
        matrix = self.compute()
        return matrix.diagonal().sum() / matrix.sum()

    def accuracy_per_class(self) -> Tensor:
        """Return the recall of each class, [classes]; NaN for a class without samples."""
        matrix = self.compute()
        return matrix.diagonal() / matrix.sum(dim=1)

    def f1_per_class(self) -> Tensor:
        """Return F1 of each class, [classes]; NaN for a class that neither occurs nor is predicted."""
        matrix = self.compute()
        return 2 * matrix.diagonal() / (matrix.sum(dim=1) + matrix.sum(dim=0))

    def macro_f1(self) -> Tensor:
        """Return the mean of F1 over the classes that occur or are predicted, scalar; NaN before the first sample."""
        return self.f1_per_class().nanmean()

    def num_samples(self) -> int:
        """Return the number of samples counted, over all ranks."""
        return int(torch.as_tensor(self.compute()).sum())
