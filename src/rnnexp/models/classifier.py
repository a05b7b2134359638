"""A classifier of sequences: a recurrent stack, its outputs pooled over time, and a linear head."""

from collections.abc import Callable

import torch
from torch import Tensor

from rnnexp.core.validation import lookup
from rnnexp.models.stepwise import SequenceNetwork, Stream
from rnnexp.recurrent import RecurrentStack, State
from rnnexp.recurrent.layout import make_mask

Pooling = Callable[[RecurrentStack, Tensor, State, Tensor | None], Tensor]
"""(stack, outputs [batch, time, features], state, lengths) -> [batch, features]"""


def last_state(stack: RecurrentStack, outputs: Tensor, state: State, lengths: Tensor | None) -> Tensor:
    """Return the top layer's final h of both directions, each after the whole sequence.

    If the stack normalizes its outputs or adds residuals, return the outputs at the same steps, since h has neither.
    """
    if not stack.alters_outputs:
        return state[0][-1]
    forwards = last_output(stack, outputs, state, lengths)[:, : stack.hidden_size]
    backwards = outputs[:, 0, stack.hidden_size :]
    return torch.cat([forwards, backwards], dim=1)


def last_output(_: RecurrentStack, outputs: Tensor, __: State, lengths: Tensor | None) -> Tensor:
    """Return the outputs at each sequence's last step, which is the first step of a backward scan."""
    if lengths is None:
        return outputs[:, -1]
    rows = torch.arange(outputs.shape[0], device=outputs.device)
    return outputs[rows, lengths.to(outputs.device) - 1]


def mean(_: RecurrentStack, outputs: Tensor, __: State, lengths: Tensor | None) -> Tensor:
    """Return the mean over each sequence's steps; outputs past its end are zero."""
    if lengths is None:
        return outputs.mean(dim=1)
    return outputs.sum(dim=1) / lengths.to(outputs).unsqueeze(1)


def maximum(_: RecurrentStack, outputs: Tensor, __: State, lengths: Tensor | None) -> Tensor:
    """Return the maximum of each feature over each sequence's steps."""
    if lengths is not None:
        outputs = outputs.masked_fill(~make_mask(lengths, outputs), -torch.inf)
    return outputs.amax(dim=1)


POOLINGS: dict[str, Pooling] = {
    "last_state": last_state,
    "last_output": last_output,
    "mean": mean,
    "max": maximum,
}


class SequenceClassifier(SequenceNetwork):
    """A network whose head is applied to its outputs pooled over time.

    Args:
        make_stack, input_size, num_outputs, dropout: see `SequenceNetwork`.
        pooling: `last_state` (final states of both directions), `last_output`, `mean` or `max` over time.

    Raises:
        ValueError: for an unknown pooling, and see `SequenceNetwork`.
    """

    def __init__(
        self,
        make_stack: Callable[..., RecurrentStack],
        input_size: int,
        num_outputs: int,
        pooling: str = "last_state",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(make_stack, input_size, num_outputs, dropout)
        self.pool = lookup("pooling", pooling, POOLINGS)

    def read_out(self, outputs: Tensor, state: State, lengths: Tensor | None = None) -> Tensor:
        """Return the outputs of each sequence [batch, num_outputs]."""
        heads: Tensor = self.head(self.dropout(self.pool(self.stack, outputs, state, lengths)))
        return heads

    def step(self, x: Tensor, stream: Stream) -> tuple[Tensor, Stream]:
        outputs, state = self._advance(x, stream)
        num_steps, summary = stream.num_steps + 1, None
        if self.pool in (mean, maximum):
            summary = output = outputs[:, 0]
            if stream.summary is not None:
                summary = stream.summary + output if self.pool is mean else torch.maximum(stream.summary, output)
            pooled = summary / num_steps if self.pool is mean else summary
            outputs = pooled.unsqueeze(1)
        return self.read_out(outputs, state), Stream(state, summary, num_steps)
