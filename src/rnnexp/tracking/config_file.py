"""The config.yaml of a run directory: plain resolved values, escaped so that Hydra reads them back unchanged.

The file may be another person's. Reading it is bounded, and resolves and imports nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
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
LONGEST_INT, LONGEST_FLOAT = 21, 32
"""The most characters of a number of 64 bits."""
STANDARD = "tag:yaml.org,2002:"
OPENS: Mapping[type[yaml.Event], tuple[str, type[Any]]] = {
    yaml.MappingStartEvent: (f"{STANDARD}map", dict),
    yaml.SequenceStartEvent: (f"{STANDARD}seq", list),
}
"""The events at the start of a container -> its tag and its type."""
CLOSES = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
NO_KEY = object()
LONGEST_REMEMBERED = 100


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
        return _read_document(text)
    except UnboundedError as error:
        raise UserError(f"{path} {error}: it is not from rnnexp") from None
    except (yaml.YAMLError, ValueError):
        return None


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


def _read_document(text: str) -> Any:  # noqa: ANN401
    """Return the values of a YAML document; None for an empty one.

    They are made from the events of the parser, within bounds that hold before a value is made. PyYAML's loader would
    take three times as long, and a listing of many runs reads the config of each.

    Raises:
        UnboundedError: for nesting, aliases, long numbers, many values, and values that no config can have.
        yaml.YAMLError, ValueError: if it is not one document of valid YAML.
    """
    documents: list[Any] = []
    containers: list[Any] = [documents]
    keys: list[Any] = [NO_KEY]
    for number, event in enumerate(yaml.parse(text, Loader=LOADER)):
        kind = type(event)
        if number > MOST_EVENTS:
            raise UnboundedError(f"has more than {MOST_EVENTS:,} values")
        if kind is yaml.ScalarEvent:
            _add(containers[-1], keys, _scalar(event))
        elif kind in OPENS:
            if len(containers) > MOST_NESTED:
                raise UnboundedError(f"has more than {MOST_NESTED} containers within each other")
            container = _new_container(event)
            _add(containers[-1], keys, container)
            containers.append(container)
            keys.append(NO_KEY)
        elif kind in CLOSES:
            containers.pop()
            keys.pop()
        elif kind is yaml.AliasEvent:
            raise UnboundedError(f"has the alias *{event.anchor} in line {event.start_mark.line + 1}")
    if len(documents) > 1:
        raise yaml.YAMLError("several documents")
    return documents[0] if documents else None


def _add(container: Any, keys: list[Any], value: Any) -> None:  # noqa: ANN401
    """Add a value to a list. To a mapping, add it as the next key, or as the value of the last one of `keys`."""
    if isinstance(container, list):
        container.append(value)
    elif keys[-1] is not NO_KEY:
        container[keys[-1]] = value
        keys[-1] = NO_KEY
    elif isinstance(value, dict | list):
        raise yaml.YAMLError("a container is a key")
    else:
        keys[-1] = value


def _new_container(event: yaml.Event) -> Any:  # noqa: ANN401
    tag, kind = OPENS[type(event)]
    if event.tag in (None, "!", tag):
        return kind()
    if event.tag.startswith(f"{STANDARD}python"):
        raise yaml.YAMLError("a Python object")
    raise UnboundedError(f"has a {event.tag.removeprefix(STANDARD)}, which no config has")


def _scalar(event: yaml.ScalarEvent) -> Any:  # noqa: ANN401
    if event.tag is not None:
        return _convert(event.tag, event.value)
    # A text in quotation marks stays a text.
    if not event.implicit[0]:
        return event.value
    return _remembered(event.value) if len(event.value) < LONGEST_REMEMBERED else _resolve(event.value)


def _resolve(text: str) -> Any:  # noqa: ANN401
    """Return the value of a scalar without quotation marks and without a tag."""
    forms = LOADER.yaml_implicit_resolvers.get(text[:1], ())
    return _convert(next((tag for tag, form in forms if form.match(text)), f"{STANDARD}str"), text)


# The configs of many runs have the same values.
_remembered = lru_cache(maxsize=10_000)(_resolve)


def _convert(tag: str, text: str) -> Any:  # noqa: ANN401
    """Return the value of a scalar.

    The digits of a number in base 60, which YAML 1.1 knows, take quadratic time, and so do keys that are numbers with
    the same hash: longer numbers than any in a config are not converted.
    """
    if tag == f"{STANDARD}str":
        return text
    if tag == f"{STANDARD}int" and len(text) > LONGEST_INT:
        raise UnboundedError(f"has a whole number of more than {MOST_BITS} bits")
    if tag == f"{STANDARD}float" and len(text) > LONGEST_FLOAT:
        raise UnboundedError(f"has a number of {len(text):,} characters")
    if tag == f"{STANDARD}merge":
        raise UnboundedError(f"has the key {text}, which no config has")
    try:
        value = LOADER("").construct_object(yaml.ScalarNode(tag, text))
    except (LookupError, AttributeError):
        # PyYAML does not check a text whose tag is written: !!bool maybe.
        raise yaml.YAMLError(f"{text!r} is no {tag.removeprefix(STANDARD)}") from None
    if not isinstance(value, PLAIN):
        raise UnboundedError(f"has a {type(value).__name__}, which no config has")
    require_bounded(value)
    return value


def escape_interpolations(value: Any) -> Any:  # noqa: ANN401
    r"""Return a value in which OmegaConf finds no interpolation: `${` becomes `\${`, at any depth."""
    return map_text(value, escape_interpolation)


def _unescape_interpolations(value: Any) -> Any:  # noqa: ANN401
    def unescape(text: str) -> str:
        if "${" not in text:
            return text
        return re.sub(r"(?<!\\)(\\+)\$\{", lambda match: match[1][::2][1:] + "${", text)

    return map_text(value, unescape)


def walk(node: object, place: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield place, key and value of each entry of mappings and lists, at any depth.

    Args:
        node: plain values.
        place: the dotted key of the node; that of an entry of a list is its number.
    """
    entries = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield place, str(key), value
        yield from walk(value, f"{place}.{key}".removeprefix("."))


def map_text(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401
    """Return plain values in which each text is changed, at any depth; keys are not."""
    if isinstance(value, Mapping):
        return {key: map_text(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [map_text(item, change) for item in value]
    return change(value) if isinstance(value, str) else value
