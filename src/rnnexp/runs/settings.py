"""The values of a run, read from its resolved config and checked when the run begins."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.core.validation import expand_home, require_positive, validate_choice
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
        _validate(config)
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


def _validate(config: Mapping[str, Any]) -> None:
    for key in REQUIRED:
        _require_key(config, key)
    for group in GROUPS:
        _require(isinstance(config[group], Mapping), group, "a mapping", config[group])
    _validate_seed(config["seed"])
    trainer, optimizer = config["trainer"], config["optimizer"]
    for key in ("max_epochs", "max_steps"):
        _require(isinstance(trainer[key], int | None), f"trainer.{key}", "a whole number", trainer[key])
    if "lr" in optimizer:
        rate = optimizer["lr"]
        is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
        _require(is_number and rate >= 0, "optimizer.lr", "a number of at least 0", rate)
    _require(isinstance(config["ckpt_path"], str | None), "ckpt_path", "the path of a checkpoint", config["ckpt_path"])
    for key, value in (("model.bidirectional", config["model"]["bidirectional"]), ("tf32", config["tf32"])):
        _require(isinstance(value, bool), key, "true or false", value)
    if not isinstance(config["tags"], list):
        raise UserError(f"tags must be a list, not {config['tags']!r}: write tags=[{config['tags']}]")
    _validate_test_weights(str(config["test_weights"]), config["callbacks"])
    try:
        if config["num_threads"] is not None:
            require_positive(num_threads=config["num_threads"])
        for key in ("accumulate_grad_batches", "log_every_n_steps"):
            require_positive(**{f"trainer.{key}": trainer[key]})
    except ValueError as error:
        raise UserError(str(error)) from None


def _validate_seed(seed: object) -> None:
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise UserError(f"seed must be a whole number, not {seed!r}")
    if not 0 <= seed < 2**63:
        raise UserError(f"seed must be at least 0 and below 2 to the 63rd, not {seed}")


def _validate_test_weights(test_weights: str, callbacks: Mapping[str, Any]) -> None:
    try:
        validate_choice("weights to test", test_weights, TEST_WEIGHTS)
    except ValueError as error:
        raise UserError(str(error)) from None
    if test_weights == "average" and callbacks.get("kept_checkpoints") is None:
        raise UserError(
            "test_weights=average has no epochs to average: set callbacks.kept_checkpoints, as callbacks=averaging "
            "does for translation, or choose test_weights=best"
        )


def _require(is_valid: bool, key: str, what: str, value: object) -> None:
    if not is_valid:
        raise UserError(f"{key} must be {what}, not {value!r}")


def _require_key(config: Mapping[str, Any], key: str) -> None:
    node: Any = config
    for number, part in enumerate(parts := key.split("."), start=1):
        if not isinstance(node, Mapping) or part not in node:
            missing = ".".join(parts[:number])
            raise UserError(f"{missing} was deleted with ~{missing}, but it is required: keep it")
        node = node[part]
