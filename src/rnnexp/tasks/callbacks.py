"""Base classes of callbacks that do not work with every task."""

from abc import ABC, abstractmethod

from lightning.pytorch import Callback

from rnnexp.tasks.base import Task


class TaskCallback(Callback, ABC):
    """A callback that reads attributes that only some tasks have."""

    @abstractmethod
    def fits(self, task: Task) -> bool:
        """Return whether the callback works with the task; a run with one that does not raises an error."""


class ResultWriter(TaskCallback):
    """A callback that saves the results of single test samples. The trainer of the test runs these callbacks alone."""
