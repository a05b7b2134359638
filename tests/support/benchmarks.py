"""Small benchmarks and their reports."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnnexp.core.files.atomic import read_json
from support.programs import Outcome

Measure = Callable[..., Outcome]

SMALL = ["steps=4", "warmup_steps=1", "repetitions=2", "start_up=false"]


def read_report(outputs_dir: Path) -> dict[str, Any]:
    """Return the only report that was written there."""
    (path,) = (outputs_dir / "benchmark").iterdir()
    assert path.suffix == ".json"
    return read_json(path)
