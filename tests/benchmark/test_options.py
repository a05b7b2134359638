"""The keys of the benchmark are defined in one place, and their values are checked."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnexp.benchmark.options import KEYS, Options
from rnnexp.cli.conf_dir import config_root

DEFAULTS: dict[str, Any] = yaml.safe_load((Path(config_root()) / "benchmark.yaml").read_text(encoding="utf-8"))


def test_the_config_has_the_keys_of_the_options() -> None:
    assert set(DEFAULTS) - {"defaults", "name"} == set(KEYS)
    assert dataclasses.asdict(Options(**{key: DEFAULTS[key] for key in KEYS})).keys() == set(KEYS)


def test_the_help_has_the_keys_of_the_options() -> None:
    text = (Path(config_root()) / "hydra" / "benchmark.yaml").read_text(encoding="utf-8")
    template = yaml.safe_load(text)["help"]["template"]
    assert re.findall(r"^  ([a-z_]+)  +\S", template, re.MULTILINE) == list(KEYS)


def test_no_key_is_also_a_key_of_train() -> None:
    train = yaml.safe_load((Path(config_root()) / "train.yaml").read_text(encoding="utf-8"))
    groups = {path.name for path in Path(config_root()).iterdir() if path.is_dir()}
    assert not set(KEYS) & (set(train) | groups)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("steps", True, "steps must be a whole number of at least 1, not True"),
        ("cells", "gru", r"cells must be a list, not 'gru': write cells=\[...\]"),
        ("cpu_time", 1, "cpu_time must be true or false, not 1"),
        ("workers", 2, r"workers must be a list, not 2: write workers=\[...\]"),
        ("workers", [0, -1], "workers must be a whole number of at least 0, not -1"),
        ("sweep_jobs", "many", "sweep_jobs must be a whole number of at least 0, not 'many'"),
        ("sweep_jobs", -1, "sweep_jobs must be a whole number of at least 0, not -1"),
        ("start_up", "no", "start_up must be true or false, not 'no'"),
        ("train_minutes", -1, "train_minutes must be a number of at least 0, not -1"),
        ("train_minutes", "long", "train_minutes must be a number of at least 0, not 'long'"),
        ("peers", ["joeynmt"], r"peers must be names with interpreters, not \['joeynmt'\]: write peers.joeynmt=PYTHON"),
        ("peers", {"joeynmt": 3}, "peers.joeynmt must be the path of a Python interpreter, not 3"),
        ("peers", {"joynmt": None}, "unknown peer 'joynmt': choose one of joeynmt, eole; did you mean 'joeynmt'"),
    ],
)
def test_a_bad_value_is_named(key: str, value: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Options(**{name: DEFAULTS[name] for name in KEYS} | {key: value})
