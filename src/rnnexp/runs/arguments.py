"""A check of what the constructors of a config accept, before a run directory is made or a sweep starts.

It makes every object that needs neither data nor devices. The data are represented by `Task.stand_in`.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import torch

from rnnexp.cli.value_types import OWN_PACKAGES
from rnnexp.core.output import silenced
from rnnexp.core.validation import expand_home
from rnnexp.recurrent import CELLS
from rnnexp.runs.build import (
    config_errors,
    instantiate_plain,
    make_optimizer_factories,
    make_task_of,
    make_trainer,
    task_class,
)
from rnnexp.runs.checkpoints import require_checkpoint_file
from rnnexp.runs.size_budget import parse_budget

WITHOUT_EFFECT = ("rnnexp.callbacks.", "rnnexp.tasks.", "lightning.")
"""The start of each `_target_` of a callback that can be made without opening or writing anything."""
ON_CPU = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "profiler": None}


def require_constructible(configs: Iterable[Mapping[str, Any]]) -> None:
    """Raise UserError for a value that a constructor refuses, with the config group that holds it.

    Equal groups of several configs are checked once. The arguments of the user's own classes are left to the run.

    Args:
        configs: resolved configs as plain values.
    """
    checked = set()
    # The run itself shows its messages and warnings.
    with silenced(logging.CRITICAL):
        for config in configs:
            for check, groups in CHECKS.items():
                nodes = json.dumps([_without_seed(config.get(group)) for group in groups], sort_keys=True, default=str)
                # The run directory occurs in paths, and no constructor checks it.
                key = (check, nodes.replace(str(config["paths"]["output_dir"]), ""))
                if key not in checked:
                    check(config)
                    checked.add(key)


def _without_seed(node: Any) -> Any:  # noqa: ANN401 (a group or a value)
    """Return a group without its seed, which is any integer."""
    return {key: value for key, value in node.items() if key != "seed"} if isinstance(node, Mapping) else node


def _check_budget(config: Mapping[str, Any]) -> None:
    if config.get("size_budget") is not None:
        parse_budget(str(config["size_budget"]))


def _check_checkpoint(config: Mapping[str, Any]) -> None:
    if config["ckpt_path"] is not None:
        require_checkpoint_file(expand_home(config["ckpt_path"]))


def _check_data(config: Mapping[str, Any]) -> None:
    with config_errors("data"):
        (instantiate_plain if _is_own(config["data"]) else _find)(config["data"])


def _check_task(config: Mapping[str, Any]) -> None:
    """Make the task with its model."""
    task = task_class(config)
    stand_in = task.stand_in()
    if stand_in is None or not all(_is_own(config[group]) for group in ("model", "task")):
        return
    if config.get("size_budget") is not None:
        # It is solved for with the data.
        config = {**config, "model": {**config["model"], "hidden_size": 8}}
    # Weights on this device take no memory. The functions of the user's own cells may compute with them.
    is_shipped = config["model"].get("cell") in CELLS
    with torch.device("meta") if is_shipped else nullcontext(), torch.random.fork_rng(devices=[]):
        make_task_of(config, task.arguments_from(stand_in), trains=False)


def _check_optimizer(config: Mapping[str, Any]) -> None:
    """Make an optimizer and a schedule of one parameter."""
    if not all(_is_own(config[group]) for group in ("optimizer", "scheduler")):
        return
    make_optimizer, make_scheduler = make_optimizer_factories(config)
    with config_errors("optimizer"):
        optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(2, 2))])
    with config_errors("scheduler"):
        make_scheduler(optimizer, total_steps=1000)


def _check_trainer(config: Mapping[str, Any]) -> None:
    if _is_own(config["trainer"]):
        make_trainer({**config["trainer"], **ON_CPU, "default_root_dir": None}, [], [])


def _check_callbacks(config: Mapping[str, Any]) -> None:
    with config_errors("callbacks"):
        for node in config["callbacks"].values():
            if node is not None:
                is_made = str(node.get("_target_")).startswith(WITHOUT_EFFECT)
                (instantiate_plain if is_made else _find)(node)


def _check_loggers(config: Mapping[str, Any]) -> None:
    with config_errors("logger"):
        for node in config["logger"].values():
            if node is not None:
                _find(node)


def _find(node: Mapping[str, Any]) -> None:
    """Import the class of a node, without making an object."""
    instantiate_plain({"_target_": node["_target_"], "_partial_": True})


def _is_own(node: Mapping[str, Any]) -> bool:
    return str(node.get("_target_", "")).startswith(OWN_PACKAGES)


CHECKS: dict[Callable[[Mapping[str, Any]], None], tuple[str, ...]] = {
    _check_budget: ("size_budget",),
    _check_checkpoint: ("ckpt_path",),
    _check_data: ("data",),
    _check_optimizer: ("optimizer", "scheduler"),
    _check_task: ("task", "model"),
    _check_trainer: ("trainer",),
    _check_callbacks: ("callbacks",),
    _check_loggers: ("logger",),
}
"""Checks, with the config groups that each reads."""
