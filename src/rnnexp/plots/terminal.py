"""An attention map as plain text, for a terminal, a log, or an issue."""

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size

from rnnexp.plots.attention import MOST_TOKEN_CHARACTERS, NO_GLYPH, SPACE, validated_weights

SHADES = " ░▒▓█"
BOUNDS = (0.05, 0.25, 0.5, 0.75)
"""The minimum weight of each shade after the first."""
KEY = ("░ from 5 %", "▒ 25 %", "▓ 50 %", "█ 75 %")
LEAST_WIDTH = 20
"""The minimum width of a terminal in columns."""


def _letters(text: str) -> list[str]:
    """Return the text as printable characters: a letter together with its combining marks, a space as "·"."""
    letters: list[str] = []
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if category in ("Mn", "Me"):
            # Emoji selectors (U+FE00..FE0F) change the width of the character before them.
            if not "\ufe00" <= character <= "\ufe0f":
                letters[-1:] = [letters[-1] + character] if letters else ["◌" + character]
        elif category == "Zs" or character == "\u2581":
            letters.append(SPACE)
        elif category in ("Cc", "Cs", "Cn", "Zl", "Zp"):
            letters.append(NO_GLYPH)
        elif category != "Cf":
            letters.append(character)
    return letters or [NO_GLYPH]


def _cut(text: str, columns: int) -> str:
    """Return the text if it fits, or else its beginning and "…"."""
    return text if cell_len(text) <= columns else set_cell_size(text, columns - 1).rstrip(" ") + "…"


def _wrapped(items: Sequence[str], columns: int) -> list[str]:
    """Return the items in lines, two spaces between them; no item is broken."""
    lines: list[str] = []
    for item in (_cut(item, columns) for item in items):
        if lines and cell_len(lines[-1]) + 2 + cell_len(item) <= columns:
            lines[-1] += "  " + item
        else:
            lines.append(item)
    return lines


def _vertical(tokens: Sequence[str], columns: int) -> list[str]:
    """Return lines with the tokens from top to bottom, side by side, `columns` wide, ending on the same line."""
    letters = [_letters(token) for token in tokens]
    most = MOST_TOKEN_CHARACTERS
    letters = [word if len(word) <= most else [*word[: most - 1], "…"] for word in letters]
    height = max(map(len, letters))
    padded = [[" "] * (height - len(word)) + word for word in letters]
    return ["".join(set_cell_size(letter, columns) for letter in line) for line in zip(*padded, strict=True)]


def _shaded(weights: NDArray[np.float64], columns: int) -> list[str]:
    shades = np.searchsorted(BOUNDS, weights, side="right")
    return ["".join(SHADES[shade] * columns for shade in row) for row in shades]


def _listed(source: Sequence[str], labels: Sequence[str], weights: NDArray[np.float64], columns: int) -> list[str]:
    """Return a line per target token with the three source tokens of the greatest weight."""
    lines = []
    for label, row in zip(labels, weights, strict=True):
        line = f"{label} ←"
        for rank, place in enumerate(np.argsort(-row, kind="stable")[:3]):
            percent = f" {100 * row[place]:.0f} %"
            space = columns - cell_len(line) - len(percent) - 1
            name = f"{place + 1}:{source[place]}"
            # The first one is always shown, truncated if necessary; the others only if they fit.
            if rank == 0 or cell_len(name) <= space - 1:
                line += " " * (1 + (rank > 0)) + _cut(name, space) + percent
        lines.append(line)
    return lines


def attention_text(source: Sequence[str], target: Sequence[str], weights: NDArray[np.floating], width: int = 80) -> str:
    """Return the attention map as lines of text, none wider than `width` columns of a terminal.

    There is a row per target token, with weights on a scale from 0 to 1. The source tokens have the first of these
    forms that fits into the width:

    - two columns each, with vertical names above;
    - one column each, with numbers above and the names below;
    - no columns: each target token lists the three source tokens (numbered from 1) with the largest weights.

    Args:
        source: [source_time] tokens. A space is shown as "·".
        target: [target_time] tokens.
        weights: [target_time, source_time], each row a distribution over the source.
        width: columns of the terminal, at least 20. Wide characters (Chinese) count as two.

    Raises:
        ValueError: if there are no tokens, the weights have another shape or are not finite, or the width is below 20.
    """
    shown = validated_weights(source, target, weights)
    if width < LEAST_WIDTH:
        raise ValueError(f"width must be at least {LEAST_WIDTH} columns, not {width}")

    names = ["".join(_letters(token)) for token in source]
    most = min(MOST_TOKEN_CHARACTERS, width // 4)
    rows = [_cut("".join(_letters(token)), most) for token in target]
    margin = max(map(cell_len, rows))
    labels = [set_cell_size(row, margin) for row in rows]
    # The frame takes a space and a line on the left, and a line on the right.
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
