"""The weights of a recurrent network of JoeyNMT as those of rnnexp's stepwise decoder.

JoeyNMT's network is the stepwise one without three terms: the pre-output does not read the embedding, and the keys of
the attention and the output layer have no bias. These are zero here.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rnnexp.models import Seq2Seq
from rnnexp.text.vocabulary import PAD, UNK


@torch.no_grad()
def take_weights(network: Seq2Seq, weights: Mapping[str, Tensor]) -> None:
    """Give a network the weights of JoeyNMT.

    Args:
        network: a network of GRU cells with the stepwise decoder, whose embeddings have the size of h.
        weights: the state of JoeyNMT's network, in which the ids of PAD and UNK are exchanged.
    """
    encoder, decoder, bridge = network.encoder, network.decoder, network.bridge
    embedding_size, hidden_size = decoder.embedding.embedding_dim, decoder.hidden_size
    state = network.state_dict()

    def take(name: str, value: Tensor) -> None:
        state[name].copy_(value)

    for name, value in weights.items():
        prefix, _, end = name.rpartition(".")
        if prefix == "encoder.rnn":
            take(f"encoder.stack.{end}", value)
        elif prefix == "decoder.rnn":
            weight, _, layer = end.rpartition("_l")
            take(f"decoder.layers.{layer}.{weight}_l0", value)
        elif prefix.startswith("decoder.attention."):
            take(f"{prefix.removesuffix('_layer')}.{end}", value)
    if "decoder.attention.key.bias" in state:
        state["decoder.attention.key.bias"].zero_()
    take("encoder.embedding.weight", _exchanged(weights["src_embed.lut.weight"]))
    take("decoder.embedding.weight", _exchanged(weights["trg_embed.lut.weight"]))
    take("decoder.output.weight", _exchanged(weights["decoder.output_layer.weight"]))
    state["decoder.output.bias"].zero_()
    deep = state["decoder.deep_output.weight"].zero_()  # reads [h; embedding; context]
    of_query, of_context = weights["decoder.att_vector_layer.weight"].tensor_split([hidden_size], dim=1)
    deep[:, :hidden_size] = of_query
    deep[:, hidden_size + embedding_size :] = of_context
    take("decoder.deep_output.bias", weights["decoder.att_vector_layer.bias"])
    if len(bridge.projections):  # from the top layer of the encoder to all layers of the decoder
        projection = state["bridge.projections.0.weight"].zero_()
        projection[:, -encoder.stack.output_size :] = weights["decoder.bridge_layer.weight"].repeat(
            decoder.num_layers, 1
        )
        take("bridge.projections.0.bias", weights["decoder.bridge_layer.bias"].repeat(decoder.num_layers))


def _exchanged(rows: Tensor) -> Tensor:
    """Return rows of a vocabulary with those of PAD and UNK exchanged."""
    order = torch.arange(len(rows))
    order[[PAD, UNK]] = order[[UNK, PAD]]
    return rows[order]
