"""The few words that tell runs apart, flat: what a table has as columns, and a chart as axes."""

from collections.abc import Mapping
from typing import Any

ShortKeys = dict[str, str | int | float | bool | None]

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
"""Short keys and the config keys whose values they are; null in a config that has no such key."""


def short_keys(config: Mapping[str, Any], num_parameters: int | None) -> ShortKeys:
    """Of a resolved config, under names that it does not use itself: `dataset` for `data`, `task_name` for `task`.

    `seed` needs no other name: it lies at the top already.

    Args:
        config: as frozen in a run directory.
        num_parameters: of the network that the config describes, which only building it tells.
    """
    return {
        "task_name": task_name(config),
        "dataset": _dataset(config["data"]),
        **{short: _value(config, path) for short, path in VERBATIM.items()},
        "budget": _budget(config["trainer"]),
        "num_parameters": num_parameters,
    }


def task_name(config: Mapping[str, Any]) -> str:
    """`classification` or `translation`, of a resolved config."""
    return _class_name(config["task"]).removesuffix("Task").lower()


def _value(config: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401
    node: Any = config
    for key in path.split("."):
        node = node.get(key)
        if node is None:
            return None
    return node


def _dataset(data: Mapping[str, Any]) -> str:
    """`MNIST-pixels-random92916`, `Multi30k-en-de`: without spaces, so that it can be typed as a value."""
    name = data.get("name") or _class_name(data.get("corpus") or data).removesuffix("DataModule")
    details = (data.get(key) for key in ("view", "permutation", "source_lang", "target_lang"))
    return "-".join(str(part) for part in (name, *details) if part)


def _budget(trainer: Mapping[str, Any]) -> str:
    """When training ends, at what comes first."""
    limits = {"steps": trainer["max_steps"], "epochs": trainer["max_epochs"]}
    # None and -1 are no limit.
    return " or ".join(f"{limit} {unit}" for unit, limit in limits.items() if (limit or -1) > 0) or "unlimited"


def _class_name(node: Mapping[str, Any]) -> str:
    return str(node["_target_"]).rpartition(".")[2]
