"""The formats of an exported graph: how it is written, and how it runs."""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnexp.core.errors import UserError, missing_extra_errors
from rnnexp.core.output import silenced
from rnnexp.core.validation import validate_choice
from rnnexp.export.operators import OPSET, run_lstm_operator, run_operator
from rnnexp.export.parts import Part, Run
from rnnexp.export.quantization import quantize_onnx
from rnnexp.export.stack import RunLayer, scan_layer


class Format(NamedTuple):
    """A format of files."""

    ending: str
    run_layer: RunLayer
    """what a layer of a stack becomes"""
    write: Callable[[Part, Path], None]
    """writes a graph"""
    read: Callable[[Part, Path], Run]
    """returns a function that runs a graph"""


def write_onnx(part: Part, path: Path) -> None:
    """Write a graph as an ONNX model."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    with _quiet():
        program = torch.onnx.export(
            part.module,
            part.arguments,
            dynamo=True,
            dynamic_shapes=_dynamic_shapes(part),
            input_names=list(part.axes),
            output_names=list(part.results),
            opset_version=OPSET,
            verbose=False,
        )
        assert program is not None
        # The names and lines of the code that each operator comes from: a tenth of a small file.
        ClearMetadataAndDocStringPass()(program.model)
        program.save(path)


def write_int8(part: Part, path: Path) -> None:
    """Write a graph as an ONNX model with weights of 8 bits."""
    write_onnx(part, path)
    with _quiet():
        quantize_onnx(path)


def read_onnx(part: Part, path: Path) -> Run:
    """Return a function that runs an ONNX model in ONNX Runtime, with the threads of PyTorch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # An argument that the results do not depend on is not in the graph.
    names = {each.name for each in session.get_inputs()}

    def run(*arguments: Tensor) -> Sequence[Tensor]:
        given = {name: each.numpy() for name, each in zip(part.axes, arguments, strict=True) if name in names}
        return [torch.from_numpy(result) for result in session.run(list(part.results), given)]

    return run


def write_torch(part: Part, path: Path) -> None:
    """Write a graph as a program of torch.export."""
    with _quiet():
        program = torch.export.export(part.module, part.arguments, dynamic_shapes=_dynamic_shapes(part))
        torch.export.save(program, path)


def read_torch(part: Part, path: Path) -> Run:  # noqa: ARG001
    """Return a function that runs a program of torch.export."""
    with _quiet():
        module = torch.export.load(path).module()

    def run(*arguments: Tensor) -> Sequence[Tensor]:
        results: Sequence[Tensor] = module(*arguments)
        return results

    return run


FORMATS: Mapping[str, Format] = {
    "onnx": Format(".onnx", run_operator, write_onnx, read_onnx),
    "torch_export": Format(".pt2", scan_layer, write_torch, read_torch),
}
INT8 = Format(".onnx", run_lstm_operator, write_int8, read_onnx)
"""the format onnx with weights of 8 bits"""


def choose_format(name: str, quantize: str | None) -> Format:
    """Return a format.

    Args:
        name: one of `FORMATS`.
        quantize: `int8` for weights of 8 bits, or None.

    Raises:
        UserError: for unknown names, a format that is not quantized, and a package that is not installed.
    """
    try:
        validate_choice("format", name, FORMATS)
        if quantize is not None:
            validate_choice("quantize", quantize, ("int8",))
    except ValueError as error:
        raise UserError(str(error)) from None
    if quantize and name != "onnx":
        raise UserError(f"quantize={quantize} needs format=onnx: format={name} is not quantized")
    if name == "onnx":
        with missing_extra_errors("format=onnx", "export"):
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
    return INT8 if quantize else FORMATS[name]


def _dynamic_shapes(part: Part) -> dict[str, Any]:
    """Return the axes of the arguments that may have any size, in the form of torch.export."""
    names = {axis for shape in part.axes.values() for axis in shape if isinstance(axis, str)}
    dims = {name: torch.export.Dim(name) for name in sorted(names)}
    shapes = [
        {number: dims[axis] for number, axis in enumerate(shape) if isinstance(axis, str)}
        for shape in part.axes.values()
    ]
    parameters = inspect.signature(part.module.forward).parameters.values()
    fixed = [each.name for each in parameters if each.kind is not inspect.Parameter.VAR_POSITIONAL]
    by_name: dict[str, Any] = dict(zip(fixed, shapes, strict=False))
    rest = tuple(shapes[len(fixed) :])
    return by_name | {each.name: rest for each in parameters if rest and each.name not in fixed}


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings of the exporters, which concern names of axes and their own code."""
    with silenced(logging.WARNING), torch.no_grad():
        yield
