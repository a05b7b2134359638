"""The checkpoint from which a run continues, chosen without torch, so that a sweep can list its jobs quickly."""

import logging
from pathlib import Path

from rnnexp.core.atomic_files import put_aside, remove_temporary_files
from rnnexp.core.sealed_archive import is_whole
from rnnexp.tracking.run_directory import RunDirectory

log = logging.getLogger(__name__)


def resumable_checkpoint(run: RunDirectory) -> Path | None:
    """Return the latest readable checkpoint of a run's training: `last.ckpt`, else its predecessor `previous.ckpt`.

    Returns:
        The path; None if the run has neither, or both are damaged.
    """
    return next(filter(is_whole, (run.last_checkpoint, run.previous_checkpoint)), None)


def clean_up_checkpoints(run: RunDirectory) -> None:
    """Remove what killed writers have left beside the checkpoints of a run that continues, and put damaged ones aside.

    `last.ckpt` and `previous.ckpt` are renamed, since a checkpoint that is written later must not replace a readable
    one by a damaged one.
    """
    remove_temporary_files(run.path)
    remove_temporary_files(run.checkpoints)
    for path in (run.last_checkpoint, run.previous_checkpoint):
        if path.is_file() and not is_whole(path):
            aside = put_aside(path)
            chosen = resumable_checkpoint(run)
            instead = f"its predecessor {chosen.name} is used" if chosen else "the run begins anew"
            log.warning("%s is damaged and was renamed to %s: %s", path, aside.name, instead)
