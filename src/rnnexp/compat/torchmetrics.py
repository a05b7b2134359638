"""Import of torchmetrics without torchvision.

torchmetrics imports torchvision for two image metrics if it is installed, at its own import, and Lightning imports
torchmetrics. No setting of either library prevents it, and importing a submodule of torchmetrics imports the whole
package first. Image metrics that need torchvision do not work afterwards; import torchvision itself as usual.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


def hide_torchvision() -> None:
    """Make a later import of torchmetrics work as if torchvision were not installed."""
    if not any(isinstance(finder, TorchmetricsFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchmetricsFinder())


class TorchmetricsFinder(MetaPathFinder):
    """A finder of torchmetrics alone, which hides torchvision while the package is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == "torchmetrics" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_without_torchvision(module: ModuleType) -> None:
            with _torchvision_hidden():
                execute(module)

        spec.loader.exec_module = execute_without_torchvision  # type: ignore[method-assign]
        return spec


@contextmanager
def _torchvision_hidden() -> Iterator[None]:
    # Imported here, so that programs that only show their help do not wait for it.
    from lightning_utilities.core.imports import RequirementCache

    initialize = RequirementCache.__init__

    def initialize_without(cache: RequirementCache, requirement: str | None = None, module: str | None = None) -> None:
        initialize(cache, requirement, module)
        if requirement == "torchvision":
            cache.available, cache.message = False, "torchvision is not used by rnnexp"

    RequirementCache.__init__ = initialize_without  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        RequirementCache.__init__ = initialize  # type: ignore[method-assign]
