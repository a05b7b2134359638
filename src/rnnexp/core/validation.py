"""Checks of arguments, with errors that name the value, the valid choices and the nearest of them."""

import difflib
import math
import os
import re
import shlex
from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from rnnexp.core.errors import UserError

T = TypeVar("T")
NOT_TEXT = re.compile(r"null|true|false|[+-]?(inf|nan|[\d._]+(e[+-]?\d+)?)", re.IGNORECASE)
"""Words that Hydra reads as a value of another type, unless they are quoted."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return `"; did you mean 'gru'?"` if another choice resembles the word, else an empty string."""
    word = str(word)
    matches = difflib.get_close_matches(word, [each for each in choices if each != word], n=9, cutoff=0.6)

    def resemblance(match: str) -> tuple[float, bool, bool]:
        # Of 'gru' and 'mgu', which share as much with 'gur', the one with the same letters is meant.
        return difflib.SequenceMatcher(None, match, word).ratio(), sorted(match) == sorted(word), match[:1] == word[:1]

    return f"; did you mean {max(matches, key=resemblance)!r}?" if matches else ""


def escape_interpolation(text: str) -> str:
    r"""Return a text in which OmegaConf finds no interpolation: `${` becomes `\${`."""
    # A backslash is special only before an interpolation, so only those are doubled.
    # The lookbehind keeps the time linear in the number of backslashes.
    return re.sub(r"(?<!\\)(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text)


def escape_quotes(text: str, quote: str = "'") -> str:
    r"""Return a text for the inside of a quoted value of Hydra's grammar: `'` becomes `\'`."""
    # A backslash is special only before a quote, which also follows the end of the text.
    doubled = re.sub(rf"(?<!\\)\\+(?={quote}|\Z)", lambda match: match[0] * 2, text)
    return doubled.replace(quote, f"\\{quote}")


def is_plain(text: str) -> bool:
    """Return whether a value means the same with and without quotes, to a shell and to Hydra."""
    return re.fullmatch(r"[\w./+@%:-]*", text, re.ASCII) is not None


def override(key: str, value: object) -> str:
    """Return `key=value` as one argument for Hydra, quoted if the value has characters that Hydra would interpret."""
    text = str(value)
    is_read_as_it_is = is_plain(text) and not (isinstance(value, str) and NOT_TEXT.fullmatch(text))
    return f"{key}={text}" if is_read_as_it_is else f"{key}='{escape_quotes(escape_interpolation(text))}'"


def is_file_name(name: object) -> bool:
    """Return whether a value is the name of an entry in a directory, and not a path elsewhere."""
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        return False
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def expand_home(path: str | Path) -> Path:
    """Return a path in which `~/` or `~name/` at the start is replaced by the home directory.

    Raises:
        UserError: if there is no home directory, as for a user id without a name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: there is no home directory for ~: set HOME, or write the whole path") from None


def did_you_mean_path(path: Path) -> str:
    """Return `"; did you mean 'jobs'?"` if the directory of a missing path has an entry of a similar name."""
    try:
        siblings = [entry.name for entry in path.absolute().parent.iterdir()]
    except OSError:
        return ""
    return did_you_mean(path.name, siblings)


def quote_override(key: str, value: object) -> str:
    """Return `override` of a key as a word for a shell."""
    return shlex.quote(override(key, value))


def validate_choice(what: str, value: str, choices: Iterable[str]) -> None:
    """Raise ValueError for a value outside the choices, with the value, the choices and the nearest of them."""
    listed = [str(choice) for choice in choices]
    if value not in listed:
        raise ValueError(f"unknown {what} {value!r}: choose one of {', '.join(listed)}{did_you_mean(value, listed)}")


def lookup(what: str, name: str, table: Mapping[str, T]) -> T:
    """Return the entry of a table.

    Raises:
        ValueError: for a name that the table lacks, see `validate_choice`.
    """
    validate_choice(what, name, table)
    return table[name]


def positive_number(text: str) -> float:
    """Return the finite positive number of a command-line argument, for argparse."""
    with suppress(ValueError):
        if 0 < (value := float(text)) < math.inf:
            return value
    raise ArgumentTypeError(f"{text!r} is not a positive number")


def positive_whole(text: str) -> int:
    """Return the whole number of at least 1 of a command-line argument, for argparse."""
    with suppress(ValueError):
        if (value := int(text)) >= 1:
            return value
    raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1")


def require_positive(**sizes: int) -> None:
    """Raise ValueError that names the first argument that is not a whole number of at least 1."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {size!r}")


def require_fraction(**fractions: float) -> None:
    """Raise ValueError that names the first argument outside [0, 1)."""
    for name, fraction in fractions.items():
        if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction < 1:
            raise ValueError(f"{name} must lie in [0, 1), not {fraction!r}")
