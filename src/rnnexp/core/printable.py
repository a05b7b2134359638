"""Text from files, names and errors, made safe for the place where it is shown.

Such text may hold escape sequences that control a terminal, marks that reverse the direction of writing, line ends
within a line, or surrogates, which no file in UTF-8 can hold. It may also hold passwords, keys and tokens, in addresses
or from the environment, which no record may hold either.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = re.compile(
    # controls, and the marks of direction that are not shown themselves
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
    # surrogates, which stand for bytes that are not UTF-8; tags, which no font shows
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
MOST_CHARACTERS = 2000
MOST_OF_MESSAGE = 20_000
"""The number of characters of a message, or of a line of a log, that are shown."""

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""The beginnings of a formula in a spreadsheet."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)

MASK = "***"
SECRET_NAMES = re.compile(r"(API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)
# A shorter value may be a word that occurs elsewhere.
LEAST_LETTERS = 12
USER = re.compile(r"(?<=://)([^\s/?#:@'\"]*):([^\s/?#'\"]+)@")
TOKEN_AS_USER = re.compile(r"(?<=://)[^\s/?#:@'\"]{20,}@")
IN_QUERY = re.compile(
    r"([?&](?:[\w-]*(?:token|api[_-]?key|access[_-]?key|secret|password|passwd|pwd|signature)|key|sig|auth)=)[^&#\s'\"]+",
    re.IGNORECASE,
)


def printable(text: str, most: int = MOST_CHARACTERS) -> str:
    r"""Return the text in one line, with characters that are not shown as escape sequences: `\x1b`, `\u202e`.

    Args:
        text: any text.
        most: the maximum number of characters; of a longer text the beginning is returned, with the length of the rest.
    """
    line = re.sub(r"[\t\r\n]+", " ", text[:most])
    escaped = HIDDEN.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), line)
    return f"{escaped}… ({len(text) - most:,} more characters)" if len(text) > most else escaped


def shown(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return the text as `printable` does, without secrets, see `without_secrets`."""
    return printable(without_secrets(text), most)


def spreadsheet_cell(value: object) -> object:
    """Return the value of a cell of a CSV file. A quote precedes text that a spreadsheet would take for a formula."""
    if not isinstance(value, str) or NUMBER.fullmatch(value):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def without_secrets(text: str) -> str:
    """Return a text with `***` for each password, key or token of an address, and for each secret of the environment.

    The text may be many lines. Masking it again changes nothing.
    """
    return _masked(text, _secrets())


def _secrets() -> list[str]:
    """Return the secrets of the environment."""
    return [
        value
        for name, value in os.environ.items()
        if len(value) >= LEAST_LETTERS and SECRET_NAMES.search(name) and not value.startswith(("/", "."))
    ]


def _masked(text: str, secrets: Sequence[str]) -> str:
    if "://" in text:
        text = USER.sub(rf"\1:{MASK}@", text)
        text = TOKEN_AS_USER.sub(f"{MASK}@", text)
        text = IN_QUERY.sub(rf"\1{MASK}", text)
    for secret in secrets:
        if secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
    return text


def mask_secrets(value: Any) -> Any:  # noqa: ANN401
    """Return plain values whose texts, keys among them, have no secrets, see `without_secrets`.

    What is written in YAML or JSON is masked before: there a secret may be escaped, or broken into two lines, and a
    mask may be an alias.
    """
    secrets = _secrets()

    def masked(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, Mapping):
            return {masked(key): masked(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [masked(item) for item in value]
        return _masked(value, secrets) if isinstance(value, str) else value

    return masked(value)
