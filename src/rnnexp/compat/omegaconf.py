"""Private names of OmegaConf (2.3) that rnnexp uses."""

from typing import Any

from omegaconf import DictConfig, OmegaConf


def root_values(node: DictConfig) -> dict[Any, Any]:
    """Return the whole config that a node belongs to, as plain values with interpolations as text.

    An error names the node where a key is missing. OmegaConf has no public way from a node to its parent or root, and
    at the time of the error Hydra has not returned the config yet.
    """
    root: Any = node._get_root()
    values = OmegaConf.to_container(root, resolve=False)
    assert isinstance(values, dict)
    return values
