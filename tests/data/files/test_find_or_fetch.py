"""Files that belong together, fetched from sources that fail in part."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from rnnexp.core.errors import UserError
from rnnexp.data.files.download import SourceError
from rnnexp.data.files.find_or_fetch import Source, find_file, find_files, find_or_fetch


def source(*has: str, asked: list[list[str]] | None = None) -> Source:
    """Return a source that has these files, and fails at others."""

    def supply(files: Sequence[str]) -> Iterable[tuple[str, bytes]]:
        if asked is not None:
            asked.append(list(files))
        for file in files:
            if file not in has:
                raise SourceError(f"there is no {file}")
            yield file, file.encode()

    return supply


def test_files_are_found_in_one_directory_compressed_or_not(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first / "a", second / "a.gz", second / "b"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert find_files([first, second], ["a", "b"]) == {"a": second / "a.gz", "b": second / "b"}
    assert find_files([first, second], ["a"]) == {"a": first / "a"}
    assert find_files([first], ["a", "b"]) is None
    (second / "a").touch()
    assert find_file(second, "a") == second / "a"
    assert find_file(second, "c") is None


def test_missing_files_are_requested_from_the_next_source(tmp_path: Path) -> None:
    asked: list[list[str]] = []
    sources = {"first": source("a", asked=asked), "second": source("a", "b", asked=asked)}
    found = find_or_fetch("corpus 'x'", ["a", "b"], [tmp_path / "x", tmp_path], sources)
    assert found == {"a": tmp_path / "x" / "a", "b": tmp_path / "x" / "b"}
    assert {path.read_text(encoding="utf-8") for path in found.values()} == {"a", "b"}
    assert asked == [["a", "b"], ["b"]]
    assert find_or_fetch("corpus 'x'", ["a", "b"], [tmp_path / "x"], {}) == found


def test_the_error_names_the_missing_files_the_directory_and_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_or_fetch("corpus 'x'", ["a", "b"], [tmp_path], {"one": source("a"), "other": source()})
    assert str(caught.value).split("\n") == [
        "cannot get b of the corpus 'x':",
        f"  files: not all in {tmp_path};",
        "  one: there is no b;",
        "  other: there is no b.",
        f"Place it in {tmp_path}, uncompressed or as .gz, or name another place with data.root=",
    ]


def test_other_files_in_the_directory_are_named(tmp_path: Path) -> None:
    for name in ("archive.zip", "a.gz", *"defgh"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"holds archive\.zip, d, e, f, g and 1 more, which were not used;"):
        find_or_fetch("corpus 'x'", ["a", "b"], [tmp_path], {"one": source()})


def test_without_sources_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot get a, b of the corpus 'x':.*\n.*\n  sources: data\.mirrors or "):
        find_or_fetch("corpus 'x'", ["a", "b"], [tmp_path / "x"], {})
    assert list(tmp_path.iterdir()) == []
