"""Canaries for the way torchmetrics is kept from importing large packages. A failure names what changed."""

import subprocess
import sys

import pytest
from lightning_utilities.core.imports import RequirementCache, package_available

from rnnexp.compat.torchmetrics import HIDDEN, TorchmetricsFinder, hide_large_packages

CODE = """
import sys
{before}
import torchmetrics
print(*sorted({{"torchvision", "matplotlib.pyplot", "scipy.signal"}} & set(sys.modules)))
"""
HIDE = "from rnnexp.compat.torchmetrics import hide_large_packages; hide_large_packages()"


def imported(before: str) -> list[str]:
    code = CODE.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


# A run in tests/integration/test_processes.py shows the same in the fast tests.
@pytest.mark.slow
def test_torchmetrics_asks_for_packages_in_these_ways() -> None:
    assert imported(HIDE) == [], (
        "torchmetrics finds out in another way than RequirementCache or package_available what is installed"
    )


@pytest.mark.slow
def test_the_module_is_still_needed() -> None:
    assert imported("") == ["matplotlib.pyplot", "scipy.signal", "torchvision"], (
        "torchmetrics no longer imports all of these by itself: shorten HIDDEN in rnnexp.compat.torchmetrics"
    )


def test_the_functions_are_restored() -> None:
    hide_large_packages()
    assert all(RequirementCache(package) and package_available(package) for package in HIDDEN)


def test_one_finder_is_enough() -> None:
    hide_large_packages()
    hide_large_packages()
    assert sum(isinstance(finder, TorchmetricsFinder) for finder in sys.meta_path) == 1
