"""The kernels of torch for whole sequences (cuDNN, oneDNN, native loops), called on the weights of a stack."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rnnexp.recurrent.cells import Kernel, State


def run_kernel(
    kernel: Kernel,
    x: Tensor,
    lengths: Tensor | None,
    state: State,
    weights: Sequence[Tensor],
    num_layers: int,
    bidirectional: bool,
    dropout: float,
) -> tuple[Tensor, State]:
    """Run all layers and directions in one call.

    Args:
        kernel: torch.rnn_tanh, torch.rnn_relu, torch.lstm or torch.gru.
        x: [batch, time, features].
        lengths: int64 [batch] on the CPU; None if every sequence has all steps.
        state: the initial state, [layers * directions, batch, hidden] each.
        weights: weight_ih, weight_hh, bias_ih, bias_hh of each layer and direction.
        num_layers: the number of layers.
        bidirectional: whether each layer has two directions.
        dropout: probability between layers; pass 0 outside training.

    Returns:
        Outputs [batch, time, directions * hidden], zero past each sequence's end, and the final state, with the shapes
        of the initial one.
    """
    # The first value stands for biases. cuDNN computes gradients only of a forward pass in training mode.
    options = (True, num_layers, dropout, dropout > 0 or torch.is_grad_enabled(), bidirectional)
    if lengths is None:
        outputs, *final = kernel(x, state if len(state) > 1 else state[0], weights, *options, True)
        return outputs, tuple(final)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    order, inverse = packed.sorted_indices, packed.unsorted_indices
    assert order is not None and inverse is not None  # noqa: PT018
    state = tuple(tensor.index_select(1, order) for tensor in state)
    data, *final = kernel(packed.data, packed.batch_sizes, state if len(state) > 1 else state[0], weights, *options)
    outputs, _ = pad_packed_sequence(PackedSequence(data, *packed[1:]), batch_first=True, total_length=x.shape[1])
    return outputs, tuple(tensor.index_select(1, inverse) for tensor in final)


def flatten_weights(kernel: Kernel, weights: Sequence[Tensor], num_layers: int, bidirectional: bool) -> None:
    """Store the weights in one block of memory. cuDNN would otherwise copy them at every call.

    Their values do not change. The function has no effect on weights that are not on CUDA.
    """
    if not weights[0].is_cuda:
        return
    (_, input_size), (_, hidden_size) = weights[0].shape, weights[1].shape
    # The name of torch.rnn_tanh in RNNBase is "RNN_TANH".
    mode = kernel.__name__.upper()
    module = nn.RNNBase(mode, input_size, hidden_size, num_layers, bidirectional=bidirectional, device="meta")
    for (name, _), weight in zip(list(module.named_parameters()), weights, strict=True):
        setattr(module, name, weight)
    module.flatten_parameters()
