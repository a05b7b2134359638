"""Published numbers, and their comparison with settings if data, split and scoring agree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from rnnexp.report.records.groups import ComparisonGroup, Setting

NOT_STATED = "not stated"


@dataclass(frozen=True)
class Published:
    """A published number, and what determines whether a setting is comparable. published.yaml explains the fields."""

    system: str
    score: str
    source: str
    key: str
    dataset: str
    cell: str
    data: Mapping[str, str] = field(default_factory=dict)
    bidirectional: bool = False
    split: str = "test"
    metric: str | None = "test/acc"
    without_metric: str = ""
    setting: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PublishedComparison:
    """A published number and the setting to compare with it.

    Args:
        published: the number.
        ours: the best setting with the same cell and direction; None if there is none, or it is not comparable.
        reason: why the setting is not comparable; empty if it is.
    """

    published: Published
    ours: Setting | None
    reason: str


@cache
def published_numbers() -> tuple[Published, ...]:
    """Return the content of published.yaml."""
    blocks: list[dict[str, Any]] = yaml.safe_load(
        files("rnnexp.report").joinpath("published.yaml").read_text(encoding="utf-8")
    )
    return tuple(Published(**(block | number)) for block in blocks for number in block.pop("numbers"))


def bibliography() -> str:
    """Return the content of references.bib, which has the sources of published.yaml in the form of BibTeX."""
    return files("rnnexp.report").joinpath("references.bib").read_text(encoding="utf-8")


def compare_with_published(group: ComparisonGroup) -> list[PublishedComparison]:
    """Return a comparison for every published number on the group's dataset."""
    comparisons = []
    for published in published_numbers():
        on_dataset = [setting for setting in group.measured if _fact(setting, "name") == published.dataset]
        if not on_dataset:
            continue
        alike = [setting for setting in on_dataset if _network(setting) == (published.cell, published.bidirectional)]
        reason = _reason_against((alike or on_dataset)[0], published)
        comparisons.append(PublishedComparison(published, alike[0] if alike and not reason else None, reason))
    return comparisons


def _reason_against(setting: Setting, published: Published) -> str:
    """Return why a setting is not comparable with a published number; empty if it is."""
    for name, expected in published.data.items():
        value = _fact(setting, name)
        if expected == NOT_STATED and value != "none":
            return f"its source does not state the {name}"
        if value != expected:
            return f"{name} {expected}, ours {value}"
    if published.metric is None:
        return published.without_metric
    if published.split != "test":
        return f"{published.split} split, ours is test"
    if all(run.metric(published.metric) is None for run in setting.counted.values()):
        return published.without_metric or f"ours has no {published.metric}"
    run = next(iter(setting.counted.values()))
    tested, whole = run.number("num_test_samples"), run.number("data.num_test")
    return "" if tested == whole else f"the whole test split, ours {tested or 0:,.0f} samples of it"


def _fact(setting: Setting, name: str) -> str:
    value = next(iter(setting.counted.values())).text(f"data.{name}") or "none"
    if name == "permutation" and value != "none":
        return "bit-reversal" if value == "bitreversal" else "fixed random"
    return value


def _network(setting: Setting) -> tuple[str, bool]:
    run = next(iter(setting.counted.values()))
    return run.text("model.cell"), run.text("model.bidirectional") == "True"
