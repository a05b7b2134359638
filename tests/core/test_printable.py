"""Text from elsewhere is shown in one line, without characters that control a terminal or cannot be written."""

import pytest

from rnnexp.core.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ü, 漢字, 🙂, ± – …", "plain, ü, 漢字, 🙂, ± – …"),
        ("two\nlines\r\nand\ta tab", "two lines and a tab"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x00\x07\x7f\x9b", "\\x00\\x07\\x7f\\x9b"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("a\u2028b\x85c", "a\\u2028b\\x85c"),
        ("\udce4", "\\udce4"),
        ("e\u0301 and नि", "e\u0301 and नि"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    printable(text).encode("utf-8")


def test_a_long_text_is_cut() -> None:
    assert printable("x" * 12, most=10) == "xxxxxxxxxx… (2 more characters)"
    assert len(printable("\x1b" * 10**6)) < 10_000
