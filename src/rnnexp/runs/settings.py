"""The values of a run, read from its resolved config and checked when the run begins."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnnexp.cli.value_types import require_values
from rnnexp.core.errors import UserError
from rnnexp.core.validation import expand_home, validate_choice
from rnnexp.tracking.run_directory import RunDirectory

TEST_WEIGHTS = ("best", "last", "average", "none")
GROUPS = ("data", "task", "model", "optimizer", "scheduler", "trainer", "callbacks", "logger", "paths")
REQUIRED = (
    *("name", "seed", "tags", "ckpt_path", "test_weights", "tf32", "num_threads", "retain_memory", "paths.output_dir"),
    *("data._target_", "task._target_", "model.bidirectional", "optimizer", "scheduler", "callbacks", "logger"),
    *("trainer.precision", "trainer.max_epochs", "trainer.max_steps", "trainer.accumulate_grad_batches"),
    "trainer.log_every_n_steps",
)
"""Config keys that every run has. A user can delete any key of a config with `~key`."""

NOT_NULL = (
    *("seed", "monitor", "tf32", "model.bidirectional", "optimizer.lr"),
    *("trainer.accumulate_grad_batches", "trainer.log_every_n_steps"),
)
"""Config keys that have a value if they are there."""


@dataclass(frozen=True)
class RunSettings:
    """The values that the stages of a run use.

    Args:
        directory: the files of the run.
        name: the name of the run, in tables and in W&B.
        seed: the seed of the weights, the order of the batches and dropout.
        tags: labels of the run.
        ckpt_path: the checkpoint to continue from; None to begin with new weights.
        test_weights: the weights to test: best, last, average or none.
        precision: Lightning's name of the precision, `32-true`.
        tf32: whether float32 products on an NVIDIA GPU may round to 10 bits.
        num_threads: threads of PyTorch on the CPU; None for PyTorch's default.
        retain_memory: whether freed memory is kept in the process.
        size_budget: the budget that `model.hidden_size` is solved for, `params:250k`; None for none.
        config: the whole resolved config as plain values, for the record and for the constructors of objects.
    """

    directory: RunDirectory
    name: str
    seed: int
    tags: tuple[str, ...]
    ckpt_path: Path | None
    test_weights: str
    precision: str
    tf32: bool
    num_threads: int | None
    retain_memory: bool
    size_budget: str | None
    config: Mapping[str, Any]

    @classmethod
    def from_config(cls, config: Mapping[str, Any], directory: RunDirectory) -> "RunSettings":
        """Read the settings of a run.

        Args:
            config: the resolved config as plain values.
            directory: the run directory, which may have been moved since the config was written.

        Raises:
            UserError: for a value that would cause a less clear error later, or none.
        """
        require_valid(config)
        ckpt_path = config["ckpt_path"]
        return cls(
            directory=directory,
            name=str(config["name"]),
            seed=config["seed"],
            tags=tuple(str(tag) for tag in config["tags"]),
            ckpt_path=None if ckpt_path is None else expand_home(ckpt_path),
            test_weights=str(config["test_weights"]),
            precision=str(config["trainer"]["precision"]),
            tf32=config["tf32"],
            num_threads=config["num_threads"],
            retain_memory=config["retain_memory"],
            size_budget=config.get("size_budget"),
            config=config,
        )

    def with_hidden_size(self, hidden_size: int) -> "RunSettings":
        """Return the settings with another `model.hidden_size` in their config."""
        return replace(self, config={**self.config, "model": {**self.config["model"], "hidden_size": hidden_size}})


def require_valid(config: Mapping[str, Any]) -> None:
    """Raise UserError for a config with a value that would cause a less clear error later, or none.

    Args:
        config: the resolved config as plain values.
    """
    for key in REQUIRED:
        _require_key(config, key)
    for group in GROUPS:
        _require(isinstance(config[group], Mapping), group, "a mapping", config[group])
    require_values(config)
    for key in NOT_NULL:
        group, _, name = key.rpartition(".")
        node = config[group] if group else config
        _require(node.get(name, "") is not None, key, "a value", None)
    _require(isinstance(config["ckpt_path"], str | None), "ckpt_path", "the path of a checkpoint", config["ckpt_path"])
    if not isinstance(config["tags"], list):
        raise UserError(f"tags must be a list, not {config['tags']!r}: write tags=[{config['tags']}]")
    if config["trainer"].get("fast_dev_run"):
        raise UserError("trainer.fast_dev_run saves no checkpoint and no metrics, which a run needs: use debug=fast")
    _validate_test_weights(str(config["test_weights"]), config["callbacks"])


def _validate_test_weights(test_weights: str, callbacks: Mapping[str, Any]) -> None:
    try:
        validate_choice("weights to test", test_weights, TEST_WEIGHTS)
    except ValueError as error:
        raise UserError(str(error)) from None
    if test_weights == "average" and callbacks.get("kept_checkpoints") is None:
        raise UserError(
            "test_weights=average has no epochs to average: set callbacks.kept_checkpoints, as callbacks=averaging "
            "does, or choose test_weights=best"
        )


def _require(is_valid: bool, key: str, what: str, value: object) -> None:
    if not is_valid:
        raise UserError(f"{key} must be {what}, not {'null' if value is None else repr(value)}")


def _require_key(config: Mapping[str, Any], key: str) -> None:
    node: Any = config
    for number, part in enumerate(parts := key.split("."), start=1):
        if not isinstance(node, Mapping) or part not in node:
            missing = ".".join(parts[:number])
            raise UserError(f"{missing} was deleted with ~{missing}, but it is required: keep it")
        node = node[part]
