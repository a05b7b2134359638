"""The config.yaml of a run directory: plain resolved values, escaped so that Hydra reads them back unchanged.

The file may be another person's. Reading it is bounded, and resolves and imports nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import write_text
from rnnexp.core.files.bounded import MOST_BITS, MOST_NESTED, UnboundedError, read_bounded_text, require_bounded
from rnnexp.core.printable import mask_secrets
from rnnexp.core.validation import escape_interpolation

MOST_BYTES = 1 << 20
GROUPS = ("data", "task", "model", "trainer")
"""Config groups that a report reads, and that each run has."""
OPTIONAL_GROUPS = ("callbacks", "logger", "optimizer", "paths", "scheduler")
PLAIN = (str, int, float, bool, type(None))
# The loader of libyaml is about ten times as fast, but PyYAML may be built without it.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_EVENTS = 50_000
"""The number of parser events; the configs of rnnexp have at most a thousand."""
INT, FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
LONGEST_INT, LONGEST_FLOAT = 21, 32
"""The most characters of a number of 64 bits."""
OPENS, CLOSES = (yaml.MappingStartEvent, yaml.SequenceStartEvent), (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def write_config_file(path: Path, config: Mapping[str, Any]) -> None:
    """Write plain values, without secrets; text that looks like an interpolation is escaped."""
    write_yaml(path, escape_interpolations(dict(config)))


def write_yaml(path: Path, value: Any) -> None:  # noqa: ANN401
    """Write plain values, without secrets."""
    write_text(path, yaml.safe_dump(mask_secrets(value), sort_keys=False, allow_unicode=True))


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the values that `write_config_file` was given.

    Raises:
        UserError: if the file does not hold a config, is larger or deeper than any config, or has an alias.
    """
    config = read_yaml(path)
    if not isinstance(config, dict):
        raise UserError(f"{path} does not hold a config; was it cut short?")
    plain: dict[str, Any] = _unescape_interpolations(config)
    return plain


def read_yaml(path: Path) -> Any:  # noqa: ANN401
    """Return the plain values of a YAML file that rnnexp has written; None if it is not valid YAML.

    Raises:
        UserError: if it is larger or deeper than any such file, has an alias, or a value that is not plain.
    """
    text = read_bounded_text(path, MOST_BYTES)
    try:
        _require_bounded_events(text)
        value = yaml.load(text, Loader=LOADER)  # noqa: S506 (a safe loader)
        require_bounded(value)
        _require_plain(value)
    except UnboundedError as error:
        raise UserError(f"{path} {error}: it is not from rnnexp") from None
    except (yaml.YAMLError, ValueError):
        return None
    return value


def require_groups(config: Mapping[str, Any], path: Path) -> None:
    """Raise UserError for a config of a run whose groups or inputs are missing or of another kind."""
    for group in (*GROUPS, *OPTIONAL_GROUPS):
        node = config.get(group)
        if not isinstance(node, Mapping) and (group in GROUPS or node is not None):
            raise _wrong_kind(path, group, "a mapping", node)
    for group in ("callbacks", "logger"):
        for name, node in (config.get(group) or {}).items():
            if node is not None and not isinstance(node, Mapping):
                raise _wrong_kind(path, f"{group}.{name}", "a mapping or null", node)
    inputs = config.get("inputs", [])
    if not isinstance(inputs, list) or not all(map(_is_input, inputs)):
        raise _wrong_kind(path, "inputs", "a list of files with their digests", inputs)


def _is_input(file: object) -> bool:
    """Return whether a value is an entry of the node `inputs`, see `rnnexp.runs.frozen.inputs`."""
    if not isinstance(file, Mapping):
        return False
    stamp = file.get("stamp")
    return (
        all(isinstance(file.get(key), str) for key in ("key", "path", "sha256"))
        and isinstance(stamp, list)
        and all(isinstance(number, int) for number in stamp)
    )


def _wrong_kind(path: Path, key: str, what: str, value: object) -> UserError:
    shown = "null" if value is None else repr(value)[:60]
    return UserError(f"{path} is not the config of a run: {key} must be {what}, not {shown}")


def _require_bounded_events(text: str) -> None:
    """Raise UnboundedError for nesting, aliases, long numbers and many values, before values are made."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=LOADER)):
        depth += isinstance(event, OPENS) - isinstance(event, CLOSES)
        if depth > MOST_NESTED:
            raise UnboundedError(f"has more than {MOST_NESTED} containers within each other")
        if isinstance(event, yaml.AliasEvent):
            raise UnboundedError(f"has the alias *{event.anchor} in line {event.start_mark.line + 1}")
        if number > MOST_EVENTS:
            raise UnboundedError(f"has more than {MOST_EVENTS:,} values")
        if isinstance(event, yaml.ScalarEvent):
            _require_short_number(event)


def _require_short_number(event: yaml.ScalarEvent) -> None:
    """Raise UnboundedError for a number with more characters than any in a config.

    The digits of a number in base 60, which YAML 1.1 knows, take quadratic time, and so do keys that are numbers with
    the same hash.
    """
    text, tags = event.value, [event.tag]
    if event.tag is None and event.implicit[0]:
        tags = [tag for tag, form in LOADER.yaml_implicit_resolvers.get(text[:1], ()) if form.match(text)]
    if INT in tags and len(text) > LONGEST_INT:
        raise UnboundedError(f"has a whole number of more than {MOST_BITS} bits")
    if FLOAT in tags and len(text) > LONGEST_FLOAT:
        raise UnboundedError(f"has a number of {len(text):,} characters")


def _require_plain(value: object) -> None:
    """Raise UnboundedError for a value that YAML knows and a config cannot have, such as a date or a set."""
    if isinstance(value, dict):
        for key, item in value.items():
            _require_plain(key)
            _require_plain(item)
    elif isinstance(value, list):
        for item in value:
            _require_plain(item)
    elif not isinstance(value, PLAIN):
        raise UnboundedError(f"has a {type(value).__name__}, which no config has")


def escape_interpolations(value: Any) -> Any:  # noqa: ANN401
    r"""Return a value in which OmegaConf finds no interpolation: `${` becomes `\${`, at any depth."""
    return map_text(value, escape_interpolation)


def _unescape_interpolations(value: Any) -> Any:  # noqa: ANN401
    return map_text(value, lambda text: re.sub(r"(?<!\\)(\\+)\$\{", lambda match: match[1][::2][1:] + "${", text))


def texts_in(value: object) -> Iterator[str]:
    """Yield each text in plain values, at any depth; keys are not yielded."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(item)


def map_text(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401
    """Return plain values in which each text is changed, at any depth; keys are not."""
    if isinstance(value, Mapping):
        return {key: map_text(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [map_text(item, change) for item in value]
    return change(value) if isinstance(value, str) else value
