"""A network with outputs at each step: a recurrent stack and a linear head."""

from collections.abc import Callable

from torch import Tensor, nn

from rnnexp.core.validation import require_fraction, require_positive
from rnnexp.recurrent import RecurrentStack


class StepwiseNetwork(nn.Module):
    """A recurrent stack, dropout, and a linear head that is applied at each step.

    Args:
        make_stack: called as `make_stack(input_size=...)`.
        input_size: features of one step.
        num_outputs: the number of outputs of one step.
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
        """Return the outputs of each step.

        Args:
            inputs: [batch, time, features].
            lengths: steps of each sequence, int64 [batch] on the CPU; None if all have as many as `inputs`.

        Returns:
            [batch, time, num_outputs]; outputs past a sequence's end have no meaning.
        """
        outputs, _state = self.stack(inputs, lengths)
        heads: Tensor = self.head(self.dropout(outputs))
        return heads
