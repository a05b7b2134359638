"""A check of booleans and texts in a config, which YAML and the command line confuse: no, false, 'false'."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints

from hydra.utils import get_object

from rnnexp.core.errors import UserError

TEXT = (str, str | None)


def validate_argument_types(config: Mapping[str, Any]) -> None:
    """Raise UserError for a text where a class of rnnexp takes a boolean, and for a boolean where it takes a text.

    Python would accept both: 'no' is true, and False has the name "False".

    Args:
        config: the resolved config as plain values.
    """
    if isinstance(config["name"], bool):
        raise UserError(f"name must be text, not {_show(config['name'])}: write it in quotes")
    for key, value, hint in _typed_values(config, ""):
        if hint is bool and not isinstance(value, bool):
            raise UserError(f"{key} must be true or false, not {value!r}")
        if hint in TEXT and isinstance(value, bool):
            raise UserError(f"{key} must be text, not {_show(value)}: write it in quotes")


def _show(value: bool) -> str:
    return str(value).lower()


def _typed_values(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield key, value and annotation of each argument of a class of rnnexp, at any depth."""
    hints = _hints(node)
    for key, value in node.items():
        if key in hints:
            yield f"{prefix}{key}", value, hints[key]
        if isinstance(value, Mapping):
            yield from _typed_values(value, f"{prefix}{key}.")


def _hints(node: Mapping[str, Any]) -> dict[str, Any]:
    hints = _hints_of_target(node.get("_target_"))
    # The options of a corpus stand beside it.
    if isinstance(corpus := node.get("corpus"), Mapping):
        hints = _hints_of_target(corpus.get("_target_")) | hints
    return hints


def _hints_of_target(target: object) -> dict[str, Any]:
    if not str(target).startswith("rnnexp."):
        return {}
    try:
        found: Callable[..., Any] = get_object(str(target))
        return get_type_hints(found.__init__ if inspect.isclass(found) else found)
    except Exception:
        # The instantiation reports a target that does not exist.
        return {}
