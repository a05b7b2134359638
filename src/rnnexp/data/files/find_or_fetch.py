"""A search for files that belong together, which are fetched once if they are missing."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import write_bytes
from rnnexp.data.files.compressed import Content
from rnnexp.data.files.download import SourceError
from rnnexp.data.files.lock import lock_directory

log = logging.getLogger(__name__)

SUFFIXES = ("", ".gz", ".bz2", ".xz")
"""The suffixes of a file that is found, in the order in which they are tried."""
MAX_LISTED = 5
Spellings = Callable[[str], Sequence[str]]

Source = Callable[[Sequence[str]], Iterable[tuple[str, Content]]]
"""The names of missing files -> (name to store it under, checked content) of each.

It raises SourceError, with the reason, when it cannot supply one; the files before that one are kept.
"""


def find_or_fetch(
    what: str,
    files: Sequence[str],
    directories: Sequence[Path],
    sources: Mapping[str, Source],
    spellings: Spellings = lambda file: [file],
) -> dict[str, Path]:
    """Return the path of each file, after fetching those that are missing.

    Only one process fetches; others wait for it. A file gets its final name when it is complete and checked, and no
    existing file is replaced.

    Args:
        what: the description of the files in messages: `corpus 'multi30k'`.
        files: their names, without the suffix of a compression.
        directories: the directories to search, one of which must have all files; fetched files are stored in the first.
        sources: the functions that fetch files, by name, in the order to try. If empty, nothing is fetched or written.
        spellings: the function that returns the names that a file may have in a directory.

    Raises:
        UserError: if no source can supply them, with the reason of each; or if they cannot be stored.
    """
    if paths := find_files(directories, files, spellings):
        return paths
    if not sources:
        raise _cannot_get(what, files, directories, {"sources": "data.mirrors or data.download_from is empty"})
    with lock_directory(directories[0], f"fetching the {what}"):
        # Another process may have fetched them meanwhile.
        return find_files(directories, files) or _fetch(what, files, directories, sources)


def find_files(
    directories: Sequence[Path], files: Sequence[str], spellings: Spellings = lambda file: [file]
) -> dict[str, Path] | None:
    """Return the path of each file, in the first directory that has them all; None if no directory has."""
    for directory in directories:
        paths = {file: path for file in files if (path := find_file(directory, file, spellings))}
        if len(paths) == len(files):
            return paths
    return None


def find_file(directory: Path, file: str, spellings: Spellings = lambda file: [file]) -> Path | None:
    """Return the path of a file in a directory, uncompressed or else compressed; None if it is missing."""
    candidates = (directory / f"{name}{suffix}" for name in spellings(file) for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def store(path: Path, content: Content) -> None:
    """Write a file atomically.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        write_bytes(path, memoryview(content))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}): make room, or name another place with data.root="
        ) from error


def _fetch(
    what: str, files: Sequence[str], directories: Sequence[Path], sources: Mapping[str, Source]
) -> dict[str, Path]:
    """Fetch the missing files from one source after the other. The caller holds the lock."""
    directory = directories[0]
    reasons = {}
    for name, source in sources.items():
        try:
            for file, content in source(_missing(directory, files)):
                store(directory / file, content)
        except SourceError as error:
            reasons[name] = str(error)
            log.warning("cannot get the %s from %s: %s", what, name, error)
        if paths := find_files([directory], files):
            log.info("the %s is in %s", what, directory)
            return paths
    raise _cannot_get(what, files, directories, reasons)


def _missing(directory: Path, files: Sequence[str]) -> list[str]:
    return [file for file in files if not find_file(directory, file)]


def _cannot_get(what: str, files: Sequence[str], directories: Sequence[Path], reasons: Mapping[str, str]) -> UserError:
    missing = _missing(directories[0], files)
    places = {"files": f"not all in {' or '.join(map(str, directories))}{_others(files, directories)}"}
    return UserError(
        f"cannot get {', '.join(missing)} of the {what}:\n"
        + ";\n".join(f"  {name}: {reason}" for name, reason in (places | dict(reasons)).items())
        + f".\nPlace {'it' if len(missing) == 1 else 'them'} in {directories[0]}, uncompressed or as .gz, "
        "or name another place with data.root="
    )


def _others(files: Sequence[str], directories: Sequence[Path]) -> str:
    """Return a description of other files in the directories, such as an archive that was not unpacked."""
    found: list[str] = []
    wanted = {f"{file}{suffix}" for file in files for suffix in SUFFIXES}
    for directory in filter(Path.is_dir, directories):
        present = sorted(path.name for path in directory.iterdir() if path.is_file() and path.name[0] != ".")
        if others := [name for name in present if name not in wanted]:
            more = f" and {len(others) - MAX_LISTED} more" if len(others) > MAX_LISTED else ""
            found.append(f"; {directory} holds {', '.join(others[:MAX_LISTED])}{more}, which were not used")
    return "".join(found)
