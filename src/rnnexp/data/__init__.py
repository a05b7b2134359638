"""Data floor: files, splits and batches. Knows neither models nor tasks."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnexp.data.mnist import MNISTDataModule as MNISTDataModule

__all__ = ["MNISTDataModule"]


def __getattr__(name: str) -> object:
    # Lightning takes seconds to import, and fetching files needs none of it: the class arrives when it is asked for.
    if name == "MNISTDataModule":
        from rnnexp.data.mnist import MNISTDataModule

        return MNISTDataModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
