"""Canaries for the way torchmetrics is kept from importing torchvision. A failure names what changed."""

import subprocess
import sys

from lightning_utilities.core.imports import RequirementCache

from rnnexp.compat.torchmetrics import TorchmetricsFinder, hide_torchvision

CODE = """
import sys
{before}
import lightning.pytorch
print(bool(sys.modules["torchmetrics.utilities.imports"]._TORCHVISION_AVAILABLE))
print("torchvision" in sys.modules)
"""


HIDE = "from rnnexp.compat.torchmetrics import hide_torchvision; hide_torchvision()"


def answers(before: str) -> list[str]:
    code = CODE.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_torchmetrics_asks_a_requirement_cache() -> None:
    assert answers(HIDE) == [
        "False",
        "False",
    ], "torchmetrics finds out in another way than RequirementCache whether torchvision is installed"


def test_the_module_is_still_needed() -> None:
    assert answers("") == ["True", "True"], (
        "torchmetrics no longer imports torchvision by itself: rnnexp.compat.torchmetrics can go"
    )


def test_the_requirement_cache_is_restored() -> None:
    hide_torchvision()
    assert bool(RequirementCache("torchvision"))


def test_one_finder_is_enough() -> None:
    hide_torchvision()
    hide_torchvision()
    assert sum(isinstance(finder, TorchmetricsFinder) for finder in sys.meta_path) == 1
