"""ONNX files with weights of 8 bits: their products, how near they are to the network, and what is refused."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from export.test_cells import NATIVE, OTHERS, make_network
from rnnexp.core.errors import UserError
from rnnexp.data.encoding import PlainEncoding
from rnnexp.export import __main__ as export
from rnnexp.export.checks import require_close
from rnnexp.export.formats import INT8
from rnnexp.export.quantization import integer_operators
from rnnexp.export.sequences import SequenceExport
from rnnexp.tasks.classification.predictor import Classifier
from rnnexp.tasks.registry import CLASSIFICATION, LOSS
from support.programs import Outcome, call

FLOAT_PRODUCTS = {"MatMul", "Gemm", "LSTM", "GRU", "RNN"}
ONE_PRODUCT = ("indrnn", "min_gru", "min_lstm", "support.own_cells.DecayCell")
"""Cells without a matrix in the recurrence, and a cell with a single product of the input and the state."""


def quantized(cell: str, place: Path, **options: Any) -> dict[str, int]:
    """Return the integer operators of a quantized network, whose outputs are those of the network within 0.1."""
    network = make_network(cell, **options)
    exported = SequenceExport(Classifier(network, PlainEncoding()))
    (part,) = exported.parts(INT8.run_layer)
    path = place / "model.onnx"
    INT8.write(part, path)
    inputs, lengths = torch.randn(3, 7, 3), torch.tensor([7, 5, 1])
    with torch.no_grad():
        found = exported.stand_in({"model": INT8.read(part, path)})(inputs, lengths)
        torch.testing.assert_close(found, network(inputs, lengths), rtol=0, atol=0.1)
    return integer_operators(path)


def test_an_lstm_is_one_integer_operator(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert quantized("lstm", tmp_path) == {"DynamicQuantizeLSTM": 1, "MatMulInteger": 1}


def test_a_gru_is_a_scan_of_integer_products(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    # The inputs of all steps, the recurrence, and the head.
    assert quantized("gru", tmp_path) == {"MatMulInteger": 3}
    nodes = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert "Scan" in nodes
    assert not nodes & FLOAT_PRODUCTS


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "options"), [*NATIVE, *OTHERS], ids=str)
def test_every_cell_computes_with_integers(cell: str, options: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    counts = quantized(cell, tmp_path, **options, num_layers=2, bidirectional=True)
    # Of two layers and two directions, besides the head.
    products = 4 * (1 if cell in ONE_PRODUCT else 2)
    assert counts.get("DynamicQuantizeLSTM") == 2 or counts["MatMulInteger"] > products


def test_a_measure_may_be_worse_by_the_tolerance() -> None:
    require_close(CLASSIFICATION.main, 0.90, 0.86, tolerance=0.05)
    require_close(CLASSIFICATION.main, 0.90, 0.99, tolerance=0.0)
    require_close(LOSS, 1.0, 0.5, tolerance=0.0)
    with pytest.raises(UserError, match=r"test/acc of the quantized file is 0\.8"):
        require_close(CLASSIFICATION.main, 0.90, 0.80, tolerance=0.05)
    for worse in (1.2, math.nan):
        with pytest.raises(UserError, match="nothing is written"):
            require_close(LOSS, 1.0, worse, tolerance=0.1)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["format=torch_export", "quantize=int8"], "needs format=onnx"),
        (["format=onnx", "quantize=int9"], "did you mean 'int8'"),
    ],
)
def test_what_is_not_quantized_is_one_line(finished: Outcome, tmp_path: Path, arguments: list[str], part: str) -> None:
    run = shutil.copytree(finished.directory, tmp_path / "run")
    outcome = call(export.main, tmp_path, [f"run={run}", f"output={tmp_path}/model", *arguments])
    assert outcome.exit_code == 2
    assert part in outcome.line


@pytest.mark.slow
def test_a_run_is_quantized_and_described(finished: Outcome, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    run = shutil.copytree(finished.directory, tmp_path / "run")
    for more in ([], ["quantize=int8"]):
        outcome = call(export.main, tmp_path, [f"run={run}", "format=onnx", *more])
        assert outcome.exit_code == 0, outcome.stderr
    whole, known = (
        json.loads((run / "exports" / name / "export.json").read_text(encoding="utf-8"))
        for name in ("onnx", "onnx_int8")
    )
    assert (known["format"], known["quantize"]) == ("onnx", "int8")
    assert known["graphs"]["model.onnx"]["integer_operators"]
    assert known["graphs"]["model.onnx"]["bytes"] < whole["graphs"]["model.onnx"]["bytes"]
    assert known["check"]["largest_difference"] > whole["check"]["largest_difference"]
    assert known["check"]["metrics_of_run"] == whole["check"]["metrics_of_run"]
    assert set(known["check"]["metrics"]) == set(whole["check"]["metrics"])
