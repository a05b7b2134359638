"""Texts of Hydra that one-line messages are made from. A failure names the text that changed."""

import functools
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, InstantiationException, OverrideParseException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from rnnexp.cli.conf_dir import config_root
from rnnexp.compat.hydra import (
    ambiguous_override,
    failed_key,
    failed_target,
    is_group_override,
    split_arguments,
    syntax_reason,
)
from rnnexp.compat.omegaconf import root_values


def composing(*overrides: str) -> Exception:
    with initialize_config_dir(str(config_root()), version_base="1.3"), pytest.raises(Exception) as caught:  # noqa: PT011
        compose("train", list(overrides))
    return caught.value


def test_several_values_without_multirun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = composing("model.cell=gru,lstm")
    assert isinstance(error, ConfigCompositionException)
    assert ambiguous_override(error) == "model.cell=gru,lstm", "Hydra words 'Ambiguous value' otherwise"
    assert ambiguous_override(ConfigCompositionException("other")) is None


def test_a_group_that_is_given_a_number() -> None:
    error = composing("model=5")
    assert isinstance(error, ValueError), "Hydra refuses a number for a group with another exception"
    assert is_group_override(error), "Hydra words 'Config group override' otherwise"


@pytest.mark.parametrize(
    ("override", "reason"), [("a=b=c", "mismatched input ="), ("a=<b>", ""), ("a=[", "no viable alternative")]
)
def test_an_override_that_cannot_be_read(override: str, reason: str) -> None:
    with pytest.raises(OverrideParseException) as caught:
        OverridesParser.create().parse_overrides([override])
    found = syntax_reason(caught.value)
    assert found.startswith(reason), "Hydra words the reason of a syntax error otherwise"
    assert bool(found) == bool(reason)


def refuse() -> None:
    raise ValueError("no")


def test_a_target_that_fails() -> None:
    config = OmegaConf.create({"a": {"b": {"_target_": "compat.nothing"}}})
    with pytest.raises(InstantiationException) as caught:
        instantiate(config.a.b)
    assert failed_target(caught.value) == "Error locating target 'compat.nothing'", "Hydra words it otherwise"
    assert failed_key(caught.value) == "a.b", "Hydra no longer names the key of the node"
    config.a.b._target_ = "builtins.int"
    config.a.b._args_ = ["x"]
    with pytest.raises(InstantiationException) as caught:
        instantiate(config.a.b)
    assert failed_target(caught.value) is None
    assert failed_key(caught.value) == "a.b"


def test_the_root_of_a_node() -> None:
    config = OmegaConf.create({"a": {"b": {"c": 1}}, "d": "${a}"})
    OmegaConf.set_struct(config, True)
    with pytest.raises((ConfigAttributeError, ConfigKeyError)) as caught:
        functools.reduce(getattr, ("a", "b", "x"), config)
    parent = caught.value.parent_node
    assert isinstance(parent, DictConfig), "an error of OmegaConf no longer has the node"
    assert root_values(parent) == {"a": {"b": {"c": 1}}, "d": "${a}"}


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        (["model=gru", "-m", "seed=1,2"], ["-m"]),
        (
            ["seed=1", "--config-dir", "sweeps", "-cn", "train", "-m", "lr=-2"],
            ["--config-dir", "sweeps", "-cn", "train", "-m"],
        ),
        (["a=1", "--config-dir=x", "~b", "--cfg", "job", "+c='d e'"], ["--config-dir=x", "--cfg", "job"]),
        (["a=1", "a=1"], []),
        (["a=1", "--unknown"], ["--unknown"]),
        ([], []),
    ],
)
def test_flags_are_moved_before_the_overrides(arguments: list[str], flags: list[str]) -> None:
    assert split_arguments(arguments) == (flags, [argument for argument in arguments if argument not in flags])
