"""A trained network, rebuilt from the directory of its run."""

import logging
import pkgutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.validation import expand_home
from rnnexp.runs.checkpoints import (
    checkpoint_errors,
    choose_weights,
    load_network,
    read_checkpoint,
    read_tokenizers,
    require_own_checkpoint,
)
from rnnexp.runs.frozen.config import RESERVED, UntrustedError, read_frozen_config
from rnnexp.tasks.predictor import Predictor, RecordedNetwork
from rnnexp.tasks.registry import kind_of_target
from rnnexp.tracking.run_directory import RunDirectory

log = logging.getLogger(__name__)


def load_predictor(run: str | Path, weights: str | None, trust: Sequence[str]) -> Predictor:
    """Return the trained network of a run, see `rnnexp.load`."""
    directory = RunDirectory.of_finished_run(expand_home(run))
    if unfinished := directory.describe_unfinished():
        log.warning("%s", unfinished)
    try:
        config = read_frozen_config(directory, trust, ("task", "model"))
    except UntrustedError as error:
        raise UserError(f"{error.message}trust={error.modules}") from None
    target = config["task"]["_target_"]
    kind = kind_of_target(target)
    if kind.predictor is None:
        raise UserError(f"{directory.path}: rnnexp.load knows no task {kind.name!r}: use python -m rnnexp.evaluate")
    try:
        checkpoint_file = choose_weights(directory, weights, config["test_weights"])
    except ValueError as error:
        raise UserError(first_line(error)) from None
    checkpoint = read_checkpoint(checkpoint_file)
    require_own_checkpoint(directory, checkpoint, checkpoint_file)
    if "tokenizers" in checkpoint:
        read_tokenizers(checkpoint, checkpoint_file)
    predictor_class: type[Predictor] = resolve_name(kind.predictor)
    task = {key: _as_argument(value) for key, value in config["task"].items() if key not in RESERVED}
    with checkpoint_errors(checkpoint_file):
        record = RecordedNetwork(_as_argument(config["model"]), task, config["data"], checkpoint)
        predictor = predictor_class.of_record(record)
    load_network(predictor.module, checkpoint, checkpoint_file, str(directory.config_file))
    predictor.module.eval()
    return predictor


def _as_argument(node: Any) -> Any:  # noqa: ANN401
    """Return a value of a config, in which a node with a `_target_` is that class or function with its arguments."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        return node
    arguments = {key: _as_argument(value) for key, value in node.items() if key not in RESERVED}
    return partial(pkgutil.resolve_name(node["_target_"]), **arguments)
