"""Gradients through time, saturated gates and spectral radii: why a recurrent network remembers or forgets.

A loss reaches step t only through the product of the Jacobians of all later steps, which shrinks or grows
exponentially with their number (Bengio, Simard & Frasconi, 1994; Pascanu, Mikolov & Bengio, 2013, arXiv:1211.5063). The
gates of an LSTM were built against it (Hochreiter & Schmidhuber, 1997).
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
    """Record the steps of the stack in the block, where it computes its equations in a loop whatever its backend.

    The steps are those of the last forward pass.
    """
    stack.recorder = recorder = StepRecorder(stack.directions)
    try:
        yield recorder
    finally:
        stack.recorder = None


def gradient_norms(loss: Tensor, stack: RecurrentStack, steps: StepRecorder) -> Tensor:
    """Return ||dL/dh_t|| of every sequence: the total derivative, through the outputs and all later steps and layers.

    Leaves every parameter's `.grad` as it is.

    Args:
        loss: a scalar, computed from the pass that was recorded.
        stack: the stack that ran.
        steps: what was recorded.

    Returns:
        float64 [layers, time, batch] of the forward direction; zero past a sequence's end, and where h does not reach
        the loss.
    """
    num_layers, (time, batch) = stack.num_layers, steps.mask.shape
    h = [step.h for layer in range(num_layers) for step in steps.scan(layer)]
    gradients = torch.autograd.grad(loss, h, materialize_grads=True)
    # Squares underflow in single precision long before the values do.
    norms = torch.stack([torch.linalg.vector_norm(gradient.double(), dim=1) for gradient in gradients])
    return norms.view(num_layers, time, batch)


def mean_over_running(values: Tensor, mask: Tensor) -> Tensor:
    """[..., time, batch] -> [..., time]: at each step the mean over the sequences that run, by mask [time, batch]."""
    return values.where(mask, 0).sum(dim=-1) / mask.sum(dim=-1)


def first_over_last(norms: Tensor, mask: Tensor) -> Tensor:
    """Return the mean norm of the gradient at the first step over that at each sequence's last step.

    Args:
        norms: [time, batch].
        mask: bool [time, batch].

    Returns:
        a scalar: 1 keeps the gradient, 0 has lost it, much above 1 explodes.
    """
    last = mask.sum(dim=0) - 1
    return norms[0].mean() / norms.gather(0, last.unsqueeze(0)).mean()


def saturation(stack: RecurrentStack, steps: StepRecorder, layer: int, reverse: bool = False) -> dict[str, float]:
    """Return the share of activations, over units and steps of sequences, on the flat side of their function.

    Returns:
        block (as the cell's equations name it) -> 0 to 1, for blocks that are a function of W x + b + U h + d: the
        sigmoid gates of an LSTM and a GRU, an SRN's h itself.
    """
    cell, recorded_steps = stack.cell, steps.scan(layer, reverse)
    with torch.no_grad():
        blocks = torch.stack([step.from_input for step in recorded_steps])
        if (recur := recorded_steps[0].recur) is not None:
            blocks = blocks + recur(torch.stack([step.previous_h for step in recorded_steps]))
        by_name = dict(zip(cell.blocks, blocks.chunk(cell.gates, dim=-1), strict=False))
        return {
            name: SATURATED[squash](squash(by_name[name]))[steps.mask].double().mean().item()
            for name, squash in cell.squashed.items()
        }


def spectral_radii(stack: RecurrentStack, layer: int, reverse: bool = False) -> dict[str, float]:
    """Return the largest absolute eigenvalue of every block of U: block -> radius, NaN where U is not finite.

    A block without a name is called by its number; a cell without U has none. Below 1 the gradient of an SRN must
    vanish; above 1 it may explode.
    """
    weight: Tensor | None = getattr(stack, f"weight_hh_l{layer}" + "_reverse" * reverse, None)
    if weight is None:
        return {}
    blocks = weight.detach().cpu().chunk(stack.cell.gates)
    names = stack.cell.blocks or tuple(map(str, range(stack.cell.gates)))
    return {
        # The decomposition raises for values that are not finite.
        name: torch.linalg.eigvals(block).abs().max().item() if block.isfinite().all() else torch.nan
        for name, block in zip(names, blocks, strict=True)
    }
