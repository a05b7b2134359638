"""Whole keys of nested values, joined by dots: `model.hidden_size` in a config, `timing.fit_seconds` in a result.

Short keys are a few flat values that distinguish runs, for the columns of a table and the axes of a chart.
"""

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


def flattened(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by their whole keys. A list is one value, and so is a group without keys.

    Args:
        node: the nested values.
        prefix: the beginning of every key.
    """
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def value_at(node: Any, path: str, absent: object = None) -> Any:  # noqa: ANN401
    """Return a nested value by its whole key; `absent` if there is none."""
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return absent
        node = node[key]
    return node


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
        **{short: value_at(config, path) for short, path in VERBATIM.items()},
        "train_budget": _train_budget(config["trainer"]),
        "num_parameters": num_parameters,
    }


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
