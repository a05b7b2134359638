"""Networks around a recurrent stack."""

from rnnexp.models.classifier import SequenceClassifier

__all__ = ["SequenceClassifier"]
