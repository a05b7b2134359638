"""Text from elsewhere is shown in one line, without characters that control a terminal or cannot be written."""

from pathlib import Path

import pytest

from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.core.printable import printable, without_secrets
from rnnexp.tracking.config_file import read_config_file, write_config_file
from rnnexp.tracking.identity import config_hash


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:password@host/x", "http://user:***@host/x"),
        (
            "data.mirrors=[http://user:p@ss@host/x,https://b:c@d]",
            "data.mirrors=[http://user:***@host/x,https://b:***@d]",
        ),
        ('{"a": "postgresql+psycopg://me:secret@db:5432/study"}', '{"a": "postgresql+psycopg://me:***@db:5432/study"}'),
        ("socks5://:password@host", "socks5://:***@host"),
        ("https://ghp_0123456789abcdefghij@github.com/a", "https://***@github.com/a"),
        ("http://host/x?token=abc&size=5", "http://host/x?token=***&size=5"),
        ("http://host/?a=1&X-Amz-Signature=0a1b&api_key=2", "http://host/?a=1&X-Amz-Signature=***&api_key=***"),
        ("http://host/x?sig=ab%3D", "http://host/x?sig=***"),
        ("http://host/x?design=1&keyboard=2", "http://host/x?design=1&keyboard=2"),
        ("postgresql://me@host/study", "postgresql://me@host/study"),
        ("sqlite:///study.db", "sqlite:///study.db"),
        ("see user:name@host", "see user:name@host"),
        ("http://host:8080/a@b:c", "http://host:8080/a@b:c"),
    ],
)
def test_addresses(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("MY_TOKEN", "short")
    monkeypatch.setenv("KEY_PATH_TOKEN", "/mnt/somebody/key")
    monkeypatch.setenv("HOME_OF_RUNS", "0123456789-runs")
    assert without_secrets("a 0123456789abcdef b") == "a *** b"
    assert without_secrets("0123456789abcdefg") == "0123456789abcdefg"
    text = "a short /mnt/somebody/key 0123456789-runs"
    assert without_secrets(text) == text


def test_a_long_text_takes_no_time() -> None:
    for part in ("://", "://a:", "?token=", "&", "@", "://a:b@", ":"):
        without_secrets(part * 100_000)


SECRETS = {
    "digits": "0123456789abcdef",
    "a quotation mark and a backslash": "ab'cd\"ef\\ghijkl",
    "words, which YAML breaks into lines": "word " * 30 + "end",
    "not ASCII": "pässwörd-ßßßßßß",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_file_holds_no_secret_and_can_be_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", SECRETS[kind])
    value = {"alone": SECRETS[kind], "list": [SECRETS[kind], 1], SECRETS[kind]: "key", "within": f"a {SECRETS[kind]} b"}
    masked = {"alone": "***", "list": ["***", 1], "***": "key", "within": "a *** b"}
    write_config_file(tmp_path / "config.yaml", value)
    assert read_config_file(tmp_path / "config.yaml") == masked
    write_json(tmp_path / "record.json", value)
    assert read_json(tmp_path / "record.json") == masked
    assert config_hash(value) == config_hash(masked)
