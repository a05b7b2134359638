"""The default name of a run, `${run_name:...}` in train.yaml: the data and the network of its config.

The options that were chosen do not name them: `data.name`, `data.view` and `model.cell` replace what an option says.
"""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from rnnexp.tasks.registry import kind_of_target
from rnnexp.tracking.keys import dataset_name

Node = Mapping[str, Any]


def run_name(data: Node, model: Node, task: Node) -> str:
    """Return `MNIST-rows_bilstm`, `FashionMNIST-pixels_gru` or `Multi30k-en-de_lstm`.

    Args:
        data, model, task: the config groups.
    """
    kind = kind_of_target(str(task.get("_target_")))
    return f"{dataset_name(data, kind.dataset_keys)}_{_network(model)}"


def _network(model: Node) -> str:
    cell = model.get("cell")
    if isinstance(cell, Mapping):
        cell = cell.get("path") or cell.get("_target_")
    # A class of the user may have no cell.
    cell = str(cell or model.get("_target_")).rpartition(".")[2]
    return f"bi{cell}" if model.get("bidirectional") else cell


def register_run_name() -> None:
    """Make `${run_name:...}` known to OmegaConf. It is called before a config is composed."""
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
