"""test_translations.jsonl: one JSON object per line for every sentence of the test set."""

import json
from pathlib import Path
from typing import Any


def read_translations(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the file, in its order.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if a line is not JSON, or the file is not UTF-8.
    """
    # Unicode knows further line separators, which sentences may contain: splitlines() would split them.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
