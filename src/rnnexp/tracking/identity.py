"""The identity of an experiment: the part of a config that affects its results, and a hash of it."""

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from rnnexp.core.printable import mask_secrets
from rnnexp.tracking.keys import value_at

RUN_ONLY = (
    *("ckpt_path", "logger", "name", "paths", "resume", "tags", "trust"),
    *("sweep_dir", "dry_run", "allow_code_change", "report", "optimized_metric", "trial_number", "run_only"),
    "retain_memory",
    # The callbacks that use these keys are part of the identity.
    *("monitor", "monitor_mode"),
    # The location of the data does not change their content.
    *("data.root", "data.download_from", "data.mirrors", "data.device", "data.cache", "data.eval_batch_size"),
    *("trainer.default_root_dir", "trainer.profiler", "trainer.log_every_n_steps", "trainer.enable_model_summary"),
)
"""Config keys that say where a run is recorded or where it started from, not what it computes.

The config key `run_only` names further ones, for example a user's callback that only prints.
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
"""Callbacks that record a run and do not change its results, by the start of their `_target_`.

Any other callback, such as a user's own, may change the results, so its settings are part of the identity.
"""

SEEDS = ("seed", "data.seed")
"""Config keys in which repeated runs of one setting differ."""


def config_hash(config: Mapping[str, Any], *without: str) -> str:
    """Return 12 hexadecimal digits of SHA-256 over what `identity_of` returns."""
    identity = _reduced(mask_secrets(config), *without)
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def identity_of(config: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """Return the part of a config that affects the results of a run.

    Args:
        config: the resolved config as plain values.
        without: further keys to leave out, such as `SEEDS` to find runs that differ only in the seed.
    """
    return _reduced(copy.deepcopy(dict(config)), *without)


def _reduced(config: dict[str, Any], *without: str) -> dict[str, Any]:
    """Remove what `identity_of` leaves out from a config, and return it."""
    _replace_files(config, config.pop("inputs", None) or ())
    config["callbacks"] = _relevant_callbacks(config)
    user_keys = tuple(str(key) for key in config.get("run_only") or ())
    # A hidden size that was solved for a budget follows from the budget.
    solved = ("model.hidden_size",) if config.get("size_budget") else ()
    for key in (*RUN_ONLY, *user_keys, *solved, *without):
        group, _, name = key.rpartition(".")
        node = value_at(config, group) if "." in key else config
        if isinstance(node, dict):
            node.pop(name, None)
    return config


def _replace_files(identity: dict[str, Any], inputs: Iterable[Mapping[str, Any]]) -> None:
    """Put the digests of the user's own files, see `rnnexp.runs.frozen.inputs`, in place of their paths."""
    for file in inputs:
        node: Any = identity
        *parents, last = (int(part) if part.isdecimal() else part for part in str(file["key"]).split("."))
        for parent in parents:
            node = node[parent] if _has(node, parent) else None
        if _has(node, last):
            node[last] = file["sha256"]
        else:
            # A file that no key names by itself: of a set of images, or with the source of a module.
            identity.setdefault("inputs", {})[file["key"]] = file["sha256"]


def _has(node: Any, key: str | int) -> bool:  # noqa: ANN401
    if isinstance(node, list):
        return isinstance(key, int) and key < len(node)
    return isinstance(node, dict) and key in node


def _relevant_callbacks(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the callbacks that may change the results, without their output paths."""
    directory = str((config.get("paths") or {}).get("output_dir"))
    relevant: dict[str, Any] = {}
    for name, node in (config.get("callbacks") or {}).items():
        if node is None or _is_harmless(node, config):
            continue
        relevant[name] = copy.deepcopy(dict(node))
        if str(node.get("_target_")).startswith("rnnexp."):
            relevant[name].pop("dirpath", None)
        for key, value in node.items():
            # The run directory, or a path in it, only identifies the run.
            if isinstance(value, str) and (value == directory or value.startswith(f"{directory}/")):
                relevant[name].pop(key, None)
    return relevant


def _is_harmless(callback: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    target = str(callback.get("_target_"))
    class_name = target.rpartition(".")[2]
    if target.startswith("rnnexp.") and class_name == "KeptCheckpoints":
        return bool(config.get("test_weights") != "average")
    return any(target.startswith(start) and class_name in names for start, names in HARMLESS_CALLBACKS.items())
