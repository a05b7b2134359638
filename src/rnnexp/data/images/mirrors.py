"""Downloads of MNIST-like files, from the addresses that torchvision knows or from a user's own."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from rnnexp.data.files.compressed import Content, decompress
from rnnexp.data.files.download import SourceError, download_files
from rnnexp.data.images.files import check_content

TORCHVISION_NAMES = ("MNIST", "FashionMNIST", "KMNIST")


def fetch_from_mirrors(
    name: str, files: Sequence[str], mirrors: Sequence[str] | None, timeout_seconds: float
) -> Iterable[tuple[str, Content]]:
    """Yield each file with its checked, uncompressed content, from the first mirror that has it.

    Args:
        name: the name of the dataset.
        files: names of the files, without `.gz`.
        mirrors: base addresses, tried in order; None for those that torchvision knows.
        timeout_seconds: how long to wait for a mirror to connect or to send data.

    Raises:
        SourceError: when no mirror is left, with the reason of each.
    """
    addresses, md5 = torchvision_mirrors(name) if mirrors is None else (mirrors, {})

    def accept(file: str, received: bytes, url: str) -> bytearray:
        content = decompress(received, url)
        require_md5(received, url, md5.get(file))
        check_content(name, file.removesuffix(".gz"), content, url)
        return content

    for file, content in download_files([f"{file}.gz" for file in files], addresses, accept, timeout_seconds):
        yield file.removesuffix(".gz"), content


def require_md5(content: bytes, url: str, md5: str | None) -> None:
    """Raise SourceError if the content does not have the MD5 that was published; None skips the check."""
    if md5 is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise SourceError(f"{url}: not the published file (its MD5 differs)")


def torchvision_mirrors(name: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return torchvision's base addresses of a dataset and the MD5 of each `.gz` file there.

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
