"""The canary of what torch tells about the processor."""

import platform
from pathlib import Path

import pytest
import torch

from rnnexp.compat.torch_cpu import has_instructions_for

CPU_INFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(platform.machine() != "x86_64" or not CPU_INFO.exists(), reason="the flags of x86 on Linux")
def test_halves_need_instructions() -> None:
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    flags = set(next(line for line in lines if line.startswith("flags")).split())
    # AVX2 has conversions of both types in processors with AVX-NE-CONVERT.
    known = {"avx512bw", "avx512vl", "avx512dq"} <= flags or {"avx_ne_convert", "avx_vnni_int8"} <= flags
    assert has_instructions_for(torch.bfloat16) == known
    assert has_instructions_for(torch.float16) <= known


def test_full_precision_always_has_instructions() -> None:
    assert has_instructions_for(torch.float32)
    assert has_instructions_for(torch.float64)
