"""Import of torchmetrics without torchvision. Import this module before Lightning and torchmetrics.

torchmetrics imports torchvision for two image metrics if it is installed, at its own import, which takes about a
second. Lightning imports torchmetrics. No setting of either library prevents it, and importing a submodule of
torchmetrics imports the whole package first. This module makes the check for torchvision fail while torchmetrics is
imported. Image metrics that need torchvision do not work afterwards; import torchvision itself as usual.
"""

import sys

from lightning_utilities.core.imports import RequirementCache


def import_without_torchvision() -> None:
    """Import torchmetrics without torchvision. Do nothing if it is imported already."""
    if "torchmetrics" in sys.modules:
        return
    initialize = RequirementCache.__init__

    def initialize_without(cache: RequirementCache, requirement: str | None = None, module: str | None = None) -> None:
        initialize(cache, requirement, module)
        if requirement == "torchvision":
            cache.available, cache.message = False, "torchvision is not used by rnnexp"

    RequirementCache.__init__ = initialize_without  # type: ignore[assignment, method-assign]
    try:
        import torchmetrics  # noqa: F401
    finally:
        RequirementCache.__init__ = initialize  # type: ignore[method-assign]


import_without_torchvision()
