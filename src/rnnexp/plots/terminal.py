"""An attention map as plain text, for a terminal, a log, or an issue."""

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHADES = " ░▒▓█"
# The least weight of each shade after the first.
BOUNDS = (0.05, 0.25, 0.5, 0.75)
KEY = ("░ from 5 %", "▒ 25 %", "▓ 50 %", "█ 75 %")
LEAST_WIDTH = 20
MOST_TOKEN_COLUMNS = 18
NO_GLYPH, SPACE = "▯", "·"


def _letters(text: str) -> list[str]:
    """The text as signs that each stand alone: a letter with its combining marks, a space as "·"."""
    letters: list[str] = []
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if category in ("Mn", "Me"):
            # Emoji selectors (U+FE00..FE0F) would change the width of what stands before them.
            if not "\ufe00" <= character <= "\ufe0f":
                letters[-1:] = [letters[-1] + character] if letters else ["◌" + character]
        elif category == "Zs" or character == "\u2581":
            letters.append(SPACE)
        elif category in ("Cc", "Cs", "Cn", "Zl", "Zp"):
            letters.append(NO_GLYPH)
        elif category != "Cf":
            letters.append(character)
    return letters or [NO_GLYPH]


def display_width(text: str) -> int:
    """Columns of a terminal that the text takes: 2 for a wide character, 0 for a combining mark."""
    return sum(
        0 if unicodedata.category(character) in ("Mn", "Me") else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _cut(text: str, columns: int) -> str:
    """The text if it fits, else its beginning and "…"."""
    if display_width(text) <= columns:
        return text
    kept = ""
    for letter in _letters(text):
        if display_width(kept + letter) > columns - 1:
            break
        kept += letter
    return kept + "…"


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - display_width(text))


def _wrapped(items: Sequence[str], columns: int) -> list[str]:
    """The items in lines, two spaces between them; none is broken."""
    lines: list[str] = []
    for item in (_cut(item, columns) for item in items):
        if lines and display_width(lines[-1]) + 2 + display_width(item) <= columns:
            lines[-1] += "  " + item
        else:
            lines.append(item)
    return lines


def _vertical(tokens: Sequence[str], columns: int) -> list[str]:
    """The tokens from top to bottom, side by side, each `columns` wide and standing on the same line."""
    letters = [_letters(token) for token in tokens]
    letters = [word if len(word) <= MOST_TOKEN_COLUMNS else [*word[: MOST_TOKEN_COLUMNS - 1], "…"] for word in letters]
    height = max(map(len, letters))
    standing = [[" "] * (height - len(word)) + word for word in letters]
    return ["".join(_padded(letter, columns) for letter in line) for line in zip(*standing, strict=True)]


def _shaded(weights: NDArray[np.float64], columns: int) -> list[str]:
    shades = np.searchsorted(BOUNDS, weights, side="right")
    return ["".join(SHADES[shade] * columns for shade in row) for row in shades]


def _listed(source: Sequence[str], labels: Sequence[str], weights: NDArray[np.float64], columns: int) -> list[str]:
    """For each target token the three source tokens of the greatest weight."""
    lines = []
    for label, row in zip(labels, weights, strict=True):
        line = f"{label} ←"
        for rank, place in enumerate(np.argsort(-row, kind="stable")[:3]):
            percent = f" {100 * row[place]:.0f} %"
            space = columns - display_width(line) - len(percent) - 1
            name = f"{place + 1}:{source[place]}"
            # The first is always said, cut if it must be; the others if they fit.
            if rank == 0 or display_width(name) <= space - 1:
                line += " " * (1 + (rank > 0)) + _cut(name, space) + percent
        lines.append(line)
    return lines


def attention_text(source: Sequence[str], target: Sequence[str], weights: NDArray[np.floating], width: int = 80) -> str:
    """The attention map as lines of text, none wider than `width` columns of a terminal.

    A row per target token, on a scale that is always 0..1. By what fits, a source token is
    two columns wide, its name above it from top to bottom; or
    one column wide, its number above it and the names below; or
    not drawn: then each target token names the three source tokens (by place, from 1) that it looked at most.

    Args:
        source: [source_time] tokens. A space is written as "·".
        target: [target_time] tokens.
        weights: [target_time, source_time], each row a distribution over the source.
        width: columns of the terminal, at least 20. Wide characters (Chinese) count as two.

    Raises:
        ValueError: for no tokens, weights of another shape or not finite, or a width below 20.
    """
    if not source or not target:
        raise ValueError(f"an attention map needs tokens, but got {len(source)} of source and {len(target)} of target")
    shown = np.asarray(weights, dtype=np.float64)
    if shown.shape != (len(target), len(source)):
        raise ValueError(f"weights must be [target, source] = {(len(target), len(source))}, not {shown.shape}")
    if not np.isfinite(shown).all():
        raise ValueError("weights must be finite")
    if width < LEAST_WIDTH:
        raise ValueError(f"width must be at least {LEAST_WIDTH} columns, not {width}")

    names = ["".join(_letters(token)) for token in source]
    most = min(MOST_TOKEN_COLUMNS, width // 4)
    rows = [_cut("".join(_letters(token)), most) for token in target]
    margin = max(map(display_width, rows))
    labels = [_padded(row, margin) for row in rows]
    # A space and the frame on both sides.
    space = width - margin - 3
    if len(names) > space:
        return "\n".join(_listed(names, labels, shown, width))

    columns, below = 2, []
    if 2 * len(names) <= space:
        above = _vertical(names, columns)
    else:
        columns = 1
        numbers = [str(place) for place in range(1, len(names) + 1)]
        above = _vertical(numbers, columns)
        below = _wrapped([f"{number} {name}" for number, name in zip(numbers, names, strict=True)], width)
    indent = " " * (margin + 2)
    lines = [(indent + line).rstrip() for line in above]
    lines += [f"{label} │{shades}│" for label, shades in zip(labels, _shaded(shown, columns), strict=True)]
    lines += below
    lines += _wrapped(KEY, width)
    return "\n".join(lines)
