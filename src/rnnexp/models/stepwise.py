"""The base class of networks over sequences, and a network with outputs at each step."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from rnnexp.core.validation import require_fraction, require_positive
from rnnexp.recurrent import RecurrentStack, State


class Stream(NamedTuple):
    """The values that a network carries from step to step. The default is that before the first step."""

    state: State | None = None
    """the state of the stack, see `RecurrentStack`"""
    summary: Tensor | None = None
    """[batch, features], the sum of the outputs so far, or their maximum, for a network that pools them"""
    num_steps: int = 0


class SequenceNetwork(nn.Module, ABC):
    """A recurrent stack, dropout, and a linear head.

    Args:
        make_stack: called as `make_stack(input_size=...)`.
        input_size: features of one step.
        num_outputs: the number of outputs of the head.
        dropout: probability of zeroing a feature before the head.

    Raises:
        ValueError: for a size below 1, dropout outside [0, 1), and the errors of the stack.
    """

    def __init__(
        self, make_stack: Callable[..., RecurrentStack], input_size: int, num_outputs: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        require_positive(input_size=input_size, num_outputs=num_outputs)
        require_fraction(dropout=dropout)
        self.stack = make_stack(input_size=input_size)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.stack.output_size, num_outputs)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the outputs for a batch of sequences, see `read_out`.

        Args:
            inputs: [batch, time, features].
            lengths: steps of each sequence, int64 [batch] on the CPU; None if all have as many as `inputs`.
        """
        outputs, state = self.stack(inputs, lengths)
        return self.read_out(outputs, state, lengths)

    @abstractmethod
    def read_out(self, outputs: Tensor, state: State, lengths: Tensor | None = None) -> Tensor:
        """Return the outputs of the head for what the stack returns."""

    @abstractmethod
    def step(self, x: Tensor, stream: Stream) -> tuple[Tensor, Stream]:
        """Take one step.

        Args:
            x: the features of the step [batch, features].
            stream: what the step before has returned; `Stream()` before the first.

        Returns:
            The outputs for the sequences up to this step [batch, num_outputs], and what the next step needs.

        Raises:
            ValueError: for a stack of two directions.
        """

    def _advance(self, x: Tensor, stream: Stream) -> tuple[Tensor, State]:
        """Return the outputs of the stack for one step, [batch, 1, hidden], and its state."""
        if self.stack.bidirectional:
            raise ValueError(
                "a network of two directions needs the whole sequence: train with model.bidirectional=false"
            )
        outputs, state = self.stack(x.unsqueeze(1), None, stream.state)
        return outputs, state


class StepwiseNetwork(SequenceNetwork):
    """A network whose head is applied at each step. Arguments: see `SequenceNetwork`."""

    def read_out(self, outputs: Tensor, state: State, lengths: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return the outputs of each step [batch, time, num_outputs]; those past a sequence's end have no meaning."""
        heads: Tensor = self.head(self.dropout(outputs))
        return heads

    def step(self, x: Tensor, stream: Stream) -> tuple[Tensor, Stream]:
        outputs, state = self._advance(x, stream)
        return self.read_out(outputs, state)[:, 0], Stream(state, None, stream.num_steps + 1)
