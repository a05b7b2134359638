"""A training in slices, which waits after each of them while others train.

Drivers load this file by its path: their interpreters do not have rnnexp.
"""

from collections.abc import Callable, Iterator
from typing import Any


class Turns:
    """A clock of a training that takes turns with others.

    Slices end at multiples of their length, so that what one slice exceeds is missing in the next.

    Args:
        task: the task, with `learning`.
        answer: sends the measurement of a slice.
        requests: the requests to the driver, of which `learn` continues the training.
        read: returns the time in seconds.

    Attributes:
        steps, sentences: the number of steps so far, and of their sentences.
        loss: the loss of the last step, per token.
        request: the request that ended the training.
    """

    def __init__(
        self,
        task: dict[str, Any],
        answer: Callable[[dict[str, Any]], None],
        requests: Iterator[str],
        read: Callable[[], float],
    ) -> None:
        self.read = read
        learning = task["learning"]
        self.seconds: float = learning["seconds"]
        self.slice_seconds = self.seconds / learning["slices"]
        self.rates: list[float] | None = learning["rates"]
        self.answer, self.requests = answer, requests
        self.steps = self.sentences = self._tokens = 0
        self.loss = float("nan")
        self.request: str | None = "learn"
        self._used, self._slices, self._start = 0.0, 1, self.read()

    def goes_on(self) -> bool:
        """Return whether another step follows. At the end of a slice, wait for the next request first."""
        if not self.steps:
            return True
        seconds = self.read() - self._start
        if self._used + seconds < self._slices * self.slice_seconds:
            return True
        self._used += seconds
        self.answer({"seconds": seconds, "amount": self._tokens, "loss": self.loss})
        self._slices += 1
        self._tokens = 0
        self.request = next(self.requests, None)
        self._start = self.read()
        return self.request == "learn"

    def count(self, sentences: int, tokens: int) -> None:
        """Count a step that begins."""
        if not self.steps:
            # What a toolkit prepares before its first step is no training.
            self._start = self.read()
        self.steps += 1
        self.sentences += sentences
        self._tokens += tokens

    def set_rate(self, groups: list[dict[str, Any]]) -> None:
        """Set the learning rate of an optimizer's groups to that of this moment, if the task has rates."""
        if self.rates is not None:
            share = (self._used + self.read() - self._start) / self.seconds
            for group in groups:
                group["lr"] = self.rates[min(int(share * len(self.rates)), len(self.rates) - 1)]
