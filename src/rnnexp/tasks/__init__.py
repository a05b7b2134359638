"""LightningModules: loss, metrics and logging of what a model is trained to do."""

from rnnexp.tasks.classification import ClassificationTask
from rnnexp.tasks.task import Task

__all__ = ["ClassificationTask", "Task"]
