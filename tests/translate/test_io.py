"""Sentences are read from files and pipes, and translations written to them."""

import sys
from pathlib import Path

import pytest

from rnnexp.translate import __main__ as translate
from support.programs import call
from support.translating import SENTENCES, Translate, piped


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("finished_line", [True, False])
def test_a_file_is_translated_like_a_pipe(
    say: Translate, tmp_path: Path, end: str, mark: bytes, finished_line: bool
) -> None:
    content = (mark + piped(SENTENCES, end)).replace(b" ", b" " + mark)
    content = content if finished_line else content.removesuffix(end.encode())
    (tmp_path / "text.en").write_bytes(content)
    expected = say(piped=piped(SENTENCES)).stdout
    assert say(f"input={tmp_path}/text.en").stdout == expected
    assert say(piped=content).stdout == expected


def test_translations_are_written_to_a_file(say: Translate, tmp_path: Path) -> None:
    (tmp_path / "text.en").write_bytes(piped(SENTENCES))
    outcome = say(f"input={tmp_path}/text.en", f"output={tmp_path}/text.fr")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "", "")
    assert (tmp_path / "text.fr").read_bytes() == say(piped=piped(SENTENCES)).stdout.encode()


def test_a_file_is_written_completely_or_not_at_all(say: Translate, tmp_path: Path) -> None:
    (tmp_path / "text.fr").write_text("as it was", encoding="utf-8")
    outcome = say(f"output={tmp_path}/text.fr", "batch_size=1", piped=piped(SENTENCES) + b"\xff\n")
    assert outcome.exit_code == 2
    assert "standard input: line 8: not UTF-8 (byte 0xff): convert it to UTF-8" in outcome.line
    assert [path.name for path in tmp_path.iterdir()] == ["text.fr"]
    assert (tmp_path / "text.fr").read_text(encoding="utf-8") == "as it was"


def test_empty_input_gives_empty_output(say: Translate, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for outcome in (say(), say(f"input={tmp_path}/empty")):
        assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "", "")


def test_a_standard_input_that_is_closed(tmp_path: Path, translator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    outcome = call(translate.main, tmp_path, [f"run={translator}"])
    assert outcome.exit_code == 2
    assert "standard input is closed: give it sentences, or input=FILE" in outcome.line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("input={tmp}/text.e", "text.e is missing; did you mean 'text.en'?"),
        ("input={tmp}", "cannot be read (Is a directory)"),
        ("input={tmp}/bad.en", "bad.en: line 3: not UTF-8 (byte 0xe9): convert the file to UTF-8"),
        ("input={tmp}/other.jsonl", "other.jsonl: a row has no source: name the test_translations.jsonl of a run"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(say: Translate, tmp_path: Path, override: str, message: str) -> None:
    (tmp_path / "text.en").write_text("The cat sleeps.\n", encoding="utf-8")
    (tmp_path / "bad.en").write_bytes(b"a\nb\ncaf\xe9\n")
    (tmp_path / "other.jsonl").write_text('{"text": "The cat sleeps."}\n', encoding="utf-8")
    outcome = say(override.format(tmp=tmp_path), piped=b"The cat sleeps.\n")
    assert outcome.exit_code == 2
    assert message in outcome.line
    assert outcome.stdout == ""
