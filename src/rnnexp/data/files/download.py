"""Downloads of complete files, with their progress."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence

from rnnexp.core.progress import Progress
from rnnexp.data.files.compressed import BadFileError, Content

CHUNK_SIZE = 1 << 16

Accept = Callable[[str, bytes, str], Content]
"""(name, content as received, url) of a download -> the content to store; raises SourceError or BadFileError."""


class SourceError(Exception):
    """A source that cannot supply the files. The message gives the reason; another source may have them."""


def download_files(
    names: Sequence[str], addresses: Sequence[str], accept: Accept, timeout_seconds: float
) -> Iterable[tuple[str, Content]]:
    """Yield each file with the content to store, from the first address that has it.

    Args:
        names: the names of the files at the addresses.
        addresses: base addresses, tried in order. One that fails is not used again.
        accept: the function that checks the content that was received.
        timeout_seconds: how long to wait for a server to connect or to send data.

    Raises:
        SourceError: when no address is left, with the reason of each.
    """
    remaining = list(addresses)
    reasons = [] if remaining else ["no address given"]
    for name in names:
        while remaining:
            url = f"{remaining[0].rstrip('/')}/{name}"
            try:
                content = accept(name, download(url, timeout_seconds), url)
            except (SourceError, BadFileError) as error:
                reasons.append(str(error))
                del remaining[0]
            else:
                yield name, content
                break
        else:
            raise SourceError("; ".join(reasons))


def download(url: str, timeout_seconds: float) -> bytes:
    """Return the content at an address. The user's proxy and certificate settings apply.

    Args:
        url: the address.
        timeout_seconds: how long to wait for the server to connect or to send data.

    Raises:
        SourceError: if it cannot be fetched or is truncated.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "rnnexp"})  # noqa: S310 (the user's own address)
    received = bytearray()
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310
            total = int(length) if (length := response.headers.get("Content-Length")) else None
            with Progress(f"downloading {url}", total, "B") as progress:
                while chunk := response.read1(CHUNK_SIZE):
                    received += chunk
                    progress.advance(len(chunk))
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(f"{url}: HTTP {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise SourceError(f"{url}: silent for {timeout_seconds:g} s after {len(received):,} bytes") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SourceError(f"{url}: {reason}") from error
    if total is not None and len(received) != total:
        raise SourceError(f"{url}: truncated: {len(received):,} of {total:,} bytes received")
    return bytes(received)
