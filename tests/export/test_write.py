"""The program that exports a run."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnexp.export import __main__ as export
from rnnexp.latency.__main__ import latency
from support import ROOT
from support.answering import finish_phrasebook
from support.programs import Outcome, Run, call


@pytest.mark.slow
@pytest.mark.parametrize("format_name", ["onnx", "torch_export"])
def test_a_run_is_exported_and_described(finished: Outcome, format_name: str, tmp_path: Path) -> None:
    if format_name == "onnx":
        pytest.importorskip("onnxruntime")
    output = tmp_path / "model"
    run = shutil.copytree(finished.directory, tmp_path / "run")
    arguments = [f"run={run}", f"format={format_name}", f"output={output}"]
    outcome = call(export.main, tmp_path, arguments)
    assert outcome.exit_code == 0, outcome.stderr
    known = json.loads((output / "export.json").read_text(encoding="utf-8"))
    assert {path.name for path in output.iterdir()} == {"export.json", *known["graphs"]}
    assert known["check"]["metrics"]["test/acc"] == pytest.approx(finished.result["metrics"]["test/acc"], abs=1e-4)
    assert known["check"]["largest_difference"] < 1e-4
    assert known["encoding"]["kind"] == "image"
    assert "exists" in call(export.main, tmp_path, arguments).line


@pytest.mark.slow
def test_other_data_check_the_files_of_a_run_whose_data_have_moved(finished: Outcome, tmp_path: Path) -> None:
    run = shutil.copytree(finished.directory, tmp_path / "run")
    root = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["data"]["root"]
    arguments = [f"run={run}", "format=torch_export"]
    refused = call(export.main, tmp_path, [*arguments, f"data.root={tmp_path}/nowhere"])
    assert refused.exit_code == 2
    assert not (run / "exports").exists()
    outcome = call(export.main, tmp_path, [*arguments, f"data.root={root}"])
    assert outcome.exit_code == 0, outcome.stderr
    known = json.loads((run / "exports" / "torch_export" / "export.json").read_text(encoding="utf-8"))
    assert known["check"]["changed"] == {"data.root": root}
    assert known["weights_sha256"] == hashlib.sha256((run / known["weights"]).read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16-true", "64-true", "16-true", "bf16-mixed"])
def test_a_run_of_any_precision_is_exported_in_32_bits(precision: str, run: Run, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    trained = run("model=gru", f"trainer.precision={precision}")
    assert trained.exit_code == 0, trained.stderr
    for format_name in ("onnx", "torch_export"):
        outcome = call(export.main, tmp_path, [f"run={trained.directory}", f"format={format_name}"])
        assert outcome.exit_code == 0, outcome.stderr
    options = ["--accelerator", "cpu", "--rounds", "1", "--seconds", "0.05", "--trust", "torch.export"]
    assert latency([str(trained.directory), *options]) == 0
    measured = json.loads((trained.directory / "inference.json").read_text(encoding="utf-8"))
    assert set(measured["exports"]) == {"onnx", "torch_export"}


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("format=onx", "onnx"),
        ("tolerance=5%", "tolerance must be a number of at least 0, not '5%'"),
        ("tolerance=-1", "tolerance must be a number of at least 0, not -1"),
        ("output=[a,b]", "output must be a directory, not ['a', 'b']"),
        ("output=FILE/x", "FILE is not a directory"),
    ],
)
def test_a_wrong_argument_is_one_line(finished: Outcome, tmp_path: Path, argument: str, line: str) -> None:
    run, file = shutil.copytree(finished.directory, tmp_path / "run"), tmp_path / "file"
    file.touch()
    outcome = call(export.main, tmp_path, [f"run={run}", argument.replace("FILE", str(file))])
    assert outcome.exit_code == 2, outcome.stderr
    assert line.replace("FILE", str(file)) in outcome.line
    assert not (run / "exports").exists()


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["support.own_cells.minimal_gated_unit", "support.own_cells.DecayCell"])
def test_a_run_with_an_own_cell_is_exported(cell: str, run: Run, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    trained = run("model=srn", f"model.cell={cell}", "model.cell_options={}")
    assert trained.exit_code == 0, trained.stderr
    arguments = [f"run={trained.directory}", "tolerance=1"]
    assert "trust=" in call(export.main, tmp_path, arguments).line
    for number, chosen in enumerate(("format=onnx", "format=torch_export", "quantize=int8")):
        output = tmp_path / f"model_{number}"
        outcome = call(export.main, tmp_path, [*arguments, chosen, f"output={output}", "trust=[support.own_cells]"])
        assert outcome.exit_code == 0, outcome.stderr
        assert (output / "export.json").exists()


@pytest.mark.slow
def test_a_network_that_a_format_cannot_hold_is_one_line(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    trained = run("model=srn", "model.cell_options.orthogonal=true")
    outcome = call(export.main, tmp_path, [f"run={trained.directory}", "format=onnx", f"output={tmp_path}/model"])
    assert outcome.exit_code == 2
    assert "format=onnx cannot hold this network" in outcome.line
    assert not list(tmp_path.glob("*model*")), "nothing is left of it"


@pytest.mark.slow
def test_the_example_of_the_documentation_translates(
    tmp_path: Path, translate_tiny: Callable[[str], list[str]]
) -> None:
    pytest.importorskip("onnxruntime")
    import rnnexp

    run = finish_phrasebook(tmp_path, translate_tiny)
    outcome = call(export.main, tmp_path, [f"run={run}", "format=onnx"])
    assert outcome.exit_code == 0, outcome.stderr
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = (code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def translate" in code)
    names: dict[str, Any] = {}
    exec(example.replace("outputs/train/RUN", str(run)), names)
    sentences = ["the dog sleeps .", "she sees the old house ."]
    expected = rnnexp.load(run).translate(sentences, beam_size=1)
    assert [names["translate"](each) for each in sentences] == expected
