"""Files that are whole or absent: written under a temporary name beside the target, then renamed."""

import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rnnexp.core.errors import UserError


@contextmanager
def written_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes its name only when the block ends well; until then `path` is untouched."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        # mkstemp makes private files; results are meant to be read by others, as the umask allows.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    with written_atomically(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401
    """NaN and infinity, for which JSON has no word, become null."""
    write_text(path, json.dumps(_in_words_of_json(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _in_words_of_json(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _in_words_of_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_words_of_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> dict[str, Any]:
    """Raises UserError for a file that is missing or is not a JSON object."""
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); was it cut short?") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}, not an object")
    return value
