"""Translations are read back line by line, with any characters."""

import json
from pathlib import Path

import pytest

from rnnexp.core.errors import UserError
from rnnexp.tracking.translations_file import read_translations

ODD = ["a\u2028b", "a\u2029b", "a\u0085b", "a\x0bb\x0c\x1c", "a\rb\nc", "é ﷽"]


def test_unicode_line_separators_do_not_end_a_line(tmp_path: Path) -> None:
    file = tmp_path / "test_translations.jsonl"
    rows = [{"translation": text} for text in ODD]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert read_translations(file) == rows


@pytest.mark.parametrize(
    ("content", "problem"), [(b'{"a": 1}\n{"a"', "cut short"), (b"[1]\n", "cut short"), (b"\xff\n", "not UTF-8")]
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "test_translations.jsonl"
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"test_translations\.jsonl .*{problem}"):
        read_translations(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"test_translations\.jsonl is missing"):
        read_translations(tmp_path / "test_translations.jsonl")
