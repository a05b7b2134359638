"""Measure the backends of a stack, for `model.backend=auto`: python -m rnnexp.benchmark.backends

Each cell with a batched step runs forward and backward over random batches, under each backend in turns. The medians
are printed, with the fraction of the speed of a matrix product in the same run, and written as the table of `auto`.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnexp.benchmark.measurement import take_turns
from rnnexp.benchmark.translation.multiply_adds import MatrixProduct
from rnnexp.core.clock import now
from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.recurrent import CELLS, RecurrentStack
from rnnexp.recurrent.backends import BACKENDS, MEASURED
from rnnexp.recurrent.cells import make_cell, variants

PRODUCT_SIZE = 1024
"""The rows and columns of the matrices whose product is the limit of the machine."""
CASE = ("step", "device", "precision", "hidden_size", "shape", "threads")
"""The keys whose values identify a row of the table."""


class Shape(NamedTuple):
    """A batch as an experiment has it."""

    name: str
    batch: int
    time: int
    features: int
    shortest: int
    """The length of the shortest sequence."""
    needs_input_gradient: bool


SHAPES = (
    Shape("one step", batch=64, time=1, features=256, shortest=1, needs_input_gradient=True),
    Shape("rows", batch=128, time=28, features=28, shortest=28, needs_input_gradient=False),
    Shape("pixels", batch=128, time=784, features=1, shortest=784, needs_input_gradient=False),
    Shape("decoder", batch=64, time=30, features=512, shortest=15, needs_input_gradient=True),
)


def cells_with_batched_steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return name and options of every cell with a batched step."""
    for name in CELLS:
        for options in variants(name):
            cell = make_cell(name, options).cell
            if cell.batched is not None and not cell.parametrizations:
                yield name, options


class Layer(NamedTuple):
    """One layer with a batch."""

    stack: RecurrentStack
    x: Tensor
    lengths: Tensor | None
    by_outputs: Tensor

    @property
    def operations(self) -> int:
        """The floating point operations of the products of a forward and backward pass, without padding."""
        steps = self.x[..., 0].numel() if self.lengths is None else int(self.lengths.sum())
        weights = dict(self.stack.named_parameters())
        passes = {"weight_ih_l0": 3 if self.x.requires_grad else 2, "weight_hh_l0": 3}
        return 2 * steps * sum(weights[name].numel() * number for name, number in passes.items())

    def seconds(self) -> float:
        """Return the time of a forward and a backward pass."""
        start = now(self.x.device)
        outputs, _ = self.stack(self.x, self.lengths)
        outputs.backward(self.by_outputs)
        return now(self.x.device) - start


def make_layers(
    cell: str, options: dict[str, Any], shape: Shape, hidden_size: int, device: torch.device
) -> dict[str, Layer]:
    """Return a layer by backend."""
    torch.manual_seed(0)
    x = torch.randn(shape.batch, shape.time, shape.features, device=device)
    x.requires_grad_(shape.needs_input_gradient)
    lengths = None
    if shape.shortest < shape.time:
        lengths = torch.randint(shape.shortest, shape.time + 1, (shape.batch,))
        lengths[0] = shape.time
    by_outputs = torch.randn(shape.batch, shape.time, hidden_size, device=device)
    layers: dict[str, Layer] = {}
    for backend in BACKENDS[1:]:
        made = make_cell(cell, options).cell
        is_possible = {
            "fused": made.fused is not None,
            "parallel": made.coefficients is not None,
            "graph": device.type == "cuda",
        }
        if not is_possible.get(backend, True):
            continue
        stack = RecurrentStack(cell, shape.features, hidden_size, backend=backend, cell_options=options)
        layers[backend] = Layer(stack.to(device), x, lengths, by_outputs)
    return layers


def measure_row(
    cell: str, options: dict[str, Any], shape: Shape, hidden_size: int, device: torch.device, rounds: int
) -> dict[str, Any]:
    """Measure the backends of one cell in turns."""
    layers = make_layers(cell, options, shape, hidden_size, device)
    product = MatrixProduct(PRODUCT_SIZE, PRODUCT_SIZE, PRODUCT_SIZE, device)
    candidates: dict[str, Callable[[], float]] = {name: layer.seconds for name, layer in layers.items()}
    take_turns(candidates, 1)  # allocates memory, and tunes kernels
    measured = take_turns(candidates | {"product": lambda: product().seconds}, rounds)
    rate = 1e9 * product.gflop / median(measured.pop("product"))
    seconds = {name: median(values) for name, values in measured.items()}
    return {
        "step": layers["batched"].stack.cell.step.__name__,
        "device": device.type,
        "precision": "float32",
        "hidden_size": hidden_size,
        "shape": shape.name,
        "steps": shape.time,
        "threads": torch.get_num_threads(),
        "milliseconds": {name: round(1e3 * value, 2) for name, value in seconds.items()},
        "fraction_of_product": {
            name: round(layers[name].operations / value / rate, 3) for name, value in seconds.items()
        },
    }


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m rnnexp.benchmark.backends", description=__doc__)
    parser.add_argument("--hidden-sizes", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, torch.get_num_threads()])
    parser.add_argument("--shapes", nargs="+", choices=[shape.name for shape in SHAPES], help="all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=MEASURED, help="the table, whose other rows remain")
    return parser


def merged(earlier: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all rows; of two rows of one case the new one."""
    return list({tuple(row[key] for key in CASE): row for row in (*earlier, *rows)}.values())


def main() -> None:
    """Measure all cells, and write the rows into the table in place of those of the same cases."""
    options = make_parser().parse_args()
    device = torch.device(options.device)
    rows: list[dict[str, Any]] = []
    started = time.monotonic()
    shapes = [shape for shape in SHAPES if not options.shapes or shape.name in options.shapes]
    cases = list(itertools.product(options.threads, options.hidden_sizes, shapes, cells_with_batched_steps()))
    for number, (threads, hidden_size, shape, (cell, cell_options)) in enumerate(cases, start=1):
        torch.set_num_threads(threads)
        row = measure_row(cell, cell_options, shape, hidden_size, device, options.rounds)
        rows.append(row)
        print(f"{number}/{len(cases)} {time.monotonic() - started:.0f} s {row}", flush=True)
    earlier = read_json(options.output)["rows"] if options.output.exists() else []
    write_json(options.output, {"torch": torch.__version__, "rows": merged(earlier, rows)})


if __name__ == "__main__":
    main()
