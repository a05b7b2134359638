"""The graphs of an exported network, and what stands in for the network when they are checked."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from rnnexp.export.stack import RunLayer

Run = Callable[..., Sequence[Tensor]]
"""A graph that was read from its file: arguments -> results, by their order."""


class Part(NamedTuple):
    """A graph of an exported network."""

    name: str
    """the name of its file without the ending"""
    module: nn.Module
    arguments: tuple[Tensor, ...]
    """an example of its arguments"""
    axes: Mapping[str, Sequence[int | str]]
    """argument -> the size of each axis, or its name if it may have any size"""
    results: Mapping[str, Sequence[int | str]]
    """the same for its results"""


class Export(ABC):
    """The graphs of a kind of network. A row of the registry of tasks names one, as `export`.

    Args:
        predictor: the trained network.
    """

    def __init__(self, predictor: Any) -> None:  # noqa: ANN401 (a predictor of its kind)
        self.predictor: Any = predictor

    @abstractmethod
    def parts(self, run_layer: RunLayer) -> list[Part]:
        """Return the graphs.

        Args:
            run_layer: runs a layer of a stack over time.
        """

    @abstractmethod
    def stand_in(self, runs: Mapping[str, Run]) -> nn.Module:
        """Return a module that computes what the network does, with the graphs by the names of their parts."""

    @abstractmethod
    def small(self, batch: Any, size: int, time: int) -> tuple[Any, ...]:  # noqa: ANN401 (a batch of its task)
        """Return the arguments of the network for some sequences of a batch, cut to a number of steps."""

    @abstractmethod
    def time_of(self, batch: Any) -> int:  # noqa: ANN401
        """Return the steps of a batch."""

    @abstractmethod
    def description(self, batch: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return everything besides the graphs that a program needs to answer, as plain values."""
