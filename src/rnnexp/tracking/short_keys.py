"""Short keys: a few flat values that distinguish runs, for the columns of a table and the axes of a chart."""

from collections.abc import Iterable, Mapping
from typing import Any

from rnnexp.core.types import Primitive

VERBATIM = {
    "cell": "model.cell",
    "num_layers": "model.num_layers",
    "bidirectional": "model.bidirectional",
    "hidden_size": "model.hidden_size",
    "dropout": "model.dropout",
    "precision": "trainer.precision",
    "lr": "optimizer.lr",
    "batch_size": "data.batch_size",
}
"""Short key -> the config key that has its value; null in a config without that key."""


def short_keys(
    config: Mapping[str, Any], task_name: str, dataset_keys: Iterable[str], num_parameters: int | None
) -> dict[str, Primitive]:
    """Return the short keys of a resolved config.

    Their names differ from the keys of the config: `dataset` describes `data`, `task_name` describes `task`. `seed` is
    not among them, since it is a flat key of the config.

    Args:
        config: the config as frozen in a run directory.
        task_name, dataset_keys: from the task's row, see `rnnexp.tasks.registry.TaskKind`.
        num_parameters: the number of parameters of the network; None if it was not built.
    """
    return {
        "task_name": task_name,
        "dataset": dataset_name(config["data"], dataset_keys),
        **{short: _value(config, path) for short, path in VERBATIM.items()},
        "train_budget": _train_budget(config["trainer"]),
        "num_parameters": num_parameters,
    }


def _value(config: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401
    node: Any = config
    for key in path.split("."):
        node = node.get(key)
        if node is None:
            return None
    return node


def dataset_name(data: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Return `MNIST-pixels-random92916` or `Multi30k-en-de`: without spaces, as a value on the command line.

    Args:
        data: the config group `data`.
        keys: `dataset_keys` of the task's row.
    """
    # Sentence pairs have one data module for all corpora.
    target = str((data.get("corpus") or data)["_target_"])
    name = data.get("name") or target.rpartition(".")[2].removesuffix("DataModule")
    return "-".join(str(part) for part in (name, *map(data.get, keys)) if part)


def _train_budget(trainer: Mapping[str, Any]) -> str:
    """Return what ends training: `6 epochs`, `100 steps or 6 epochs`, whichever comes first."""
    limits = {"steps": trainer["max_steps"], "epochs": trainer["max_epochs"]}
    # None and -1 are no limit.
    return " or ".join(f"{limit} {unit}" for unit, limit in limits.items() if (limit or -1) > 0) or "unlimited"
