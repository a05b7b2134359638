"""The configs of points, composed from templates: Hydra takes a tenth of a second to compose one from its files."""

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.conf import HydraConf
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from rnnexp.cli.checks import validate_config

PLAIN_KEY = re.compile(r"[\w.]+")
OF_POINT = re.compile(r"\$\{hydra:(?!runtime\.)")
"""An interpolation whose value may differ between points with the same options: `${hydra:job.num}`."""


@dataclass(frozen=True)
class Template:
    """A composed config whose values may be replaced.

    Args:
        config: the config of a point, without Hydra's node.
        hydra: Hydra's own config of that point, which interpolations may name.
    """

    config: DictConfig
    hydra: HydraConf | None


class ConfigComposer:
    """A callable that composes the configs of points.

    Points often differ only in values, `seed=1,2,3`. Their files are composed once, and the values of each point are
    then set in the same config, as Hydra does after it has composed the files.

    Args:
        loader: Hydra's loader.
        config: the config of the multirun.
        varying: the keys whose overrides differ between the points.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig, varying: set[str]) -> None:
        self.loader, self.config = loader, config
        self.value_keys = {key for key in varying if self._is_value(key)}
        self._templates: dict[tuple[str, ...], Template] = {}

    def __call__(self, overrides: Sequence[str], index: int) -> DictConfig:
        """Return the config of a point, which may be changed until the next call. It has no node of Hydra.

        Args:
            overrides: the overrides of the point.
            index: the number of the point, from 0.

        Raises:
            HydraException, UserError, ValueError: if it cannot be composed.
        """
        values = {key: override for override in overrides if (key := override.partition("=")[0]) in self.value_keys}
        # Points with equal options and files have equal keys, so that the values of one replace those of another.
        name = (*values, *(override for override in overrides if override not in values.values()))
        template = self._templates.get(name)
        if template is not None and _set_values(template.config, values.values()):
            HydraConfig.instance().cfg = template.hydra
            return template.config
        template = self._compose(overrides, index)
        if not _repeats(overrides) and not OF_POINT.search(OmegaConf.to_yaml(template.config)):
            self._templates[name] = template
        return template.config

    def _is_value(self, key: str) -> bool:
        """Return whether a key is a single value of the config, not a group, a node or a setting of Hydra."""
        if not PLAIN_KEY.fullmatch(key) or key.split(".")[0] == "hydra":
            return False
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(self.config, parent) if parent else self.config
        return (
            isinstance(node, DictConfig)
            and name in node
            and (OmegaConf.is_interpolation(node, name) or not OmegaConf.is_config(node.get(name)))
        )

    def _compose(self, overrides: Sequence[str], index: int) -> Template:
        composed = self.loader.load_sweep_config(self.config, list(overrides))
        with open_dict(composed):
            composed.hydra.job.id = str(index)
            composed.hydra.job.num = index
        HydraConfig.instance().set_config(composed)
        validate_config(composed, "train")
        with open_dict(composed):
            del composed["hydra"]
        return Template(composed, HydraConfig.instance().cfg)


@functools.cache
def _value_of(override: str) -> tuple[str, Any]:
    parsed = OverridesParser.create().parse_override(override)
    return parsed.get_key_element(), parsed.value()


def _set_values(config: DictConfig, overrides: Iterable[str]) -> bool:
    """Set single values, and return whether all are valid."""
    try:
        for override in overrides:
            key, value = _value_of(override)
            if isinstance(value, dict | list):
                return False
            OmegaConf.update(config, key, value)
    except (HydraException, OmegaConfBaseException):
        return False
    return True


def _repeats(overrides: Sequence[str]) -> bool:
    """Return whether two overrides are about the same key, or one is a whole node: then their order matters."""
    keys = [override.partition("=")[0].lstrip("+~") for override in overrides]
    return len(set(keys)) < len(keys) or any(override.partition("=")[2].startswith("{") for override in overrides)
