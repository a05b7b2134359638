"""Files that are complete or absent: written under a temporary name beside the target, then renamed."""

import json
import math
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rnnexp.core.errors import UserError


@contextmanager
def written_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that takes its name only when the block ends well; until then `path` is unchanged.

    The file survives the death of the process at any time. It is not forced to disk, so a power failure may lose it.
    """
    # A name of its own: several writers of one target do not meet, and the last one wins.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    # Readable for others as far as the umask, which the system applies here, allows it.
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
    write_text(path, json.dumps(_nan_to_none(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _nan_to_none(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nan_to_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        UserError: if the file is missing or holds no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); was it cut short?") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}, not an object")
    return value
