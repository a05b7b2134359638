"""test_translations.jsonl: the translations of the test set, a JSON object per line in the order of the corpus."""

import json
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.core.files.bounded import read_bounded_text

MOST_BYTES = 256 << 20


def read_translations(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the file, see `rnnexp.tasks.translation.callbacks.TranslationWriter` for their keys.

    Raises:
        TooLargeError: if the file has more than `MOST_BYTES`.
        UserError: if it is missing or damaged.
    """
    try:
        # Not splitlines(): a sentence may hold a line separator of Unicode, U+2028, which JSON does not escape.
        lines = read_bounded_text(path, MOST_BYTES).split("\n")
        rows = [json.loads(line) for line in lines if line]
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}); was it cut short?") from None
    if not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} does not hold translations; was it cut short?")
    return rows
