"""The canary of what torch tells about the processor."""

import platform
from pathlib import Path

import pytest
import torch

from rnnexp.compat.torch_cpu import has_instructions_for

CPU_INFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(platform.machine() != "x86_64" or not CPU_INFO.exists(), reason="the flags of x86 on Linux")
def test_bfloat16_needs_avx512() -> None:
    flags = next(line for line in CPU_INFO.read_text(encoding="utf-8").splitlines() if line.startswith("flags")).split()
    assert has_instructions_for(torch.bfloat16) == ({"avx512bw", "avx512vl", "avx512dq"} <= set(flags))


def test_full_precision_always_has_instructions() -> None:
    assert has_instructions_for(torch.float32)
    assert has_instructions_for(torch.float64)
    assert isinstance(has_instructions_for(torch.float16), bool)
