"""Private names of OmegaConf (2.3) that rnnexp uses."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf, base


def root_values(node: DictConfig) -> dict[Any, Any]:
    """Return the whole config that a node belongs to, as plain values with interpolations as text.

    An error names the node where a key is missing. OmegaConf has no public way from a node to its parent or root, and
    at the time of the error Hydra has not returned the config yet.
    """
    root: Any = node._get_root()
    values = OmegaConf.to_container(root, resolve=False)
    assert isinstance(values, dict)
    return values


@contextmanager
def interpolations_parsed_once() -> Iterator[None]:
    """Parse each interpolation once within the block, however many configs contain it.

    The parser takes most of the time in which OmegaConf resolves a config. A parsed interpolation is only read.
    """
    parse = base.parse  # type: ignore[attr-defined]
    base.parse = functools.cache(parse)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        base.parse = parse  # type: ignore[attr-defined]
