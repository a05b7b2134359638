"""Which experiment a run is: the hash of what shaped its numbers, and nothing else."""

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

RUN_ONLY = (
    *("callbacks", "ckpt_path", "logger", "name", "paths", "tags"),
    # Where the data come from does not change them; which data they are does.
    *("data.root", "data.sources", "data.mirrors", "data.device"),
    *("trainer.default_root_dir", "trainer.profiler", "trainer.log_every_n_steps", "trainer.enable_model_summary"),
)
"""Config keys that say where a run is recorded or where it started from, not what it computes.

Of `callbacks`, early stopping changes the numbers: it is put back by `config_hash`.
"""


def config_hash(config: Mapping[str, Any]) -> str:
    """12 hexadecimal digits of SHA-256 over the resolved config without its run-only keys."""
    identity = copy.deepcopy(dict(config))
    identity["early_stopping"] = (config.get("callbacks") or {}).get("early_stopping")
    for key in RUN_ONLY:
        group, _, name = key.rpartition(".")
        node = identity.get(group) if group else identity
        if isinstance(node, dict):
            node.pop(name, None)
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
