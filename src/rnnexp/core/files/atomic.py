"""Files that are complete or absent: written under a temporary name beside the target, then renamed."""

import errno
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rnnexp.core.errors import UserError
from rnnexp.core.files.bounded import UnboundedError, read_bounded_text, require_bounded, without_infinities
from rnnexp.core.printable import HIDDEN, mask_secrets

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}")
"""The temporary names of files that are being written."""

before_write: list[Callable[[Path], None]] = []
"""Functions that are called with a path before it is written and before its file gets its name: checks of locks."""


@contextmanager
def written_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that gets its name when the block ends without an error; until then `path` is unchanged.

    The process may be killed at any time, and the power may fail: the content is on disk before the file gets its name,
    and the name is on disk when the block has ended.
    """
    # A unique name, so that several writers of one target do not conflict; the last one wins.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    _check(path)
    try:
        # The mode of a new file before the system applies the umask.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _check(path)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            # A full disk: the error of a write has no name.
            error.filename = str(path)
        raise
    sync_directory(path.parent)


def _check(path: Path) -> None:
    for check in before_write:
        check(path)


def sync_directory(path: Path) -> None:
    """Force the names in a directory to disk. Do nothing where the file system has no such call."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        # It may be written to, but not listed.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)


def remove_temporary_files(directory: Path) -> None:
    """Delete what writers that were killed have left in a directory. No other process may write there."""
    if directory.is_dir():
        for path in directory.iterdir():
            if TEMPORARY.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                path.unlink(missing_ok=True)


def put_aside(path: Path) -> Path:
    """Rename a damaged file or directory to a name of `name_of_damaged`, and return the new path."""
    target = name_of_damaged(path)
    path.rename(target)
    sync_directory(path.parent)
    return target


def name_of_damaged(path: Path) -> Path:
    """Return the first of `<name>.damaged`, `<name>.damaged-2` and so on that does not exist."""
    number, target = 1, path.with_name(f"{path.name}.damaged")
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    return target


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file atomically."""
    with written_atomically(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8 atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401
    r"""Write a JSON file atomically, without secrets. NaN and infinity, which JSON does not know, become null.

    Characters that control a terminal are written as `\u....`, which means the same in JSON.
    """
    text = json.dumps(mask_secrets(without_infinities(value)), indent=2, ensure_ascii=False, allow_nan=False)
    # A dumped text has no control characters but the line ends between values.
    shown = HIDDEN.sub(lambda match: match[0] if match[0] == "\n" else json.dumps(match[0])[1:-1], text)
    write_text(path, shown + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Null replaces NaN and infinity.

    Raises:
        UserError: if the file is missing, cannot be read, holds no JSON object, or exceeds the bounds of
            `rnnexp.core.files.bounded`.
    """
    try:
        value = json.loads(read_bounded_text(path))
        require_bounded(value)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except RecursionError:
        raise UserError(f"{path} is nested too deeply: it is not from rnnexp") from None
    except UnboundedError as error:
        raise UserError(f"{path} {error}: it is not from rnnexp") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); was it cut short?") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}, not an object")
    finite = without_infinities(value)
    assert isinstance(finite, dict)
    return finite


def find_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if it cannot be read."""
    try:
        return read_json(path)
    except UserError:
        return {}
