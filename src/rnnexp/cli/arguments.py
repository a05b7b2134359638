"""Arguments of the command line as people write them, changed to what Hydra's parser and grammar accept."""

import re
from collections.abc import Sequence

from rnnexp.compat.hydra import split_arguments
from rnnexp.core.errors import UserError
from rnnexp.core.validation import escape_interpolation, escape_quotes, expand_home, is_plain

PLACES = {"hydra.run.dir": "paths.output_dir", "hydra.sweep.dir": "sweep_dir", "hydra.sweep.subdir": "sweep_dir"}
"""Hydra's keys for output directories -> the keys of rnnexp that replace them."""
QUOTED_BRACKET_OR_WORD = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[\[\]{}()]|[^,\[\]{}()'"=]+""")
"""A text in quotes, a bracket, or a text without quotes up to a character of Hydra's grammar."""


def normalize_arguments(arguments: Sequence[str]) -> list[str]:
    """Return arguments with flags before overrides, `~/` at the start of a value replaced, and all letters allowed.

    Raises:
        UserError: for a key of Hydra that has no effect here.
    """
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        if key in PLACES and value != ".":
            raise UserError(f"{key}= has no effect here: set {PLACES[key]}=")
    flags, overrides = split_arguments(arguments)
    return [*map(_expand_home, flags), *(_quote_letters(_expand_home(override)) for override in overrides)]


def _expand_home(argument: str) -> str:
    """Replace `~/` at the start of a value, which shells do not expand, by the home directory."""
    match = re.match(r"([\w./+@]+=)(['\"]?)~(/.*)", argument, re.DOTALL)
    if match is None:
        return argument
    key, quote, rest = match.groups()
    path = "~" + rest.removesuffix(quote)
    home = str(expand_home(path)).removesuffix(path[1:])
    if quote or is_plain(home):
        # The slash keeps a backslash before it from being doubled.
        return key + quote + (escape_quotes(escape_interpolation(f"{home}/"), quote)[:-1] if quote else home) + rest
    # A value outside quotes ends at a comma, and a backslash in it escapes any character.
    first = re.match(r"(\\.|[^,\\])*", rest, re.DOTALL)
    assert first is not None
    inside = escape_quotes(escape_interpolation(home) + re.sub(r"\\(.)", r"\1", first[0]))
    return f"{key}'{inside}'{rest[first.end() :]}"


def _quote_letters(argument: str) -> str:
    """Put quotes around the words of a value with letters outside ASCII, which Hydra's grammar does not know."""
    key, equals, value = argument.partition("=")
    if value.isascii() or "\\" in value or "${" in value:
        return argument
    opened: list[str] = []

    def quoted(match: re.Match[str]) -> str:
        part = match[0]
        if part in "[{(":
            opened.append(part)
        elif part in ")}]":
            del opened[-1:]
        elif part[0] not in "'\"":
            # A colon ends the key of a dict; elsewhere it belongs to the value.
            name, colon, word = part.partition(":") if opened[-1:] == ["{"] else ("", "", part)
            return name + colon + _quote_word(word)
        return part

    return key + equals + QUOTED_BRACKET_OR_WORD.sub(quoted, value)


def _quote_word(word: str) -> str:
    # Hydra's grammar does not know other spaces, as U+3000: they are quoted like letters.
    text = word.strip(" \t")
    return word if word.isascii() else word.replace(text, f"'{text}'")
