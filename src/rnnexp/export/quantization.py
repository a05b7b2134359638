"""ONNX models with weights of 8 bits, by the dynamic quantization of ONNX Runtime.

Weights are rounded to integers of 8 bits with a scale for each tensor, inputs of a product when it is computed. ONNX
Runtime does so for products with a fixed weight, also those in a Scan, for embeddings, and for the operator LSTM.
"""

from collections import Counter
from pathlib import Path
from typing import Any

INTEGER_OPERATORS = ("DynamicQuantizeLSTM", "MatMulInteger")
"""The operators of ONNX Runtime that compute with weights of 8 bits."""


def quantize_onnx(path: Path) -> None:
    """Replace an ONNX model by its quantized form."""
    import onnx
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = onnx.load(path)
    # PyTorch 2.11 records the shapes of weights here, and they stay when the optimizer transposes a weight.
    del model.graph.value_info[:]
    onnx.save(model, path)
    # Only weights that are values of the file, and not results of its operators, are quantized.
    quant_pre_process(path, path, skip_symbolic_shape=True)
    quantize_dynamic(path, path, extra_options={"EnableSubgraph": True})


def integer_operators(path: Path) -> dict[str, int]:
    """Return the number of each operator of a model that computes with integers, those within a Scan included."""
    import onnx

    counts = _count_operators(onnx.load(path).graph)
    return {name: counts[name] for name in INTEGER_OPERATORS if counts[name]}


def _count_operators(graph: Any) -> Counter[str]:  # noqa: ANN401 (a graph of onnx)
    counts = Counter(node.op_type for node in graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                counts += _count_operators(attribute.g)
    return counts
