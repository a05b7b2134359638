"""What is measured of a classifier. One metric gathers counts; every number that is reported is read off them."""

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix


class ClassificationCounts(MulticlassConfusionMatrix):
    """The confusion matrix [true class, predicted class], and the accuracies that follow from it.

    torchmetrics' accuracies each keep counts of their own; one matrix serves all and costs one update per batch.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, validate_args=False)

    def accuracy(self) -> Tensor:
        """Share of samples whose class was predicted, scalar; NaN before the first sample."""
        matrix = self.compute()
        return matrix.diagonal().sum() / matrix.sum()

    def accuracy_per_class(self) -> Tensor:
        """Share of each true class that was predicted (recall) [classes]; NaN for a class without samples."""
        matrix = self.compute()
        return matrix.diagonal() / matrix.sum(dim=1)

    def num_samples(self) -> int:
        """Samples counted, each rank's once."""
        return int(torch.as_tensor(self.compute()).sum())
