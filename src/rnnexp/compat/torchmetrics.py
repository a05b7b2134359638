"""Import of torchmetrics without the large packages that only metrics which rnnexp does not use need.

At its own import torchmetrics imports torchvision for two image metrics, matplotlib's pyplot for plots of metrics and
scipy.signal for the sake of older packages, if they are installed, and Lightning imports torchmetrics. No setting of
either library prevents it, and importing a submodule of torchmetrics imports the whole package first. Metrics and plots
that need these packages do not work afterwards; import the packages themselves as usual.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

HIDDEN = frozenset({"torchvision", "matplotlib", "scipy"})


def hide_large_packages() -> None:
    """Make a later import of torchmetrics work as if the packages `HIDDEN` were not installed."""
    if not any(isinstance(finder, TorchmetricsFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchmetricsFinder())


class TorchmetricsFinder(MetaPathFinder):
    """A finder of torchmetrics alone, which hides the large packages while torchmetrics is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == "torchmetrics" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_without_large_packages(module: ModuleType) -> None:
            with _packages_hidden():
                execute(module)

        spec.loader.exec_module = execute_without_large_packages  # type: ignore[method-assign]
        return spec


@contextmanager
def _packages_hidden() -> Iterator[None]:
    # Imported here, so that programs that only show their help do not wait for it.
    from lightning_utilities.core import imports

    initialize, package_available = imports.RequirementCache.__init__, imports.package_available

    def initialize_without(
        cache: imports.RequirementCache, requirement: str | None = None, module: str | None = None
    ) -> None:
        initialize(cache, requirement, module)
        if requirement in HIDDEN:
            cache.available, cache.message = False, f"{requirement} is not used by rnnexp"

    def available_without(package_name: str) -> bool:
        return package_name not in HIDDEN and package_available(package_name)

    imports.RequirementCache.__init__ = initialize_without  # type: ignore[assignment, method-assign]
    imports.package_available = available_without  # type: ignore[assignment]
    try:
        yield
    finally:
        imports.RequirementCache.__init__ = initialize  # type: ignore[method-assign]
        imports.package_available = package_available
