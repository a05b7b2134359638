"""The number types for which this processor has instructions, which torch tells under no public name."""

import torch


def has_instructions_for(dtype: torch.dtype) -> bool:
    """Return whether oneDNN computes products of a type on this processor; otherwise torch does, which may be slow.

    Without oneDNN, as in torch for macOS, nothing is known, and the answer is True.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return True
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype != torch.float16 or bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
