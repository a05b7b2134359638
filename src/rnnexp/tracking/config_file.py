"""The config.yaml of a run directory: plain resolved values, escaped so that Hydra reads them back unchanged."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rnnexp.core.atomic_files import write_text
from rnnexp.core.errors import UserError
from rnnexp.core.validation import escape_interpolation


def write_config_file(path: Path, config: Mapping[str, Any]) -> None:
    """Write plain values; text that looks like an interpolation is escaped."""
    escaped = escape_interpolations(dict(config))
    write_text(path, yaml.safe_dump(escaped, sort_keys=False, allow_unicode=True))


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the values that `write_config_file` was given.

    Raises:
        UserError: if the file does not hold a config.
    """
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise UserError(f"{path} does not hold a config; was it cut short?")
    plain: dict[str, Any] = _unescape_interpolations(config)
    return plain


def escape_interpolations(value: Any) -> Any:  # noqa: ANN401
    r"""Return a value in which OmegaConf finds no interpolation: `${` becomes `\${`, at any depth."""
    return _map_text(value, escape_interpolation)


def _unescape_interpolations(value: Any) -> Any:  # noqa: ANN401
    return _map_text(value, lambda text: re.sub(r"(\\+)\$\{", lambda match: match[1][::2][1:] + "${", text))


def _map_text(value: Any, change: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {key: _map_text(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_text(item, change) for item in value]
    return change(value) if isinstance(value, str) else value
