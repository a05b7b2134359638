"""A trained network that assigns a class to each sequence."""

from rnnexp.models import SequenceClassifier
from rnnexp.tasks.predictor import ClassPredictor, RecordedNetwork


class Classifier(ClassPredictor):
    """A trained classifier of sequences.

    Example:
        >>> model = rnnexp.load("outputs/train/...")
        >>> model.predict(images)
        [7, 2, 1]

    Args: see `SequencePredictor`.
    """

    @staticmethod
    def network_of(record: RecordedNetwork) -> SequenceClassifier:
        pooling, dropout = record.task["pooling"], record.task["dropout"]
        facts = record.facts
        return SequenceClassifier(record.make_stack, facts["input_size"], facts["num_classes"], pooling, dropout)
