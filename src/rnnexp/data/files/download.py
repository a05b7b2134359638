"""One file from the web: received whole, with its progress, and stored whole."""

import http.client
import urllib.error
import urllib.request
from pathlib import Path

from rnnexp.core.atomic_files import written_atomically
from rnnexp.core.errors import UserError
from rnnexp.data.files.progress import DownloadProgress

CHUNK_SIZE = 1 << 16


class SourceError(Exception):
    """A source cannot give the files; the message says why in a few words. The next source may."""


def download_bytes(url: str, timeout_seconds: float) -> bytes:
    """What an address gives, as it comes. The user's proxy and certificate settings apply.

    Args:
        timeout_seconds: how long the server may take to connect or be silent.

    Raises:
        SourceError: if it cannot be fetched or is cut short.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "rnnexp"})  # noqa: S310 (the user's own address)
    received = bytearray()
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310
            total = int(length) if (length := response.headers.get("Content-Length")) else None
            progress = DownloadProgress(url, total)
            try:
                while chunk := response.read1(CHUNK_SIZE):
                    received += chunk
                    progress.update(len(received))
            finally:
                progress.close()
    except urllib.error.HTTPError as error:
        raise SourceError(f"{url}: HTTP {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise SourceError(f"{url}: silent for {timeout_seconds:g} s after {len(received):,} bytes") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SourceError(f"{url}: {reason}") from error
    if total is not None and len(received) != total:
        raise SourceError(f"{url}: truncated: {len(received):,} of {total:,} bytes arrived")
    return bytes(received)


def store(path: Path, content: bytes | memoryview) -> None:
    """Writes a file whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        with written_atomically(path) as file:
            file.write(content)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}): make room, or name another place with data.root="
        ) from error
