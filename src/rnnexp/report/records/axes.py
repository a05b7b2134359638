"""The axes of a comparison: the config keys in which settings differ, under names that a table has room for."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnexp.tracking.short_keys import VERBATIM

FIRST = ("model.cell", "model.bidirectional", "model.num_layers", "model.hidden_size", "trainer.precision")
"""What one asks for first stands on the left."""
ABSENT = "–"
"""What stands there for a setting without that key."""

Flat = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """A config key that differs among settings."""

    key: str
    name: str
    """short, and like no other axis'"""
    companions: tuple[str, ...] = ()
    """further keys that change exactly when this one does, and so would tell nothing more as columns"""

    def show(self, identity: Flat) -> str:
        return show_value(self.key, identity[self.key]) if self.key in identity else ABSENT


def flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under their keys with dots between; a list is one value."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def show_value(key: str, value: Any) -> str:  # noqa: ANN401
    """`yes`, `none`, `0.003`, and of a `_target_` the name of the class."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key.endswith("_target_"):
        return str(value).rpartition(".")[2]
    return f"{value:g}" if isinstance(value, float) else str(value)


def varying_axes(identities: Sequence[Flat]) -> list[Axis]:
    """The keys that do not have the same value everywhere; of those that change together the first alone."""
    keys = list(dict.fromkeys([*FIRST, *(key for identity in identities for key in identity)]))
    by_pattern: dict[tuple[int, ...], list[str]] = {}
    for key in keys:
        pattern = _pattern([_comparable(identity, key) for identity in identities])
        if max(pattern, default=0) > 0:
            by_pattern.setdefault(pattern, []).append(key)
    chosen = [group[0] for group in by_pattern.values()]
    return [Axis(key, _short(key, chosen), tuple(companions)) for key, *companions in by_pattern.values()]


def companions_of(axis: Axis, identities: Sequence[Flat]) -> str:
    """What changes with an axis: `hidden_size with cell (gru 186, lstm 160)`; empty if nothing does."""
    told = []
    for key in axis.companions:
        values = dict(sorted((axis.show(each), Axis(key, "").show(each)) for each in identities))
        told.append(f"{_short(key, [key])} ({', '.join(f'{ours} {its}' for ours, its in values.items())})")
    return f"{', '.join(told)} with {axis.name}" if told else ""


def _pattern(values: Sequence[str]) -> tuple[int, ...]:
    """Which settings share a value, whatever the values are."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in values)


def _comparable(identity: Flat, key: str) -> str:
    return json.dumps(identity[key], sort_keys=True, default=str) if key in identity else ""


def _short(key: str, among: Sequence[str]) -> str:
    """The last part of the key where that says which, as `cell`; `optimizer` for its class; else the whole key."""
    name = key.removesuffix("._target_").rpartition(".")[2]
    namesakes = [other for other in among if other.removesuffix("._target_").rpartition(".")[2] == name]
    is_plain = VERBATIM.get(name, key) == key and namesakes in ([key], [])
    return name if is_plain else key.removesuffix("._target_")


def labels_of(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """`lstm, bidirectional, 2 layers, precision bf16-mixed`: what tells each setting from the others.

    Args:
        settings: of every setting what stands on each axis. What most have goes without saying, the shape of the
            network aside, so that one label may be empty.
    """
    usual = {name: Counter(each[name] for each in settings).most_common(1)[0][0] for name in settings[0]}
    return [_label(each, usual) for each in settings]


def _label(settings: Mapping[str, str], usual: Mapping[str, str]) -> str:
    parts = []
    for name, value in settings.items():
        if name == "cell":
            parts.append(value)
        elif name == "bidirectional":
            parts.append("bidirectional" if value == "yes" else "")
        elif name == "num_layers":
            parts.append(f"{value} layer{'' if value == '1' else 's'}")
        elif name == "hidden_size":
            parts.append(f"hidden {value}")
        elif value != usual[name]:
            parts.append(f"{name} {value}")
    return ", ".join(part for part in parts if part)
