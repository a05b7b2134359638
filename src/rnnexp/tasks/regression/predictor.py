"""A trained network that predicts numbers."""

import torch
from torch import Tensor

from rnnexp.models import SequenceClassifier, SequenceNetwork, StepwiseNetwork
from rnnexp.tasks.predictor import RecordedNetwork, SequencePredictor


class Regressor(SequencePredictor):
    """A trained network that predicts the numbers of a sequence, or of each of its steps.

    Example:
        >>> model = rnnexp.load("outputs/train/...")
        >>> model.predict(sequences)
        tensor([[0.8213]], dtype=torch.float64)

    Args: see `SequencePredictor`.
    """

    @staticmethod
    def network_of(record: RecordedNetwork) -> SequenceNetwork:
        facts, dropout = record.facts, record.task["dropout"]
        sizes = facts["input_size"], facts["num_targets"]
        if facts["per_step"]:
            return StepwiseNetwork(record.make_stack, *sizes, dropout)
        return SequenceClassifier(record.make_stack, *sizes, record.task["pooling"], dropout)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return predictions [..., targets] in the units of the data, float64 on the CPU."""
        values, units = outputs.cpu().double(), self.encoding.units
        if units is None:
            return values
        mean, std = (torch.tensor(each, dtype=torch.float64) for each in (units.mean, units.std))
        return values * std + mean
