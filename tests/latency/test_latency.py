"""The cost of inference is measured on real runs, recorded in their directories, and refused where it means nothing."""

import hashlib
import itertools
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.export import __main__ as export
from rnnexp.latency.__main__ import latency
from rnnexp.latency.rounds import Round, measure_round, summarize_rounds
from rnnexp.latency.subject import Subject
from rnnexp.report.__main__ import report
from rnnexp.tasks.inference_record import BATCH_SIZES, read_inference
from rnnexp.tasks.workload import Workload
from rnnexp.tracking.run_directory import RunDirectory
from support.answering import finish_phrasebook
from support.foreign_runs import change_config
from support.programs import Outcome, Run, call


class CallsTouch:
    """An object that makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.file,)


QUICK = ["--rounds", "2", "--seconds", "0.001", "--accelerator", "cpu"]


@pytest.fixture
def copied(finished: Outcome, tmp_path: Path) -> Callable[[str], Path]:
    """A function that copies the finished run to a directory that tests may change."""
    return lambda name: Path(shutil.copytree(finished.directory, tmp_path / "sweep" / name))


def record_of(run: Path) -> dict[str, Any]:
    return read_inference(run / "inference.json", read_json(run / "result.json")["config_hash"])


def assert_ordered(times: dict[str, float], num_calls: int) -> None:
    assert 0 < times["p50_ms"] <= times["p95_ms"] <= times["p99_ms"]
    assert times["num_calls"] >= num_calls


def test_latencies_are_milliseconds_and_throughput_is_per_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of this test is 5 ms later at each reading, so that each call takes 5 ms."""
    readings = itertools.count()
    monkeypatch.setattr("rnnexp.latency.rounds.now", lambda _: 0.005 * next(readings))
    batches = dict.fromkeys(BATCH_SIZES, lambda: None)
    workload = Workload({"latency": [lambda: 3]}, batches, [1], "steps", None, counts_words=True)
    device = torch.device("cpu")
    subject = Subject(RunDirectory(tmp_path), tmp_path, nn.Identity(), workload, device, "32-true", False, 0, 0)
    numbers = summarize_rounds(subject, [measure_round(subject, 0.1) for _ in range(2)])
    assert [numbers["latency"][f"p{percent}_ms"] for percent in (50, 95, 99)] == pytest.approx([5, 5, 5])
    assert numbers["throughput"] == pytest.approx({"batch_1": 200, "batch_16": 16 * 200, "batch_128": 128 * 200})
    assert numbers["words_per_second"] == pytest.approx(3 * 200)


def test_percentiles_are_over_the_calls_of_all_rounds() -> None:
    workload = Workload({"latency": []}, {}, [1], "steps", None)
    subject: Any = SimpleNamespace(workload=workload)
    rounds = [
        Round({"latency": [number / 1000 for number in part]}, {}, {16: [1.0], 128: [1.0]})
        for part in (range(101, 50, -1), range(1, 51))
    ]
    times = summarize_rounds(subject, rounds)["latency"]
    assert times == pytest.approx({"p50_ms": 51, "p95_ms": 96, "p99_ms": 100, "num_calls": 101})


def test_the_table_shows_the_numbers_of_the_record(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied("a")
    assert latency([str(run), *QUICK]) == 0
    (row,) = (line.split() for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["a"])
    record = record_of(run)
    times = [record[name][f"p{percent}_ms"] for name in ("latency", "step_latency") for percent in (50, 99)]
    numbers = [*times, record["throughput"]["batch_128"], record["weight_bytes"] / 10**6]
    shown = [float(cell.replace(",", "")) for cell in row[1:]]
    assert shown[: len(numbers)] == pytest.approx(numbers, rel=0.01)


def test_a_record_that_cannot_be_written_does_not_lose_the_others(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = copied("a"), copied("b")
    (first / "inference.json").mkdir()
    assert latency([str(first.parent), *QUICK]) == 2
    out, err = capsys.readouterr()
    assert f"rnnexp: not recorded: {first}/inference.json: Is a directory" in err
    assert "measured 2 runs; the numbers are in inference.json of 1 of them" in out
    assert record_of(second)["latency"]["p50_ms"] > 0


def test_an_error_of_the_system_is_one_line(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied("a")
    monkeypatch.chdir(run)
    shutil.rmtree(run)
    assert latency([".", *QUICK]) == 2
    err = capsys.readouterr().err
    assert err.startswith("rnnexp: ")
    assert "Traceback" not in err


def test_runs_are_measured_in_turns_and_one_that_is_not_done_is_named(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [copied("a"), copied("b")]
    failed = copied("failed")
    write_json(failed / "status.json", read_json(failed / "status.json") | {"status": "failed", "reason": "NaN"})
    assert latency([str(failed.parent), *QUICK]) == 2
    out, err = capsys.readouterr()
    assert f"rnnexp: not measured: {failed} is failed, not done: NaN" in err
    assert "measured 2 runs" in out
    assert not (failed / "inference.json").exists()
    result = read_json(runs[0] / "result.json")
    for run in runs:
        record = record_of(run)
        assert_ordered(record["latency"], 40)
        assert_ordered(record["step_latency"], 40)
        assert record["beam5_latency"] is None
        assert all(record["throughput"][f"batch_{size}"] > 0 for size in BATCH_SIZES)
        assert record["weight_bytes"] == 4 * result["model"]["num_parameters"]
        assert record["num_parameters"] == result["model"]["num_parameters"]
        peaks = [record["peak_memory_bytes"][f"batch_{size}"] for size in BATCH_SIZES]
        assert peaks == [None] * 3 or record["weight_bytes"] <= peaks[0] < peaks[2]
        assert record["conditions"]["num_threads"] == 1
        assert record["conditions"]["host"] == record["environment"]["host"]
        assert set(record["backend"]) == {"latency", "step_latency"}
        assert record["precision"] == {"requested": "32-true", "effective": "32-true"}
        assert record["machine_use"]["is_idle"] in (True, False, None)
        assert (record["num_rounds"], record["num_runs_in_turns"]) == (2, 2)
        assert record["samples"] == {
            "num_samples": 200,
            "unit": "steps",
            "shortest": 28,
            "median": 28,
            "longest": 28,
        }


@pytest.mark.slow
def test_a_translator_has_the_time_of_a_sentence_in_two_searches(
    run: Run, translate_tiny: Callable[[str], list[str]]
) -> None:
    outcome = run("task=translation", "trainer.max_steps=2", data=translate_tiny("Phrasebook"))
    assert outcome.exit_code == 0, outcome.stderr
    assert latency([str(outcome.directory), *QUICK[2:], "--rounds", "1"]) == 0
    record = record_of(outcome.directory)
    assert_ordered(record["latency"], 20)
    assert_ordered(record["beam5_latency"], 20)
    assert record["step_latency"] is None
    assert set(record["reasons"]) == {"step_latency"}
    assert record["words_per_second"] > 0
    assert record["beam5_words_per_second"] > 0
    assert record["samples"]["unit"] == "source tokens"
    assert record["flops_per_step"] > 0


@pytest.mark.slow
def test_exports_are_measured_beside_their_run(
    copied: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    run = copied("a")
    for more in ([], ["quantize=int8"]):
        outcome = call(export.main, tmp_path, [f"run={run}", "format=onnx", *more])
        assert outcome.exit_code == 0, outcome.stderr
    assert latency([str(run), *QUICK]) == 0
    assert "measured 1 run;" in capsys.readouterr().out
    record = record_of(run)
    assert list(record["exports"]) == ["onnx", "onnx_int8"]
    for name, found in record["exports"].items():
        known = read_json(run / "exports" / name / "export.json")
        assert_ordered(found["latency"], 40)
        assert_ordered(found["step_latency"], 40)
        assert all(found["throughput"][f"batch_{size}"] > 0 for size in BATCH_SIZES)
        assert found["weight_bytes"] == known["graphs"]["model.onnx"]["bytes"]
        assert found["metrics"] == known["check"]["metrics"]
        assert found["weights"] == record["weights"]
    assert report([str(run), "--output", str(tmp_path / "report")]) == 0
    capsys.readouterr()
    assert "onnx\\_int8" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    file = run / "exports" / "onnx" / "export.json"
    write_json(file, read_json(file) | {"config_hash": "other"})
    # What is wrong with an export costs neither its run nor the others.
    damaged = run / "exports" / "damaged"
    shutil.copytree(run / "exports" / "onnx_int8", damaged)
    (damaged / "model.onnx").write_bytes(b"damaged")
    foreign = run / "exports" / "foreign"
    shutil.copytree(run / "exports" / "onnx_int8", foreign)
    (foreign / "model.onnx").write_bytes(identity_graph())
    assert latency([str(run), *QUICK]) == 2
    out, err = capsys.readouterr()
    assert "measured 1 run;" in out
    other, of_another, unreadable = err.splitlines()[:3]
    assert "damaged/model.onnx cannot be read" in other
    assert f"{foreign} cannot be run" in of_another
    assert "is about another config" in unreadable
    assert list(record_of(run)["exports"]) == ["onnx_int8"]


@pytest.mark.slow
def test_a_program_that_pickle_reads_is_measured_if_it_is_trusted(
    copied: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied("a")
    outcome = call(export.main, tmp_path, [f"run={run}", "format=torch_export"])
    assert outcome.exit_code == 0, outcome.stderr
    assert latency([str(run), *QUICK, "--trust", "torch.export"]) == 0
    assert list(record_of(run)["exports"]) == ["torch_export"]
    capsys.readouterr()
    payload = tmp_path / "called"
    (run / "exports" / "torch_export" / "model.pt2").write_bytes(pickle.dumps(CallsTouch(payload)))
    assert latency([str(run), *QUICK]) == 2
    err = capsys.readouterr().err
    assert "add --trust torch.export if it is yours" in err
    assert record_of(run)["exports"] == {}
    assert not payload.exists()


def identity_graph() -> bytes:
    """Return an ONNX graph that returns its only input."""
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def describe(run: Path, name: str = "mine", **changes: object) -> Path:
    """Write the description of an export with changes, and return its directory."""
    place = run / "exports" / name
    place.mkdir(parents=True)
    (place / "model.onnx").touch()
    described = {
        "config_hash": read_json(run / "status.json")["config_hash"],
        "format": "onnx",
        "quantize": None,
        "weights": "checkpoints/best.ckpt",
        "weights_sha256": hashlib.sha256((run / "checkpoints/best.ckpt").read_bytes()).hexdigest(),
        "graphs": {"model.onnx": {}},
        "check": {"changed": {}, "metrics": {}, "metrics_of_run": {}, "largest_difference": 0.0},
    }
    write_json(place / "export.json", described | changes)
    return place


def refusals(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is said about the exports of a run, of which none is measured, while the run itself is."""
    assert latency([str(run), *QUICK]) == 2
    out, err = capsys.readouterr()
    assert "measured 1 run;" in out
    assert record_of(run)["exports"] == {}
    return err


DAMAGES: list[tuple[str, object]] = [
    ("format", "other"),
    ("format", ["onnx"]),
    ("quantize", {}),
    ("weights", None),
    ("weights_sha256", None),
    ("graphs", None),
    ("graphs", {"../../result.json": {}}),
    ("graphs", {"absent.onnx": {}}),
    ("graphs", 5),
    ("graphs", {"x" * 5000: {}}),
    ("graphs", {"a\0b": {}}),
    ("check", {"metrics": {}}),
]


def test_a_damaged_description_names_its_field(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied("a")
    places = [describe(run, f"damaged_{number}", **{key: value}) for number, (key, value) in enumerate(DAMAGES)]
    said = refusals(run, capsys)
    for place, (key, _) in zip(places, DAMAGES, strict=True):
        assert f"{place}/export.json: {key} is not that of an export" in said


def test_an_export_of_other_weights_is_not_measured(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The run was continued after the export."""
    run = copied("a")
    places = [describe(run, "older", weights_sha256="0" * 64), describe(run, "lost", weights="checkpoints/lost.ckpt")]
    said = refusals(run, capsys)
    for place in places:
        assert f"{place}/export.json is about other weights than " in said


def test_a_check_that_no_report_would_read_costs_the_export_alone(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied("a")
    whole = {"changed": {}, "metrics": {}, "metrics_of_run": {}, "largest_difference": 0.0}
    wrong = {"text": {"metrics": "all"}, "word": {"metrics": {"test/acc": "x"}}, "low": {"largest_difference": -1}}
    for name, check in wrong.items():
        describe(run, name, check=whole | check)
    said = refusals(run, capsys)
    for name in wrong:
        assert f"export.json: exports.{name}." in said


@pytest.mark.slow
def test_an_exported_translator_is_measured(tmp_path: Path, translate_tiny: Callable[[str], list[str]]) -> None:
    pytest.importorskip("onnxruntime")
    run = finish_phrasebook(tmp_path, translate_tiny)
    outcome = call(export.main, tmp_path, [f"run={run}", "format=onnx", "quantize=int8", "tolerance=1"])
    assert outcome.exit_code == 0, outcome.stderr
    assert latency([str(run), *QUICK[2:], "--rounds", "1"]) == 0
    found = record_of(run)["exports"]["onnx_int8"]
    assert_ordered(found["latency"], 20)
    assert_ordered(found["beam5_latency"], 20)
    assert found["step_latency"] is None


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which the program refuses its arguments."""
    assert latency([*arguments, *QUICK]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


def test_a_run_that_is_not_done_is_refused(copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    run = copied("interrupted")
    status = read_json(run / "status.json")
    write_json(run / "status.json", status | {"status": "interrupted", "reason": "a signal"})
    assert "is interrupted, not done" in refused([str(run)], capsys)


def test_a_foreign_run_calls_nothing_and_writes_nowhere_else(
    copied: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied("foreign")
    elsewhere = tmp_path / "elsewhere.json"
    (run / "inference.json").symlink_to(elsewhere)
    assert "is a link" in refused([str(run)], capsys)
    assert not elsewhere.exists()
    (run / "inference.json").unlink()
    change_config(run, lambda config: config["data"].update(_target_="os.system"))
    assert "os.system" in refused([str(run)], capsys)


def test_the_argument_that_admits_a_module_is_that_of_the_program(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied("own")
    change_config(run, lambda config: config["model"].update(cell="my_cells.mgu"))
    assert refused([str(run)], capsys).endswith("if you trust it, add --trust my_cells")


def test_data_that_has_moved(copied: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = copied("moved")
    assert "--data must be key=value" in refused([str(run), "--data", "root"], capsys)
    assert str(tmp_path / "none") in refused([str(run), "--data", f"root={tmp_path}/none"], capsys)
