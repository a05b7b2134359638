"""Gradients through time, the saturation of gates, and spectral radii of a recurrent network.

The gradient at step t contains the product of the Jacobians of all later steps, which shrinks or grows exponentially
with their number (Bengio, Simard & Frasconi, 1994; Pascanu, Mikolov & Bengio, 2013, arXiv:1211.5063). The LSTM was
designed to prevent this (Hochreiter & Schmidhuber, 1997).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from rnnexp.recurrent.cells import SATURATED
from rnnexp.recurrent.scan import StepRecorder
from rnnexp.recurrent.stack import RecurrentStack


@contextmanager
def recorded(stack: RecurrentStack) -> Iterator[StepRecorder]:
    """Record the steps of a stack, which runs the equations in a loop inside the block, with every backend.

    Yields:
        The recorder, with the steps of the last forward pass.
    """
    stack.recorder = recorder = StepRecorder(stack.directions)
    try:
        yield recorder
    finally:
        stack.recorder = None


def gradient_norms(loss: Tensor, stack: RecurrentStack, steps: StepRecorder) -> Tensor:
    """Return ||dL/dh_t|| of every sequence: the total derivative, through the outputs and all later steps and layers.

    The `.grad` of parameters is not changed.

    Args:
        loss: a scalar, computed from the recorded pass.
        stack: the stack that ran.
        steps: the recorded steps.

    Returns:
        float64 [layers, time, batch] of the forward direction, on the CPU; zero past a sequence's end, and where the
        loss does not depend on h.
    """
    num_layers, (time, batch) = stack.num_layers, steps.mask.shape
    h = [step.h for layer in range(num_layers) for step in steps.scan(layer)]
    gradients = torch.autograd.grad(loss, h, materialize_grads=True)
    # Squares underflow in single precision long before the values do. Apple's GPUs have no float64.
    norms: Tensor = torch.linalg.vector_norm(torch.stack(gradients).cpu().double(), dim=2)
    return norms.view(num_layers, time, batch)


def mean_over_running(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean at each step over the sequences that have not ended.

    Args:
        values: [..., time, batch].
        mask: True at steps of a sequence, bool [time, batch].

    Returns:
        [..., time].
    """
    return values.where(mask, 0).sum(dim=-1) / mask.sum(dim=-1)


def first_over_last(norms: Tensor, mask: Tensor) -> Tensor:
    """Return the mean norm of the gradient at the first step over that at each sequence's last step.

    Args:
        norms: [time, batch].
        mask: bool [time, batch].

    Returns:
        A scalar: 1 if the gradient is preserved, near 0 if it vanishes, much larger than 1 if it explodes.
    """
    last = mask.sum(dim=0) - 1
    return norms[0].mean() / norms.gather(0, last.unsqueeze(0)).mean()


def saturation(stack: RecurrentStack, steps: StepRecorder, layer: int, reverse: bool = False) -> dict[str, float]:
    """Return the share of saturated activations, over units and steps of sequences.

    Args:
        stack: the stack that ran.
        steps: the recorded steps.
        layer: the number of the layer.
        reverse: whether the direction is the reverse one.

    Returns:
        Block (with its name in the cell's equations) -> 0 to 1, for blocks that are a function of W x + b + U h + d:
        the sigmoid gates of an LSTM and a GRU, and h of an SRN.
    """
    cell, recorded_steps = stack.cell, steps.scan(layer, reverse)
    with torch.no_grad():
        blocks = torch.stack([step.from_input for step in recorded_steps])
        if (recur := recorded_steps[0].recur) is not None:
            blocks = blocks + recur(torch.stack([step.previous_h for step in recorded_steps]))
        by_name = dict(zip(cell.blocks, blocks.chunk(cell.gates, dim=-1), strict=False))
        return {
            name: SATURATED[squash](squash(by_name[name]))[steps.mask].float().mean().item()
            for name, squash in cell.squashed.items()
        }


def spectral_radii(stack: RecurrentStack, layer: int, reverse: bool = False) -> dict[str, float]:
    """Return the largest absolute eigenvalue of every block of U: block -> radius, NaN if the block is not finite.

    A block without a name has its number as name; a cell without U has no blocks. Below 1 the gradient of an SRN must
    vanish; above 1 it may explode.
    """
    weight: Tensor | None = stack.layer_weights(layer)[reverse].get("weight_hh")
    if weight is None:
        return {}
    blocks = weight.detach().cpu().chunk(stack.cell.gates)
    names = stack.cell.blocks or tuple(map(str, range(stack.cell.gates)))
    return {
        # The decomposition raises for values that are not finite.
        name: torch.linalg.eigvals(block).abs().max().item() if block.isfinite().all() else torch.nan
        for name, block in zip(names, blocks, strict=True)
    }
