"""The one command that uploads what went offline."""

import shlex
from collections import defaultdict
from pathlib import Path


def sync_command(directory: Path) -> str | None:
    """The command line that uploads every offline W&B run below a directory; None if none is left to upload.

    Runs that lie alike are one pattern for the shell, so that a sweep of hundreds is still a line that can be read.
    `wandb sync` passes over what it has uploaded before.
    """
    runs = [
        path for path in directory.rglob("offline-run-*/run-*.wandb") if not path.with_suffix(".wandb.synced").exists()
    ]
    places = sorted({path.parents[1] for path in runs})
    if not places:
        return None
    alike: dict[int, list[tuple[str, ...]]] = defaultdict(list)
    for place in places:
        parts = place.relative_to(directory).parts
        alike[len(parts)].append(parts)
    return " ".join(["wandb sync", *(_pattern(directory, group) for group in alike.values())])


def _pattern(directory: Path, places: list[tuple[str, ...]]) -> str:
    """What the shell expands to all of these places, of equally many parts each."""
    parts = (shlex.quote(names[0]) if len(set(names)) == 1 else "*" for names in zip(*places, strict=True))
    return "/".join([shlex.quote(str(directory)), *parts])
