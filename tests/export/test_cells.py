"""Exported stacks compute what the network computes: every cell, with any batch, time, lengths and state."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnexp.data.encoding import PlainEncoding
from rnnexp.export.formats import FORMATS
from rnnexp.export.operators import operator_of
from rnnexp.export.parts import Run
from rnnexp.export.sequences import SequenceExport
from rnnexp.models import SequenceClassifier, SequenceNetwork, StepwiseNetwork
from rnnexp.recurrent import CELLS, RecurrentStack
from rnnexp.tasks.classification.predictor import Classifier

NATIVE: list[tuple[str, dict[str, Any]]] = [
    ("srn", {}),
    ("srn", {"cell_options": {"nonlinearity": "relu"}}),
    ("lstm", {}),
    ("gru", {}),
    ("gru", {"cell_options": {"reset": "before"}}),
]
OTHERS: list[tuple[str, dict[str, Any]]] = [
    *((cell, {}) for cell in CELLS if cell not in ("srn", "lstm", "gru")),
    ("lstm", {"cell_options": {"layer_norm": True}}),
    ("gru", {"cell_options": {"ur_gates": True}}),
    ("lstm", {"zoneout": 0.1}),
    ("support.own_cells.minimal_gated_unit", {}),
    ("support.own_cells.DecayCell", {}),
    ("torch.nn.GRUCell", {}),
]
WIDE = {"num_layers": 2, "layer_norm": True, "residual": True}


def make_network(cell: str, **options: Any) -> SequenceClassifier:
    torch.manual_seed(0)
    return SequenceClassifier(partial(RecurrentStack, cell, hidden_size=6, **options), 3, 4).eval()


def exported(network: SequenceNetwork, format_name: str, place: Path) -> tuple[SequenceExport, Run]:
    chosen, export = FORMATS[format_name], SequenceExport(Classifier(network, PlainEncoding()))
    (part,) = export.parts(chosen.run_layer)
    path = place / f"model{chosen.ending}"
    chosen.write(part, path)
    return export, chosen.read(part, path)


@torch.no_grad()
def require_equal(network: SequenceNetwork, export: SequenceExport, run: Run) -> None:
    """Compare batches of one and several sequences, with and without padding, and one step."""
    stand_in = export.stand_in({"model": run})
    for batch, time in ((1, 1), (1, 5), (4, 1), (4, 9)):
        inputs, lengths = torch.randn(batch, time, 3), torch.randint(1, time + 1, (batch,))
        torch.testing.assert_close(stand_in(inputs, lengths), network(inputs, lengths), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def require_continuing(network: SequenceNetwork, export: SequenceExport, run: Run) -> None:
    """Compare a whole sequence with its two parts, of which the second starts with the state of the first."""
    inputs, lengths = torch.randn(3, 8, 3), torch.tensor([5, 5, 5])
    state = [tensor.expand(-1, 3, -1).clone() for tensor in export._initial_state(1)]
    _, *state = run(inputs[:, :5], lengths, *state)
    outputs, *_ = run(inputs[:, 5:], torch.tensor([3, 3, 3]), *state)
    torch.testing.assert_close(outputs, network(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("cell", "options"), NATIVE, ids=str)
def test_onnx_has_an_operator_for_a_cell(cell: str, options: dict[str, Any], tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    network = make_network(cell, **options)
    export, run = exported(network, "onnx", tmp_path)
    require_equal(network, export, run)
    require_continuing(network, export, run)
    operator = operator_of(network.stack)
    assert operator is not None
    nodes = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert nodes.count(operator.name) == 1
    assert not {"Scan", "Loop"} & set(nodes)


@pytest.mark.slow
@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(("cell", "options"), [*NATIVE, *OTHERS], ids=str)
def test_a_format_has_every_cell(cell: str, options: dict[str, Any], format_name: str, tmp_path: Path) -> None:
    if format_name == "onnx":
        pytest.importorskip("onnxruntime")
    for more in ({}, WIDE, {"bidirectional": True, "num_layers": 2}):
        network = make_network(cell, **options, **more)
        export, run = exported(network, format_name, tmp_path)
        require_equal(network, export, run)
        if not network.stack.bidirectional:
            require_continuing(network, export, run)


@pytest.mark.parametrize("format_name", FORMATS)
def test_equations_are_a_scan(format_name: str, tmp_path: Path) -> None:
    if format_name == "onnx":
        pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    make_stack = partial(RecurrentStack, "mgu", hidden_size=6, learned_initial_state=True)
    network = StepwiseNetwork(make_stack, 3, 4).eval()
    torch.nn.init.normal_(network.stack.initial_state)
    export, run = exported(network, format_name, tmp_path)
    stand_in = export.stand_in({"model": run})
    inputs = torch.randn(2, 7, 3)
    with torch.no_grad():
        torch.testing.assert_close(stand_in(inputs), network(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["last_output", "mean", "max"])
def test_pooling_is_in_the_graph(pooling: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    make_stack = partial(RecurrentStack, "lstm", hidden_size=6, bidirectional=True)
    network = SequenceClassifier(make_stack, 3, 4, pooling).eval()
    require_equal(network, *exported(network, "onnx", tmp_path))
