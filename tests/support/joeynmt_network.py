"""The recurrent network of JoeyNMT in its equations, with the names of its weights."""

import torch
from torch import Tensor, nn


class JoeyNetwork(nn.Module):
    """An encoder-decoder of GRU cells with additive attention, input feeding and a bridge.

    Args:
        source_size, target_size: the sizes of the vocabularies, whose first two tokens are UNK and PAD.
        size: features of embeddings, hidden states and attention vectors.
        layers: layers of encoder and decoder.
    """

    def __init__(self, source_size: int, target_size: int, size: int, layers: int) -> None:
        super().__init__()
        self.layers, self.size = layers, size
        self.src_embed = nn.ModuleDict({"lut": nn.Embedding(source_size, size)})
        self.trg_embed = nn.ModuleDict({"lut": nn.Embedding(target_size, size)})
        self.encoder = nn.ModuleDict({"rnn": nn.GRU(size, size, layers, batch_first=True, bidirectional=True)})
        attention = {
            "key_layer": nn.Linear(2 * size, size, bias=False),
            "query_layer": nn.Linear(size, size, bias=False),
            "energy_layer": nn.Linear(size, 1, bias=False),
        }
        self.decoder = nn.ModuleDict(
            {
                "rnn": nn.GRU(2 * size, size, layers, batch_first=True),
                "att_vector_layer": nn.Linear(3 * size, size),
                "output_layer": nn.Linear(size, target_size, bias=False),
                "attention": nn.ModuleDict(attention),
                "bridge_layer": nn.Linear(2 * size, size),
            }
        )

    def forward(self, source: Tensor, target_in: Tensor) -> Tensor:
        """Return logits [batch, target_time, vocab] for sentences without padding."""
        decoder, attention = self.decoder, self.decoder["attention"]
        annotations, final = self.encoder["rnn"](self.src_embed["lut"](source))
        state = torch.tanh(decoder["bridge_layer"](torch.cat([final[-2], final[-1]], dim=1))).repeat(self.layers, 1, 1)
        keys = attention["key_layer"](annotations)
        fed = annotations.new_zeros(len(source), 1, self.size)
        logits: list[Tensor] = []
        for embedded in self.trg_embed["lut"](target_in).split(1, dim=1):
            _, state = decoder["rnn"](torch.cat([embedded, fed], dim=2), state)
            query = state[-1].unsqueeze(1)
            scores = attention["energy_layer"](torch.tanh(attention["query_layer"](query) + keys))
            context = scores.softmax(dim=1).transpose(1, 2) @ annotations
            fed = torch.tanh(decoder["att_vector_layer"](torch.cat([query, context], dim=2)))
            logits.append(decoder["output_layer"](fed))
        return torch.cat(logits, dim=1)
