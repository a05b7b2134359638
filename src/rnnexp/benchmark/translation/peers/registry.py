"""The toolkits that can be measured beside rnnexp."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnexp.models import Seq2Seq


@dataclass(frozen=True)
class Peer:
    """A toolkit that can be measured.

    Args:
        driver: the script that its interpreter runs.
        supported: key of the config -> the values with which the toolkit does the same work.
    """

    driver: Path
    supported: Mapping[str, Sequence[Any]]

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


PEERS = {
    "joeynmt": Peer(
        driver=Path(__file__).with_name("joeynmt_driver.py"),
        supported={
            "model.cell": ["gru", "lstm"],
            "model.bidirectional": [True],
            "model.dropout": [0],
            "model.layer_norm": [False],
            "model.residual": [False],
            "model.learned_initial_state": [False],
            "task.network.attention": ["additive", "general"],
            "task.network.bridge": ["final", "zero"],
            "task.network.tied_embeddings": ["none"],
            "task.network.embedding_dropout": [0],
            "task.network.annotation_dropout": [0],
            "task.network.output_dropout": [0],
            "task.network.word_dropout": [0],
            "optimizer._target_": ["torch.optim.Adam"],
            "data.batch_unit": ["sentences"],
        },
    ),
}
"""Name of a peer, a key of `peers` in conf/benchmark.yaml -> the peer."""
