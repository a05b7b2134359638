"""Text from files, names and errors, made safe for the place where it is shown.

Such text may hold escape sequences that control a terminal, marks that reverse the direction of writing, line ends
within a line, or surrogates, which no file in UTF-8 can hold.
"""

import re

HIDDEN = re.compile(
    # controls, and the marks of direction that are not shown themselves
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
    # surrogates, which stand for bytes that are not UTF-8; tags, which no font shows
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
MOST_CHARACTERS = 2000


def printable(text: str, most: int = MOST_CHARACTERS) -> str:
    r"""Return the text in one line, with characters that are not shown as escape sequences: `\x1b`, `\u202e`.

    Args:
        text: any text.
        most: the maximum number of characters; of a longer text the beginning is returned, with the length of the rest.
    """
    line = re.sub(r"[\t\r\n]+", " ", text[:most])
    shown = HIDDEN.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), line)
    return f"{shown}… ({len(text) - most:,} more characters)" if len(text) > most else shown
