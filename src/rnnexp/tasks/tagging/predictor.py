"""A trained network that assigns a class to each step of a sequence."""

from rnnexp.models import StepwiseNetwork
from rnnexp.tasks.predictor import ClassPredictor, RecordedNetwork


class Tagger(ClassPredictor):
    """A trained tagger of sequences.

    Example:
        >>> model = rnnexp.load("outputs/train/...")
        >>> model.predict([[[0.1], [0.2], [0.7]]])
        [['rest', 'rest', 'walk']]

    Args: see `SequencePredictor`.
    """

    @staticmethod
    def network_of(record: RecordedNetwork) -> StepwiseNetwork:
        facts = record.facts
        return StepwiseNetwork(record.make_stack, facts["input_size"], facts["num_classes"], record.task["dropout"])
