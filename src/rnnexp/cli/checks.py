"""Checks of a composed config, before a program runs with it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from rnnexp.cli.conf_dir import config_root, shared_options
from rnnexp.cli.messages import unknown_option
from rnnexp.core.errors import UserError
from rnnexp.core.validation import did_you_mean
from rnnexp.tracking.config_file import walk

ONE_OF = ("task", "data", "model", "optimizer", "scheduler", "trainer")
"""Config groups of which a run has exactly one option. It may have several options of others, such as callbacks."""
SWITCHED = ("callbacks", "logger")
"""Config groups whose entries a null switches off."""
RECIPES = ("experiment", "debug")
"""Config groups whose files change other groups, and which have no node of their own."""
GLOBAL = "# @package _global_"


def validate_config(config: DictConfig, program: str) -> None:
    """Raise UserError for a config that could be composed, but in which something would be ignored or merged.

    Args:
        config: the composed config, interpolations included.
        program: the primary config of the program, without .yaml.
    """
    choices = HydraConfig.get().runtime.choices
    _require_options(choices)
    _require_one_of_each(config, choices)
    require_switches(config)
    # A frozen config was checked before it was resolved.
    if "inputs" not in config:
        _require_known_nodes(config, program)


def _require_options(choices: Mapping[str, object]) -> None:
    for group, option in choices.items():
        if f"{group}/{option}" in shared_options():
            options = [file.stem for file in (config_root() / group).glob("*.yaml")]
            raise UserError(unknown_option(group, str(option), options))


def _require_one_of_each(config: DictConfig, choices: Mapping[str, object]) -> None:
    # Hydra would merge the options of a list, which it leaves out of its record of choices.
    for group in ONE_OF if "paths" in choices else ():
        if group not in choices and group in config:
            raise UserError(f"{group}=[...] is a list, and a run has one {group}: name one, or several with -m")


def require_switches(config: DictConfig) -> None:
    """Raise UserError for a callback or a logger that is neither a mapping nor null: `callbacks.early_stopping=false`.

    Args:
        config: the composed config.
    """
    for group in SWITCHED:
        nodes = config.get(group)
        for name, node in nodes.items() if isinstance(nodes, DictConfig) else ():
            if node is not None and not isinstance(node, DictConfig):
                key = f"{group}.{name!s}"
                raise UserError(f"{key} must be a mapping or null, not {node!r}: write {key}=null to switch it off")


def _require_known_nodes(config: DictConfig, program: str) -> None:
    groups = {entry.name for entry in config_root().iterdir() if entry.is_dir()} - {*RECIPES, "hydra"}
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    used = {"hydra"} | _interpolated_names(plain)
    known = _keys_of(f"{program}.yaml") | groups
    for key in plain.keys() - known - used:
        source = _file_that_sets(str(key))
        if key in RECIPES or str(key).startswith("_"):
            what = f"begin {source or 'the file'} with the line {GLOBAL!r}"
            raise UserError(f"the keys below {key!s} are read by no program: {what}")
        _refuse(str(key), known, source)
    paths = _keys_of("paths/default.yaml")
    for key in (plain.get("paths") or {}).keys() - paths - used:
        _refuse(f"paths.{key}", {f"paths.{known}" for known in paths}, _file_that_sets("paths"))


def _refuse(key: str, known: Iterable[str], source: Path | None) -> NoReturn:
    raise UserError(f"{source}: " * (source is not None) + f"unknown key {key!r}{did_you_mean(key, known)}")


def _keys_of(file: str) -> set[str]:
    """Return the keys at the top of a file of rnnexp, and of the primary config that it extends."""
    text = (config_root() / file).read_text(encoding="utf-8")
    keys = set(re.findall(r"^(\w+):", text, re.MULTILINE)) - {"defaults"}
    return keys | _keys_of("train.yaml") if "  - train\n" in text else keys


def _interpolated_names(plain: Mapping[Any, Any]) -> set[str]:
    """Return every word within an interpolation of a config, such as `width` for `${width}`."""
    texts = [text for *_, text in walk(plain) if isinstance(text, str) and "${" in text]
    return {
        word for text in texts for inside in re.findall(r"\$\{([^}]*)", text) for word in re.findall(r"\w+", inside)
    }


def _file_that_sets(key: str) -> Path | None:
    """Return the user's file that sets a key at the top of the config; None if the command line does."""
    settings = HydraConfig.get()
    places = [Path(source.path) for source in settings.runtime.config_sources if source.schema == "file"]
    chosen = [
        f"{group}/{option}" for group, options in settings.runtime.choices.items() for option in _as_list(options)
    ]
    for name in [*chosen, str(settings.job.config_name)]:
        for file in (place / f"{name}.yaml" for place in places if place != config_root()):
            if file.is_file() and _sets(file.read_text(encoding="utf-8-sig"), key, name.rpartition("/")[0]):
                return file
    return None


def _as_list(options: object) -> list[str]:
    return [str(option) for option in options] if isinstance(options, list | tuple) else [str(options)]


def _sets(text: str, key: str, group: str) -> bool:
    below_its_group = key == group and not text.startswith(GLOBAL)
    return (
        below_its_group
        or re.search(rf"^{re.escape(key)}:|@package\s+{re.escape(key)}\b", text, re.MULTILINE) is not None
    )
