"""Downloads of whole files, with their progress."""

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
    """A source cannot supply the files; the message says why in a few words. Another source may."""


def download_files(
    names: Sequence[str], addresses: Sequence[str], accept: Accept, timeout_seconds: float
) -> Iterable[tuple[str, Content]]:
    """Yield each file with the content to store, from the first address that has a good one.

    Args:
        names: the names of the files, as the addresses have them.
        addresses: base addresses, tried in order. One that fails is not asked again.
        accept: checks what was received.
        timeout_seconds: how long a server may take to connect or be silent.

    Raises:
        SourceError: when no address is left, with the reason of each.
    """
    left = list(addresses)
    reasons = [] if left else ["no address given"]
    for name in names:
        while left:
            url = f"{left[0].rstrip('/')}/{name}"
            try:
                content = accept(name, download(url, timeout_seconds), url)
            except (SourceError, BadFileError) as error:
                reasons.append(str(error))
                del left[0]
            else:
                yield name, content
                break
        else:
            raise SourceError("; ".join(reasons))


def download(url: str, timeout_seconds: float) -> bytes:
    """Return the content at an address, as it is sent. The user's proxy and certificate settings apply.

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
        raise SourceError(f"{url}: truncated: {len(received):,} of {total:,} bytes arrived")
    return bytes(received)
