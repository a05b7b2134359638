"""MNIST-like files from the web: the addresses that torchvision knows, or those of the user."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from rnnexp.data.files.download import SourceError, download_bytes
from rnnexp.data.images.files import check_content
from rnnexp.data.images.idx import BadFileError, Bytes, decompress

TORCHVISION_NAMES = ("MNIST", "FashionMNIST", "KMNIST")


def torchvision_mirrors(name: str) -> tuple[list[str], dict[str, str]]:
    """The base addresses of a dataset and the MD5 of each `.gz` file there, as torchvision has them.

    Raises:
        SourceError: for a dataset that torchvision does not know, or without a working torchvision.
    """
    if name not in TORCHVISION_NAMES:
        raise SourceError(f"torchvision knows {', '.join(TORCHVISION_NAMES)}; give addresses as data.mirrors=[URL]")
    try:
        from torchvision import datasets  # type: ignore[import-untyped]  # here, because it takes seconds to import and is rarely needed
    except (ImportError, RuntimeError) as error:  # RuntimeError: its operators do not fit the torch that is installed
        raise SourceError(f"torchvision does not import ({error})") from error
    dataset = getattr(datasets, name)
    return list(dataset.mirrors), dict(dataset.resources)


def fetch_from_mirrors(
    name: str, files: Iterable[str], mirrors: Sequence[str], md5: Mapping[str, str], timeout_seconds: float
) -> Iterable[tuple[str, Bytes]]:
    """Yields each file with its uncompressed content, checked, from the first mirror that gives a good one.

    Args:
        files: names of the files, without `.gz`.
        mirrors: base addresses, tried in order. One that fails is not asked again.
        md5: of the `.gz` files, where known.
        timeout_seconds: how long a mirror may take to connect or be silent.

    Raises:
        SourceError: when no mirror is left, with the reason of each.
    """
    left = list(mirrors)
    reasons = [] if left else ["no address given"]
    for file in files:
        while left:
            url = f"{left[0].rstrip('/')}/{file}.gz"
            try:
                content = download(url, timeout_seconds, md5.get(f"{file}.gz"))
                check_content(name, file, content, url)
            except (SourceError, BadFileError) as error:
                reasons.append(str(error))
                del left[0]
            else:
                yield file, content
                break
        else:
            raise SourceError("; ".join(reasons))


def download(url: str, timeout_seconds: float, md5: str | None = None) -> Bytes:
    """The uncompressed content of a `.gz` file on the web.

    Raises:
        SourceError: if it cannot be fetched, is cut short, or has another MD5.
        BadFileError: if it is not sound gzip.
    """
    received = download_bytes(url, timeout_seconds)
    content = decompress(received, url)
    if md5 is not None and hashlib.md5(received, usedforsecurity=False).hexdigest() != md5:
        raise SourceError(f"{url}: not the published file (its MD5 differs)")
    return content
