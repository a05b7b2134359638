"""Freed memory stays mapped: page faults are counted in processes of their own."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.core.allocator import retain_freed_memory

PAGES_OF_ALL = """
import resource, sys
import torch
from rnnexp.core.allocator import retain_freed_memory
if sys.argv[1] == "retain":
    assert retain_freed_memory()
for _ in range(20):  # until the heap has a block of this size
    torch.ones(10_000_000)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults)
"""
THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_tensor_of_a_size_seen_before_causes_no_page_faults() -> None:
    faults = {}
    for how in ("retain", "default"):
        command = [sys.executable, "-c", PAGES_OF_ALL, how]
        faults[how] = int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)
    if THP.exists() and "[always]" in THP.read_text(encoding="utf-8"):
        assert faults["retain"] <= faults["default"]
    else:
        assert faults["default"] > 5 * faults["retain"]


@pytest.mark.skipif(platform.libc_ver()[0] == "glibc", reason="for other C libraries")
def test_other_libraries_are_left_alone() -> None:
    assert not retain_freed_memory()
