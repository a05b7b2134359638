"""The user's own files that a run reads. Their content belongs to the identity of the run, the spelling of a path not.

A frozen config has a node `inputs`, a list of

    key     the config key that names the file, `data.train`; `module:my_cells` for a source file
    path    the absolute path
    sha256  the SHA-256 of the content
    stamp   size, time of the last change in nanoseconds and inode, which tell an unchanged file without reading it
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.core.user_modules import user_modules
from rnnexp.core.validation import expand_home
from rnnexp.data.files.find_or_fetch import find_files
from rnnexp.data.images.files import FILES, OFFICIAL_SHA256, candidate_directories, spellings
from rnnexp.data.images.mirrors import TORCHVISION_NAMES
from rnnexp.tracking.config_file import walk
from rnnexp.tracking.identity import identity_of

GROUPS = ("data", "task", "model", "optimizer", "scheduler")
"""Config groups whose values may name files that a run reads. Callbacks write files."""
FILE_KEYS = ("train", "val", "test", "path")
"""Keys of rnnexp's own data that name files. A class of the user may name files in any key."""
PUBLISHED = {*OFFICIAL_SHA256, *TORCHVISION_NAMES}
"""Datasets whose name identifies their content; they may be fetched after the config was frozen."""
DOTTED_NAME = re.compile(r"[A-Za-z_]\w*([.:][A-Za-z_]\w*)+")

Stamp = tuple[int, int, int]


def with_inputs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with the node `inputs`, and with absolute paths in place of relative ones.

    Args:
        config: the resolved config as plain values.
    """
    changed = {**config, "inputs": []}
    paths = _image_files(config.get("data"))
    for group in GROUPS:
        node = changed.get(group)
        if isinstance(node, Mapping):
            changed[group], found = _with_absolute_paths(node, group, every_key=_is_of_user(node))
            paths |= found
    texts = (value for *_, value in walk(identity_of(changed)) if isinstance(value, str))
    names = {text.replace(":", ".") for text in texts if DOTTED_NAME.fullmatch(text)}
    paths |= {f"module:{module}": path for module, path in user_modules(sorted(names)).items()}
    changed["inputs"] = [
        {"key": key, "path": str(path), "sha256": sha256_of(path, stamp), "stamp": list(stamp)}
        for key, path in sorted(paths.items())
        if (stamp := stamp_of(path)) is not None
    ]
    return changed


def require_unchanged(config: Mapping[str, Any]) -> None:
    """Raise UserError that names the first file of `inputs` in a frozen config whose content has changed."""
    for _, path in changed_inputs(config):
        raise UserError(f"{path} has changed since this run began: restore it, or start a new run with it")


def changed_inputs(config: Mapping[str, Any], without: Collection[str] = ()) -> Iterator[tuple[str, Path]]:
    """Yield key and path of each file of `inputs` whose content has changed.

    A file that is missing is left to its reader, which knows what to do about it.

    Args:
        config: a frozen config.
        without: keys of `data` that have other values now.
    """
    for file in config.get("inputs") or ():
        path = Path(file["path"])
        stamp = None if _depends_on(file["key"], without) else stamp_of(path)
        if stamp is not None and list(stamp) != file["stamp"] and sha256_of(path, stamp) != file["sha256"]:
            yield file["key"], path


def require_same_inputs(config: Mapping[str, Any], earlier: Mapping[str, Any], what: str) -> None:
    """Raise UserError that names the first file that had another content in an earlier run.

    Args:
        config: the frozen config of a run that continues from a checkpoint.
        earlier: the frozen config of the run that saved the checkpoint.
        what: the checkpoint, for the message.
    """
    before = {file["path"]: file["sha256"] for file in earlier.get("inputs") or ()}
    for file in config.get("inputs") or ():
        if before.get(file["path"], file["sha256"]) != file["sha256"]:
            raise UserError(f"{file['path']} has changed since {what} was saved: restore it, or leave out ckpt_path=")


def _depends_on(key: str, names: Collection[str]) -> bool:
    """Return whether the key of an input depends on one of these keys of `data`."""
    group, _, rest = key.partition(".")
    first = re.split(r"[./]", rest)[0]
    # The directory of a set of images follows from its root and its name.
    return group == "data" and bool(({"root", "name"} if first == "root" else {first}) & set(names))


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes with every write to a file; None if it cannot be read."""
    try:
        # A pipe cannot be read twice, and opening it waits for a writer.
        if not path.is_file():
            return None
        with path.open("rb"):
            state = path.stat()
    except OSError:
        return None
    # Unlike the time of the modification, the time of the change cannot be set back.
    return state.st_size, state.st_ctime_ns, state.st_ino


@cache
def sha256_of(path: Path, stamp: Stamp | None) -> str:  # noqa: ARG001 (part of the cache's key)
    """Return the SHA-256 of a file. It is read once in a process for each content, however many jobs use it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_of_user(node: Mapping[str, Any]) -> bool:
    """Return whether a class or a cell in a config group is not of rnnexp."""
    targets = [str(value) for _, key, value in walk(node) if key in ("_target_", "cell")]
    return any("." in target and not target.startswith("rnnexp.") for target in targets)


def _with_absolute_paths(node: Any, prefix: str, every_key: bool) -> tuple[Any, dict[str, Path]]:  # noqa: ANN401
    """Return a node with absolute paths, and its files by key."""
    if isinstance(node, str):
        path = _existing(node)
        if path is None:
            return node, {}
        return str(path), {prefix: path} if path.is_file() else {}
    if not isinstance(node, Mapping | list):
        return node, {}
    items = dict(enumerate(node)) if isinstance(node, list) else dict(node)
    files: dict[str, Path] = {}
    for key, value in items.items():
        if every_key or isinstance(key, int) or key in FILE_KEYS:
            items[key], found = _with_absolute_paths(value, f"{prefix}.{key}", every_key)
            files |= found
    return (list(items.values()) if isinstance(node, list) else items), files


def _existing(text: str) -> Path | None:
    """Return the absolute path of a file or a directory; None if a text names neither."""
    try:
        path = expand_home(text).absolute()
        if not text or not (path.is_file() or path.is_dir()):
            return None
    except (OSError, ValueError, UserError):
        return None
    # A link to a file may have a telling name, such as corpus.tsv.gz, and its target another.
    return path.resolve() if path.is_dir() else path


def _image_files(data: Any) -> dict[str, Path]:  # noqa: ANN401
    """Return the four files of a dataset of the user; an empty dict if one is missing."""
    if not isinstance(data, Mapping):
        return {}
    root, name = data.get("root"), data.get("name")
    place = _existing(root) if isinstance(root, str) else None
    if place is None or not isinstance(name, str) or name in PUBLISHED:
        return {}
    files = find_files(candidate_directories(place, name), FILES, spellings(name)) or {}
    return {f"data.root/{file}": path for file, path in files.items()}
