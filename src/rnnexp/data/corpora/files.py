"""The published files of a corpus: those that are there already, else fetched once, whole and checked."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.data.files.download import SourceError, download_bytes, store
from rnnexp.data.files.lock import lock_directory
from rnnexp.data.images.idx import BadFileError

log = logging.getLogger(__name__)

Check = Callable[[bytes, str], object]
"""(content, where) of a file as it is published, compressed; raises BadFileError, naming `where`."""


def find_or_fetch(
    directory: Path, name: str, files: Mapping[str, Check], addresses: Sequence[str], timeout_seconds: float
) -> dict[str, Path]:
    """The files of a corpus, after fetching those that are missing.

    Only one process fetches; others that start meanwhile wait for it. A file gets its final name when it is whole and
    checked, and no file that is there already is replaced.

    Args:
        directory: where they are looked for, `.gz` files uncompressed too, and where fetched ones are put.
        name: of the corpus.
        files: their names, each with the check that a fetched one must pass.
        addresses: base addresses to fetch from, in order; without any, nothing is ever fetched.
        timeout_seconds: how long a server may take to connect or be silent.

    Returns:
        The path of each file, by its name.

    Raises:
        UserError: if a file cannot be had from any address, with the reason of each; or cannot be written.
    """
    if missing := missing_files(directory, files):
        if not addresses:
            raise cannot_get(name, missing, directory, ["nothing to fetch from: data.mirrors is empty"])
        with lock_directory(directory, f"fetching {name}"):
            for file in missing_files(directory, files):  # another process may have fetched them meanwhile
                store(directory / file, fetch(directory, name, file, files[file], addresses, timeout_seconds))
                log.info("%s is in %s", file, directory)
    return {file: path for file in files if (path := find(directory, file))}


def find(directory: Path, file: str) -> Path | None:
    """That file in that directory, as published or uncompressed."""
    candidates = (directory / file, directory / file.removesuffix(".gz"))
    return next((path for path in candidates if path.is_file()), None)


def missing_files(directory: Path, files: Mapping[str, Check]) -> list[str]:
    """Those that are not there."""
    return [file for file in files if not find(directory, file)]


def fetch(
    directory: Path, name: str, file: str, check: Check, addresses: Sequence[str], timeout_seconds: float
) -> bytes:
    """The checked content of a file from the first address that gives a good one.

    Raises:
        UserError: if none does.
    """
    reasons = []
    for address in addresses:
        url = f"{address.rstrip('/')}/{file}"
        try:
            content = download_bytes(url, timeout_seconds)
            check(content, url)
        except (SourceError, BadFileError) as error:
            reasons.append(str(error))
        else:
            return content
    raise cannot_get(name, [file], directory, reasons)


def cannot_get(name: str, files: Sequence[str], directory: Path, reasons: Sequence[str]) -> UserError:
    """What could not be had, why, and what the user can do."""
    return UserError(
        f"cannot get {', '.join(files)} of the corpus {name!r}:\n"
        + "".join(f"  {reason}\n" for reason in reasons)
        + f"Place {'it' if len(files) == 1 else 'them'} in {directory}, or name another place with data.root="
    )
