"""Networks around recurrent stacks."""

from rnnexp.models.classifier import SequenceClassifier
from rnnexp.models.seq2seq import Seq2Seq
from rnnexp.models.stepwise import SequenceNetwork, StepwiseNetwork

__all__ = ["Seq2Seq", "SequenceClassifier", "SequenceNetwork", "StepwiseNetwork"]
