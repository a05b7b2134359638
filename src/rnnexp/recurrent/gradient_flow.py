"""Why a recurrent network remembers or forgets: gradients through time, closed gates, spectral radii.

A loss reaches step t only through the product of the Jacobians of all later steps, which shrinks or grows
exponentially with their number (Bengio, Simard & Frasconi, 1994; Pascanu, Mikolov & Bengio, 2013, arXiv:1211.5063). The
gates of an LSTM were built against it (Hochreiter & Schmidhuber, 1997).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from rnnexp.recurrent.cells import Squash
from rnnexp.recurrent.stack import RecurrentStack
from rnnexp.recurrent.unrolled import Unrolled

SATURATED: Mapping[Squash, Callable[[Tensor], Tensor]] = {
    torch.sigmoid: lambda activation: (activation < 0.05) | (activation > 0.95),
    torch.tanh: lambda activation: activation.abs() > 0.95,
    torch.relu: lambda activation: activation == 0,
}
"""Where a squashing function is so flat that next to no gradient passes."""


def gradient_norms(loss: Tensor, unrolled: Unrolled) -> Tensor:
    """||dL/dh_t|| of every sequence: the total derivative, through the outputs and all later steps and layers.

    Touches no parameter's `.grad`.

    Args:
        loss: a scalar, computed from the pass that was unrolled.

    Returns:
        float64 [layers, time, batch] of the forward direction; zero past a sequence's end, and where nothing of h
        reaches the loss.
    """
    num_layers, (time, batch) = unrolled.stack.num_layers, unrolled.inside.shape
    h = [step.h for layer in range(num_layers) for step in unrolled.scan(layer)]
    gradients = torch.autograd.grad(loss, h, materialize_grads=True)
    # The square of what has vanished would vanish in single precision long before it does.
    norms = torch.stack([torch.linalg.vector_norm(gradient.double(), dim=1) for gradient in gradients])
    return norms.view(num_layers, time, batch)


def mean_over_running(values: Tensor, inside: Tensor) -> Tensor:
    """[..., time, batch] -> [..., time]: at each step the mean over the sequences still inside, bool [time, batch]."""
    return values.where(inside, 0).sum(dim=-1) / inside.sum(dim=-1)


def first_over_last(norms: Tensor, inside: Tensor) -> Tensor:
    """How much of a gradient is left at the first step: its mean norm there over that at each sequence's last step.

    Args:
        norms: [time, batch].
        inside: bool [time, batch].

    Returns:
        a scalar: 1 keeps, 0 has vanished, much above 1 explodes.
    """
    last = inside.sum(dim=0) - 1
    return norms[0].mean() / norms.gather(0, last.unsqueeze(0)).mean()


def saturation(unrolled: Unrolled, layer: int, reverse: bool = False) -> dict[str, float]:
    """Share of activations, over units and steps within sequences, on the flat side of their squashing function.

    Returns:
        block (as the cell's equations call it) -> 0 to 1, of those that are one function of W x + b + U h + d: the
        sigmoid gates of an LSTM and a GRU, an SRN's h itself.
    """
    cell, steps = unrolled.stack.cell, unrolled.scan(layer, reverse)
    with torch.no_grad():
        previous_h = torch.stack([step.previous_h for step in steps])
        blocks = torch.stack([step.from_input for step in steps]) + steps[0].recur(previous_h)
        by_name = dict(zip(cell.blocks, blocks.chunk(cell.gates, dim=-1), strict=False))
        return {
            name: SATURATED[squash](squash(by_name[name]))[unrolled.inside].double().mean().item()
            for name, squash in cell.squashed.items()
        }


def spectral_radii(stack: RecurrentStack, layer: int, reverse: bool = False) -> dict[str, float]:
    """The largest absolute eigenvalue of every block of U: block -> radius, NaN where U is not finite.

    A block without a name is called by its number. Below 1 an SRN's gradient must vanish; above 1 it may explode.
    """
    weight: Tensor = getattr(stack, f"weight_hh_l{layer}" + "_reverse" * reverse)
    blocks = weight.detach().cpu().chunk(stack.cell.gates)
    names = stack.cell.blocks or tuple(map(str, range(stack.cell.gates)))
    return {
        # Of what is not finite there is no decomposition.
        name: torch.linalg.eigvals(block).abs().max().item() if block.isfinite().all() else torch.nan
        for name, block in zip(names, blocks, strict=True)
    }
