"""Which experiment a run is: the hash of what shaped its numbers, and nothing else."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

RUN_ONLY = ("callbacks", "ckpt_path", "logger", "name", "paths", "tags")
"""Config keys that say where a run is recorded or where it started from, not what it computes.

Of `callbacks`, early stopping changes the numbers: it is put back by `config_hash`.
"""


def config_hash(config: Mapping[str, Any]) -> str:
    """12 hexadecimal digits of SHA-256 over the resolved config without its run-only keys."""
    identity = {key: value for key, value in config.items() if key not in RUN_ONLY}
    identity["early_stopping"] = (config.get("callbacks") or {}).get("early_stopping")
    # Where the data lies does not change them; which data they are does.
    if isinstance(identity.get("data"), Mapping):
        identity["data"] = {key: value for key, value in identity["data"].items() if key != "root"}
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
