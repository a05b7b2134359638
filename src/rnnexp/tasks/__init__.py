"""LightningModules: loss, metrics and logging of what a model is trained to do."""

from importlib import import_module
from typing import TYPE_CHECKING

from rnnexp.tasks.task import Task

if TYPE_CHECKING:
    from rnnexp.tasks.classification import ClassificationTask as ClassificationTask
    from rnnexp.tasks.translation import TranslationTask as TranslationTask

HOMES = {"ClassificationTask": "classification", "TranslationTask": "translation"}

__all__ = ["ClassificationTask", "Task", "TranslationTask"]


def __getattr__(name: str) -> object:
    # Each imports what scores it, which the other does not need: a class arrives when it is asked for.
    if name in HOMES:
        return getattr(import_module(f"rnnexp.tasks.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
