"""The toolkits that can be measured beside rnnexp."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from rnnexp.benchmark.translation.peers.weights import take_weights
from rnnexp.models import Seq2Seq

TakeWeights = Callable[[Seq2Seq, Mapping[str, Tensor]], None]


@dataclass(frozen=True)
class Peer:
    """A toolkit that can be measured.

    Args:
        driver: the script that its interpreter runs.
        supported: key of the config -> the values with which the toolkit does the same work.
        take_weights: gives a network of rnnexp with the stepwise decoder the weights of the toolkit; None if they
            cannot be converted.
    """

    driver: Path
    supported: Mapping[str, Sequence[Any]]
    take_weights: TakeWeights | None = None

    def unsupported(self, value: Callable[[str], Any], network: Seq2Seq) -> str | None:
        """Return why the toolkit cannot do the work of a config; None if it can.

        Args:
            value: key -> its value in the config.
            network: a network of rnnexp, on its device.
        """
        if network.encoder.embedding.weight.device.type != "cpu":
            return "it is measured on a CPU: trainer=cpu"
        for key, values in self.supported.items():
            if value(key) not in values:
                return f"{key}={value(key)}: it does the same work only with {' or '.join(map(str, values))}"
        return None


SAME_NETWORK: Mapping[str, Sequence[Any]] = {
    "model.cell": ["gru", "lstm"],
    "model.dropout": [0],
    "model.layer_norm": [False],
    "model.residual": [False],
    "model.learned_initial_state": [False],
    "task.network.tied_embeddings": ["none"],
    "task.network.embedding_dropout": [0],
    "task.network.annotation_dropout": [0],
    "task.network.output_dropout": [0],
    "task.network.word_dropout": [0],
    "optimizer._target_": ["torch.optim.Adam"],
    "data.batch_unit": ["sentences"],
}
"""The keys and values that all peers support."""

PEERS = {
    "joeynmt": Peer(
        driver=Path(__file__).with_name("joeynmt_driver.py"),
        supported={
            **SAME_NETWORK,
            "model.bidirectional": [True],
            "task.network.attention": ["additive", "general"],
            "task.network.bridge": ["final", "zero"],
        },
        take_weights=take_weights,
    ),
    "eole": Peer(
        driver=Path(__file__).with_name("eole_driver.py"),
        supported={
            **SAME_NETWORK,
            "task.network.attention": ["additive", "general", "dot"],
            "task.network.bridge": ["final"],
            "task.network.decoder_layers": [None],
        },
    ),
}
"""Name of a peer, a key of `peers` in conf/benchmark.yaml -> the peer."""
