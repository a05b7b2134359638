"""Settings of several comparison groups that are the same but for the data."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from rnnexp.report.records.axes import Flat, name_settings
from rnnexp.report.records.groups import ComparisonGroup, Setting

OF_THE_NETWORK = ("model.", "size_budget", "task.network.", "task.pooling")
"""The start of the keys that describe the network."""


def labels_across(groups: Sequence[ComparisonGroup]) -> dict[Setting, str]:
    """Return a label for each measured setting; those of several groups with the same label differ only in the data.

    They have the same network, and the same value of every other key that varies within a group. A key that is the same
    for all settings of a group may belong to its data: their files, or the epochs that they need.
    """
    identities = {setting: setting.runs[0].flat_identity for group in groups for setting in group.measured}
    compared = {key for group in groups for key in _varying([identities[setting] for setting in group.measured])}
    recipes: list[Flat] = [
        {key: value for key, value in identity.items() if key in compared or key.startswith(OF_THE_NETWORK)}
        for identity in identities.values()
    ]
    cell = next((str(setting.runs[0].facts["cell"]) for setting in identities), "")
    _axes, _values, labels = name_settings(recipes, cell, is_search=any(group.is_search for group in groups))
    return dict(zip(identities, labels, strict=True))


def _varying(identities: Sequence[Flat]) -> Iterator[str]:
    """Yield the keys that some settings do not have, or that have several values."""
    values: defaultdict[str, list[str]] = defaultdict(list)
    for identity in identities:
        for key, value in identity.items():
            values[key].append(json.dumps(value, sort_keys=True, default=str))
    return (key for key, found in values.items() if len(found) < len(identities) or len(set(found)) > 1)
