"""The steps of SRN and GRU on buffers, with their derivatives, for the scan of `rnnexp.recurrent.batched`.

Between its recurrent products a step is elementwise, so its Jacobian consists of diagonals. They depend on the forward
pass alone and are computed for many steps at once. Per step of the backward pass remain few products. Tensors:

    activations   W x + b, which the step turns into its activations   [rows, ...]
    h, after      h before and after the step                          [rows, hidden]
    gradient      of the loss by h after the step                      [rows, hidden]
    delta         the gradient by U h + d                              [rows, gates * hidden]
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Parts = Sequence[Tensor]
"""Parts of a buffer that a step reads or writes, [rows, ...] each."""

_sigmoid_backward = torch.ops.aten.sigmoid_backward  # (gradient, sigmoid(a)) -> gradient * sigmoid'(a)


# The operations of aten cannot be pickled in torch 2.11, and an SRN holds one of these functions.
def _tanh_backward(gradient: Tensor, activation: Tensor) -> Tensor:
    result: Tensor = torch.ops.aten.tanh_backward(gradient, activation)
    return result


def _relu_backward(gradient: Tensor, activation: Tensor) -> Tensor:
    result: Tensor = torch.ops.aten.threshold_backward(gradient, activation, 0)
    return result


class BatchedStep(ABC):
    """A step of a cell with one state, written by hand."""

    def blocks(self, weight: Tensor) -> Parts:
        """Return U by recurrent product, [gates of the product * hidden, hidden] each."""
        return (weight,)

    def project(self, x: Tensor, weight: Tensor, bias: Tensor, recurrent_bias: Tensor) -> Tensor:
        """Return the activations before the recurrent products, for x [rows, features]."""
        return torch.addmm(bias + recurrent_bias, x, weight.t())

    @abstractmethod
    def split(self, activations: Tensor, hidden_size: int) -> Parts:
        """Return the parts of the activations that `advance` needs."""

    @abstractmethod
    def advance(self, parts: Parts, h: Tensor, blocks: Parts, after: Tensor) -> None:
        """Take one step.

        Args:
            parts: those of `split` at this step, changed in place.
            h: h before the step.
            blocks: those of `blocks`, transposed.
            after: receives h after the step.
        """

    def feed(self, parts: Parts, x: Tensor, weight: Tensor) -> None:
        """Add W x to the activations of one step before `advance`, for an x that the step before has computed.

        Args:
            parts: those of `split` at this step, changed in place.
            x: [rows, features].
            weight: W for these features, transposed.
        """
        parts[0].addmm_(x, weight)

    @abstractmethod
    def linearize(self, activations: Tensor, h: Tensor, after: Tensor) -> Parts:
        """Return the diagonals that `pull_back` needs, for many steps."""

    @abstractmethod
    def pull_back(self, diagonals: Parts, gradient: Tensor, blocks: Parts, delta: Tensor, before: Tensor) -> None:
        """Go one step back.

        Args:
            diagonals: those of `linearize` at this step.
            gradient: the gradient by h after the step.
            blocks: those of `blocks`.
            delta: receives the gradient by U h + d.
            before: the gradient by h before the step is added to it.
        """

    def factors(self, activations: Tensor, h: Tensor) -> Parts:  # noqa: ARG002
        """Return the terms that the blocks of U multiply, for many steps."""
        return (h,)

    def to_input(self, diagonals: Parts, gradient: Tensor, delta: Tensor) -> Tensor:  # noqa: ARG002
        """Return the gradient by W x + b, for some steps. It may change `delta`, which it equals for most cells."""
        return delta

    def to_recurrent(self, activations: Tensor, delta: Tensor) -> Tensor:  # noqa: ARG002
        """Return the gradient by U h + d from the result of `to_input`, which it may change."""
        return delta


class BatchedSRN(BatchedStep):
    """An SRN.

    Args:
        squash_: the nonlinearity, in place.
        squash_backward: (gradient, squash(a)) -> gradient * squash'(a).
    """

    def __init__(
        self, squash_: Callable[[Tensor], Tensor], squash_backward: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        self.squash_, self.squash_backward = squash_, squash_backward

    def split(self, activations: Tensor, hidden_size: int) -> Parts:  # noqa: ARG002
        return (activations,)

    def advance(self, parts: Parts, h: Tensor, blocks: Parts, after: Tensor) -> None:
        self.squash_(torch.addmm(parts[0], h, blocks[0], out=after))

    def linearize(self, activations: Tensor, h: Tensor, after: Tensor) -> Parts:  # noqa: ARG002
        return (self.squash_backward(torch.ones_like(after), after),)

    def pull_back(self, diagonals: Parts, gradient: Tensor, blocks: Parts, delta: Tensor, before: Tensor) -> None:
        torch.mul(gradient, diagonals[0], out=delta)
        before.addmm_(delta, blocks[0])


class BatchedGRUAfter(BatchedStep):
    """A GRU whose reset gate scales U h + d. Activations: r, z, U h + d of h~, h~."""

    def project(self, x: Tensor, weight: Tensor, bias: Tensor, recurrent_bias: Tensor) -> Tensor:
        hidden_size = len(weight) // 3
        gates, candidate = slice(2 * hidden_size), slice(2 * hidden_size, None)
        activations = x.new_empty(len(x), 4 * hidden_size)
        torch.addmm(bias[gates] + recurrent_bias[gates], x, weight[gates].t(), out=activations[:, : 2 * hidden_size])
        activations[:, 2 * hidden_size : 3 * hidden_size] = recurrent_bias[candidate]
        torch.addmm(bias[candidate], x, weight[candidate].t(), out=activations[:, 3 * hidden_size :])
        return activations

    def split(self, activations: Tensor, hidden_size: int) -> Parts:
        r, z, recurrent, h_tilde = torch.split(activations, hidden_size, dim=1)
        return activations[:, : 3 * hidden_size], activations[:, : 2 * hidden_size], r, z, recurrent, h_tilde

    def advance(self, parts: Parts, h: Tensor, blocks: Parts, after: Tensor) -> None:
        products, gates, r, z, recurrent, h_tilde = parts
        products.addmm_(h, blocks[0])
        gates.sigmoid_()
        h_tilde.addcmul_(r, recurrent).tanh_()
        torch.lerp(h_tilde, h, z, out=after)

    def feed(self, parts: Parts, x: Tensor, weight: Tensor) -> None:
        _, gates, _, _, _, h_tilde = parts
        gates.addmm_(x, weight[:, : gates.shape[1]])
        h_tilde.addmm_(x, weight[:, gates.shape[1] :])

    def linearize(self, activations: Tensor, h: Tensor, after: Tensor) -> Parts:  # noqa: ARG002
        r, z, recurrent, h_tilde = torch.split(activations, h.shape[1], dim=1)
        by_products = h.new_empty(len(h), 3, h.shape[1])
        by_r, by_z, by_recurrent = by_products.unbind(1)
        by_candidate = _tanh_backward(1 - z, h_tilde)
        torch.mul(by_candidate, r, out=by_recurrent)
        _sigmoid_backward.grad_input(by_candidate * recurrent, r, grad_input=by_r)
        _sigmoid_backward.grad_input(h - h_tilde, z, grad_input=by_z)
        return by_products, z, by_candidate

    def pull_back(self, diagonals: Parts, gradient: Tensor, blocks: Parts, delta: Tensor, before: Tensor) -> None:
        by_products, z, _ = diagonals
        torch.mul(by_products, gradient.unsqueeze(1), out=delta.view_as(by_products))
        before.addcmul_(gradient, z).addmm_(delta, blocks[0])

    def to_input(self, diagonals: Parts, gradient: Tensor, delta: Tensor) -> Tensor:
        torch.mul(gradient, diagonals[2], out=delta[:, -gradient.shape[1] :])
        return delta

    def to_recurrent(self, activations: Tensor, delta: Tensor) -> Tensor:
        hidden_size = activations.shape[1] // 4
        delta[:, -hidden_size:] *= activations[:, :hidden_size]
        return delta


class BatchedGRUBefore(BatchedStep):
    """A GRU whose reset gate scales h. Activations: r, z, h~."""

    def blocks(self, weight: Tensor) -> Parts:
        return torch.split(weight, [2 * weight.shape[1], weight.shape[1]])

    def split(self, activations: Tensor, hidden_size: int) -> Parts:
        r, z, h_tilde = torch.split(activations, hidden_size, dim=1)
        return activations, activations[:, : 2 * hidden_size], r, z, h_tilde

    def advance(self, parts: Parts, h: Tensor, blocks: Parts, after: Tensor) -> None:
        _, gates, r, z, h_tilde = parts
        gates.addmm_(h, blocks[0]).sigmoid_()
        h_tilde.addmm_(torch.mul(r, h, out=after), blocks[1]).tanh_()
        torch.lerp(h, h_tilde, z, out=after)

    def linearize(self, activations: Tensor, h: Tensor, after: Tensor) -> Parts:  # noqa: ARG002
        r, z, h_tilde = torch.split(activations, h.shape[1], dim=1)
        return _sigmoid_backward(h, r), r, _sigmoid_backward(h_tilde - h, z), 1 - z, _tanh_backward(z, h_tilde)

    def pull_back(self, diagonals: Parts, gradient: Tensor, blocks: Parts, delta: Tensor, before: Tensor) -> None:
        by_r, r, by_z, kept, by_candidate = diagonals
        delta_r, delta_z, delta_candidate = torch.split(delta, gradient.shape[1], dim=1)
        by_reset = torch.mm(torch.mul(gradient, by_candidate, out=delta_candidate), blocks[1])
        torch.mul(by_reset, by_r, out=delta_r)
        torch.mul(gradient, by_z, out=delta_z)
        before.addcmul_(gradient, kept).addcmul_(by_reset, r).addmm_(delta[:, : 2 * gradient.shape[1]], blocks[0])

    def factors(self, activations: Tensor, h: Tensor) -> Parts:
        return h, activations[:, : h.shape[1]] * h


SRN_TANH = BatchedSRN(torch.tanh_, _tanh_backward)
SRN_RELU = BatchedSRN(torch.relu_, _relu_backward)
GRU_AFTER = BatchedGRUAfter()
GRU_BEFORE = BatchedGRUBefore()
