"""Data floor: files, splits and batches. Knows neither models nor tasks."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnexp.data.mnist import MNISTDataModule as MNISTDataModule
    from rnnexp.data.translation import TranslationDataModule as TranslationDataModule
    from rnnexp.data.translation_corpora import Multi30kDataModule as Multi30kDataModule
    from rnnexp.data.translation_corpora import ParallelDataModule as ParallelDataModule
    from rnnexp.data.translation_corpora import PhrasebookDataModule as PhrasebookDataModule
    from rnnexp.data.translation_corpora import TatoebaDataModule as TatoebaDataModule

HOMES = {
    "MNISTDataModule": "mnist",
    "Multi30kDataModule": "translation_corpora",
    "ParallelDataModule": "translation_corpora",
    "PhrasebookDataModule": "translation_corpora",
    "TatoebaDataModule": "translation_corpora",
    "TranslationDataModule": "translation",
}

__all__ = [
    "MNISTDataModule",
    "Multi30kDataModule",
    "ParallelDataModule",
    "PhrasebookDataModule",
    "TatoebaDataModule",
    "TranslationDataModule",
]


def __getattr__(name: str) -> object:
    # Lightning takes seconds to import, and fetching files needs none of it: a class arrives when it is asked for.
    if name in HOMES:
        return getattr(import_module(f"rnnexp.data.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
