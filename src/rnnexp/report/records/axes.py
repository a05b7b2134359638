"""The axes of a comparison: the config keys in which settings differ, under short names."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rnnexp.tracking.keys import VERBATIM

FIRST = ("model.cell", "model.bidirectional", "model.num_layers", "model.hidden_size", "trainer.precision")
"""The keys whose columns come first."""
INPUTS = "inputs."
"""The start of the keys of files that no config key names by itself, see `rnnexp.tracking.identity`."""
MOST_CHARACTERS = 120
"""The length of a shown key or value; a figure with a label of thousands of letters takes minutes."""
MOST_DIGITS = 12
"""The length of a shown fraction: a longer one, such as a search draws, is rounded where no two values look alike."""
ABSENT = "–"
"""The shown value of a setting without the key."""

Flat = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """A config key that differs among settings.

    Args:
        key: the whole key.
        name: a short and unique name.
        companions: other keys that change exactly when this one does, and are not axes themselves.
        is_verbatim: whether values are shown as they are, since two of them would look alike otherwise.
    """

    key: str
    name: str
    companions: tuple[str, ...] = ()
    is_verbatim: bool = False

    def show(self, identity: Flat) -> str:
        """Return the value of a setting on this axis as text."""
        if self.key not in identity:
            return ABSENT
        value = identity[self.key]
        return shortened(json.dumps(value, default=str) if self.is_verbatim else show_value(self.key, value))

    def exact(self, identity: Flat) -> str:
        """Return the value as text that is not rounded, for a file of data."""
        value = identity.get(self.key)
        return repr(value) if isinstance(value, float) else self.show(identity)


def shortened(text: str) -> str:
    """Return a text of at most `MOST_CHARACTERS`: a longer one is cut, and ends with a digest of the whole."""
    if len(text) <= MOST_CHARACTERS:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{text[: MOST_CHARACTERS - 9]}…{digest}"


def first_of(texts: Sequence[str], most: int) -> str:
    """Return the first texts in one line, and the number of the others: `a; b; and 3 more`."""
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return "; ".join([*texts[:most], *more])


def show_value(key: str, value: Any) -> str:  # noqa: ANN401
    """Return a value as text: `yes`, `none`, `0.003`, and for a `_target_` the name of the class."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key.endswith("_target_"):
        return str(value).rpartition(".")[2]
    if isinstance(value, float):
        exact, short = repr(value), f"{value:g}"
        if len(exact) > MOST_DIGITS:
            return f"{value:.4g}"
        return short if float(short) == value else exact
    # The digest of a file stands for its content.
    return value[:8] if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else str(value)


def number_order(value: str) -> tuple[bool, float, str]:
    """Return a sorting key that orders numbers by value and puts them before words."""
    try:
        return (False, float(value), "")
    except ValueError:
        return (True, 0.0, value)


def varying_axes(identities: Sequence[Flat], *, is_search: bool = False) -> list[Axis]:
    """Return an axis for each key whose values differ; keys that change together share one axis.

    Args:
        identities: the settings.
        is_search: whether they are trials of a search, whose numbers differ from trial to trial in each searched key.
            Keys with numbers that are all different do not belong together then.
    """
    keys = list(dict.fromkeys([*FIRST, *(key for identity in identities for key in identity)]))
    by_pattern: dict[tuple[int, ...], list[str]] = {}
    drawn = []
    for key in keys:
        pattern = _pattern([_comparable(identity, key) for identity in identities])
        if is_search and _has_numbers_of_its_own(identities, key):
            drawn.append([key])
        elif max(pattern, default=0) > 0:
            by_pattern.setdefault(pattern, []).append(key)
    together = [*_without_implied(by_pattern).values(), *drawn]
    together.sort(key=lambda group: keys.index(group[0]))
    chosen = [group[0] for group in together]
    names = [_short(key, chosen) for key in chosen]
    # Two keys may be shortened alike: a group that is null in one run and has a _target_ in another.
    names = [name if names.count(name) == 1 else shortened(key) for name, key in zip(names, chosen, strict=True)]
    axes = [Axis(key, name, tuple(others)) for name, (key, *others) in zip(names, together, strict=True)]
    return [replace(axis, is_verbatim=_look_alike(axis, identities)) for axis in axes]


def _has_numbers_of_its_own(identities: Sequence[Flat], key: str) -> bool:
    """Return whether the value of a key is a number in all settings, and another one in each."""
    values = [identity.get(key) for identity in identities]
    are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return len(values) > 1 and are_numbers and len(set(values)) == len(values)


def _without_implied(by_pattern: Mapping[tuple[int, ...], list[str]]) -> dict[tuple[int, ...], list[str]]:
    """Leave out the content of files that another axis names, such as the module of `model.cell`."""
    inputs = {pattern for pattern, keys in by_pattern.items() if all(key.startswith(INPUTS) for key in keys)}
    return {
        pattern: keys
        for pattern, keys in by_pattern.items()
        if pattern not in inputs or not any(_determines(other, pattern) for other in by_pattern.keys() - inputs)
    }


def _determines(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return whether settings with the same value on one axis have the same on the other."""
    return len(set(zip(one, other, strict=True))) == len(set(one))


def _look_alike(axis: Axis, identities: Sequence[Flat]) -> bool:
    """Return whether two different values of an axis have the same shown value."""
    pairs = {(_comparable(identity, axis.key), axis.show(identity)) for identity in identities}
    return len({shown for _, shown in pairs}) < len(pairs)


def companions_of(axis: Axis, identities: Sequence[Flat]) -> str:
    """Return the values that change with an axis, `hidden_size (gru 186, lstm 160) with cell`; empty without any."""
    parts = []
    for key in axis.companions:
        name = _short(key, [axis.key, *axis.companions])
        values = dict(sorted((axis.show(identity), Axis(key, "").show(identity)) for identity in identities))
        parts.append(f"{name} ({', '.join(f'{value} {other}' for value, other in values.items())})")
    return f"{', '.join(parts)} with {axis.name}" if parts else ""


def _pattern(values: Sequence[str]) -> tuple[int, ...]:
    """Return a number per setting; settings with the same value have the same number."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in values)


def _comparable(identity: Flat, key: str) -> str:
    return json.dumps(identity[key], sort_keys=True, default=str) if key in identity else ""


def _short(key: str, among: Sequence[str]) -> str:
    """Return the last part of the key if it is unambiguous, `cell`; `optimizer` for its class; else the whole key."""
    name = key.removesuffix("._target_").rpartition(".")[2]
    namesakes = [other for other in among if other.removesuffix("._target_").rpartition(".")[2] == name]
    is_plain = VERBATIM.get(name, key) == key and namesakes in ([key], [])
    return shortened(name if is_plain else key.removesuffix("._target_"))


def name_settings(
    identities: Sequence[Flat], cell: str, *, is_search: bool = False
) -> tuple[list[Axis], list[dict[str, str]], list[str]]:
    """Return the axes, the shown value of each setting on every axis, and a label per setting.

    Args:
        identities: the settings.
        cell: the cell of one of them, which is part of the labels even if all settings have it.
        is_search: see `varying_axes`.
    """
    axes = varying_axes(identities, is_search=is_search)
    values = [{axis.name: axis.show(identity) for axis in axes} for identity in identities]
    labels = labels_of(values)
    if "model.cell" not in {axis.key for axis in axes}:
        labels = [", ".join(filter(None, [shortened(cell), label])) for label in labels]
    return axes, values, labels


def labels_of(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a label per setting with its value on every axis: `lstm, bidirectional, 2 layers, precision bf16-mixed`.

    An axis that a setting does not have is left out.

    Args:
        settings: for each setting the name and the shown value of every axis.
    """
    return [", ".join(_part(name, value) for name, value in setting.items() if value != ABSENT) for setting in settings]


def _part(name: str, value: str) -> str:
    if name == "cell":
        return value
    if name == "bidirectional" and value in ("yes", "no"):
        return "bidirectional" if value == "yes" else "unidirectional"
    if name == "num_layers":
        return f"{value} layer{'' if value == '1' else 's'}"
    return f"hidden {value}" if name == "hidden_size" else f"{name} {value}"
