"""The checkpoint from which a run continues, chosen without torch, so that a sweep can list its jobs quickly."""

import logging
from pathlib import Path

from rnnexp.core.files.atomic import put_aside
from rnnexp.core.files.sealed_archive import is_whole
from rnnexp.tracking.run_directory import RunDirectory

log = logging.getLogger(__name__)


def resumable_checkpoint(run: RunDirectory) -> Path | None:
    """Return the latest readable checkpoint of a run's training: `last.ckpt`, else its predecessor `previous.ckpt`.

    Returns:
        The path; None if the run has neither, or both are damaged.
    """
    return next(filter(is_whole, (run.last_checkpoint, run.previous_checkpoint)), None)


def put_damaged_checkpoints_aside(run: RunDirectory) -> Path | None:
    """Rename `last.ckpt` and `previous.ckpt` to `*.damaged` if they are damaged, say so, and return the latest other.

    A checkpoint that is written later must not replace a readable one by a damaged one.

    Returns:
        The path; None if the run has neither, or both are damaged.

    Raises:
        UserError: if they are in a directory of another run.
    """
    found = {path: is_whole(path) for path in (run.last_checkpoint, run.previous_checkpoint) if path.is_file()}
    if found:
        run.require_own_files(run.checkpoints)
    chosen = next((path for path, whole in found.items() if whole), None)
    for path in (path for path, whole in found.items() if not whole):
        instead = f"{chosen.name} is used" if chosen else "the run begins anew"
        log.warning("%s is damaged and was renamed to %s: %s", path, put_aside(path).name, instead)
    return chosen
