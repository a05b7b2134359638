"""The base classes of callbacks that not every task can use."""

from abc import ABC, abstractmethod

from lightning.pytorch import Callback

from rnnexp.tasks.base import Task


class TaskCallback(Callback, ABC):
    """A callback that reads what only some tasks offer."""

    @abstractmethod
    def fits(self, task: Task) -> bool:
        """Return whether the task offers it; a run with a callback that does not fit is refused."""


class ResultWriter(TaskCallback):
    """A callback that saves the results of single test samples. The trainer of the test runs these callbacks alone."""
