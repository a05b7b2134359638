"""The command that uploads offline W&B runs."""

import shlex
from collections import defaultdict
from pathlib import Path


def sync_command(directory: Path) -> str | None:
    """Return the command line that uploads every offline W&B run below a directory; None if all are uploaded.

    Runs at the same depth are combined into one pattern for the shell, so that the line of a large sweep stays short.
    `wandb sync` skips runs that it has uploaded before.
    """
    runs = [
        path for path in directory.rglob("offline-run-*/run-*.wandb") if not path.with_suffix(".wandb.synced").exists()
    ]
    parents = sorted({path.parents[1] for path in runs})
    if not parents:
        return None
    by_depth: dict[int, list[tuple[str, ...]]] = defaultdict(list)
    for parent in parents:
        parts = parent.relative_to(directory).parts
        by_depth[len(parts)].append(parts)
    return " ".join(["wandb sync", *(_pattern(directory, group) for group in by_depth.values())])


def _pattern(directory: Path, parts_of_paths: list[tuple[str, ...]]) -> str:
    """Return the shell pattern for paths below a directory that have equally many parts."""
    parts = (shlex.quote(names[0]) if len(set(names)) == 1 else "*" for names in zip(*parts_of_paths, strict=True))
    return "/".join([shlex.quote(str(directory)), *parts])
