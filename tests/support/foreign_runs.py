"""Run directories as another person may send them: with another config, and with a record that fits it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.tracking.config_file import LOADER
from rnnexp.tracking.identity import config_hash


def change_config(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the config of a run, and its hash in status.json and result.json with it."""
    config = yaml.load((run / "config.yaml").read_text(encoding="utf-8"), Loader=LOADER)
    change(config)
    (run / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for file in (run / "status.json", run / "result.json"):
        if file.exists():
            write_json(file, read_json(file) | {"config_hash": config_hash(config)})
