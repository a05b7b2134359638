"""The identity of an experiment: what of a config shapes its numbers, and the hash of that."""

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

RUN_ONLY = (
    *("ckpt_path", "logger", "name", "paths", "tags"),
    *("sweep_dir", "dry_run", "allow_code_change", "report", "optimized_metric", "trial_number", "run_only"),
    # The callbacks that use them count.
    *("monitor", "monitor_mode"),
    # Where the data come from does not change them; which data they are does.
    *("data.root", "data.download_from", "data.mirrors", "data.device", "data.cache", "data.eval_batch_size"),
    *("trainer.default_root_dir", "trainer.profiler", "trainer.log_every_n_steps", "trainer.enable_model_summary"),
)
"""Config keys that say where a run is recorded or where it started from, not what it computes.

The config key `run_only` names further ones, a callback of the user that only prints, for example.
"""

HARMLESS_CALLBACKS = {
    "rnnexp.": {
        *("GradientFlow", "GradientNorm", "LastCheckpoint", "LearningRate", "PredictionWriter", "Pruning"),
        *("RandomState", "SampleWriter", "SaveOnSignal", "StopOnDivergence", "Throughput", "TranslationWriter"),
        "make_progress",
    },
    "lightning.pytorch.callbacks.": {
        *("DeviceStatsMonitor", "LearningRateMonitor", "ModelSummary", "RichModelSummary", "RichProgressBar"),
        *("ThroughputMonitor", "TQDMProgressBar"),
    },
}
"""Callbacks that record a run and do not change its numbers, by the start of their `_target_`.

Any other callback, such as one of the user's, may change the numbers, so that its settings are part of the identity.
"""

SEEDS = ("seed", "data.seed")
"""Config keys in which repeated runs of one setting differ."""


def config_hash(config: Mapping[str, Any], *without: str) -> str:
    """Return 12 hexadecimal digits of SHA-256 over what `identity_of` returns."""
    canonical = json.dumps(identity_of(config, *without), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def identity_of(config: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """Return what shapes the numbers of a run.

    Args:
        config: resolved, of plain values.
        without: keys to leave out besides those that never matter: `SEEDS`, to find runs that differ in them alone.
    """
    identity = copy.deepcopy(dict(config))
    identity["callbacks"] = _shaping_callbacks(config)
    own = tuple(str(key) for key in config.get("run_only") or ())
    # The hidden size that is solved for a budget is another way to write the budget.
    solved = ("model.hidden_size",) if config.get("size_budget") else ()
    for key in (*RUN_ONLY, *own, *solved, *without):
        *groups, name = key.split(".")
        node: Any = identity
        for group in groups:
            node = node.get(group) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.pop(name, None)
    return identity


def _shaping_callbacks(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the callbacks that may change numbers, without the places that they write to."""
    directory = f"{(config.get('paths') or {}).get('output_dir')}/"
    shaping: dict[str, Any] = {}
    for name, node in (config.get("callbacks") or {}).items():
        if node is None or _is_harmless(node, config):
            continue
        shaping[name] = copy.deepcopy(dict(node))
        if str(node.get("_target_")).startswith("rnnexp."):
            shaping[name].pop("dirpath", None)
        for key, value in node.items():
            # A path in the run directory says nothing but which run it is.
            if isinstance(value, str) and value.startswith(directory):
                shaping[name].pop(key, None)
    return shaping


def _is_harmless(callback: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    target = str(callback.get("_target_"))
    class_name = target.rpartition(".")[2]
    if target.startswith("rnnexp.") and class_name == "KeptCheckpoints":
        return bool(config.get("test_weights") != "average")
    return any(target.startswith(start) and class_name in names for start, names in HARMLESS_CALLBACKS.items())
