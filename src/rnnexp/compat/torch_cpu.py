"""The number types for which this processor has instructions, which torch tells under no public name."""

import torch


def has_instructions_for(dtype: torch.dtype) -> bool:
    """Return whether products of a type take about as long as those of float32 on this processor.

    Otherwise torch computes them one by one: with bfloat16, training took 14 times as long on a processor with AVX2.
    Without oneDNN, as in torch for macOS, nothing is known, and the answer is True.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return True
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype != torch.float16 or bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
