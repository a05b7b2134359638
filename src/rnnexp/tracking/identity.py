"""Which experiment a run is: the hash of what shaped its numbers, and nothing else."""

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

RUN_ONLY = (
    *("callbacks", "ckpt_path", "logger", "name", "paths", "tags"),
    *("sweep_dir", "dry_run", "allow_code_change", "report", "optimized_metric", "trial_number"),
    # The callbacks that use them count.
    *("monitor", "monitor_mode"),
    # Where the data come from does not change them; which data they are does.
    *("data.root", "data.download_from", "data.mirrors", "data.device", "data.cache", "data.eval_batch_size"),
    *("trainer.default_root_dir", "trainer.profiler", "trainer.log_every_n_steps", "trainer.enable_model_summary"),
)
"""Config keys that say where a run is recorded or where it started from, not what it computes.

Of `callbacks`, some change the numbers: when training stops, which epoch counts as the best, and which are averaged.
`config_hash` puts them back.
"""

SEEDS = ("seed", "data.seed")
"""Config keys in which repeated runs of one configuration differ."""


def config_hash(config: Mapping[str, Any], *without: str) -> str:
    """12 hexadecimal digits of SHA-256 over what `identity_of` leaves."""
    canonical = json.dumps(identity_of(config, *without), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def identity_of(config: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """The resolved config without its run-only keys, and without further ones: `SEEDS`, to know repeated runs."""
    identity = copy.deepcopy(dict(config))
    callbacks = config.get("callbacks") or {}
    identity["early_stopping"] = callbacks.get("early_stopping")
    shaping = (
        ("best_checkpoint", "kept_checkpoints") if config.get("test_weights") == "average" else ("best_checkpoint",)
    )
    for name in shaping:
        if chosen := callbacks.get(name):
            identity[name] = {key: value for key, value in chosen.items() if key != "dirpath"}
    # What is solved for a budget is another way to write the budget.
    solved = ("model.hidden_size",) if config.get("size_budget") else ()
    for key in (*RUN_ONLY, *solved, *without):
        group, _, name = key.rpartition(".")
        node = identity.get(group) if group else identity
        if isinstance(node, dict):
            node.pop(name, None)
    return identity
