"""Files that are complete or absent: written under a temporary name beside the target, then renamed."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rnnexp.core.bounded_files import UnboundedError, read_bounded_text, require_bounded, without_infinities
from rnnexp.core.errors import UserError


@contextmanager
def written_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that gets its name when the block ends without an error; until then `path` is unchanged.

    The process may be killed at any time. The file is not forced to disk, so a power failure may lose it.
    """
    # A unique name, so that several writers of one target do not conflict; the last one wins.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    # The mode of a new file before the system applies the umask.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file atomically."""
    with written_atomically(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8 atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401
    """Write a JSON file atomically. NaN and infinity, which JSON does not know, become null."""
    write_text(path, json.dumps(without_infinities(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Null replaces NaN and infinity.

    Raises:
        UserError: if the file is missing, holds no JSON object, or exceeds the bounds of `rnnexp.core.bounded_files`.
    """
    try:
        value = json.loads(read_bounded_text(path))
        require_bounded(value)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
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
