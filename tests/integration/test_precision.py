"""A run uses the requested precision or ends with an error; the precision is never changed silently."""

import pytest

from rnnexp.tasks import precision_check
from support.probing_callbacks import RecordDtypes
from support.programs import Run

BARE = [
    *("test_weights=none", "logger=none", "callbacks.predictions=null"),
    "+callbacks.probe._target_=support.probing_callbacks.RecordDtypes",
]
NAMES = {"64": "float64", "32": "float32", "bf16": "bfloat16", "16": "float16"}


@pytest.mark.parametrize(
    ("model", "backend"),
    [("srn", "fused"), ("lstm", "fused"), ("gru", "fused"), ("gru", "batched"), ("lstm", "reference")],
)
@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-true", "16-true", "bf16-mixed", "16-mixed"])
def test_the_recorded_precision_is_the_one_that_ran(run: Run, model: str, backend: str, precision: str) -> None:
    RecordDtypes.seen = {}
    outcome = run(*BARE, f"model={model}", f"model.backend={backend}", f"trainer.precision={precision}")
    if outcome.exit_code == 3:
        assert outcome.status == "unsupported"
        assert f"cell {model!r} (backend {backend}) on cpu at precision {precision} is unsupported" in outcome.line
        assert RecordDtypes.seen == {}, "training had begun"
        # Only if a kernel or Lightning refuses it: full precision must always work.
        assert precision not in ("32-true", "64-true")
        return
    # Half precision may overflow; the recorded precision is still checked.
    assert outcome.exit_code == 0 or (outcome.exit_code == 4 and precision == "16-true"), outcome.stderr
    bits, kind = precision.split("-")
    held = "float32" if kind == "mixed" else NAMES[bits]
    assert RecordDtypes.seen["parameters"] == held
    if kind == "true":
        assert RecordDtypes.seen["outputs"] == held
    if outcome.exit_code == 0:
        recorded = outcome.result["precision"]
        assert recorded["requested"] == precision
        # Autocast does not apply to every kernel: the record then has another effective precision.
        assert NAMES[recorded["effective"].split("-")[0]] == RecordDtypes.seen["outputs"]
        assert recorded["effective"] in outcome.stdout
        if recorded["effective"] != precision:
            assert f"(requested {precision})" in outcome.stdout


def test_fp16_autocast_on_a_cpu_is_unsupported(run: Run) -> None:
    outcome = run(*BARE, "trainer.precision=16-mixed")
    assert outcome.exit_code == 3
    assert outcome.line == (
        "rnnexp: cell 'gru' (backend auto) on cpu at precision 16-mixed is unsupported: "
        "Lightning would run bf16-mixed instead"
    )
    assert outcome.result["reason"] in outcome.line


@pytest.mark.parametrize("has_instructions", [True, False])
@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_numbers_without_instructions_are_a_warning(
    run: Run, monkeypatch: pytest.MonkeyPatch, precision: str, has_instructions: bool
) -> None:
    monkeypatch.setattr(precision_check, "has_instructions_for", lambda _dtype: has_instructions)
    outcome = run(*BARE, f"trainer.precision={precision}")
    assert outcome.exit_code == 0
    is_emulated = precision == "bf16-true" and not has_instructions
    assert ("has no instructions for such numbers" in outcome.stdout) == is_emulated


def test_metrics_are_summed_in_32_bits(run: Run) -> None:
    """A sum of bfloat16 stops growing at 512 times what is added."""
    options = ["trainer.precision=bf16-true", "callbacks.predictions=null", "seed=1"]
    of_one, of_many = (run(*options, f"data.eval_batch_size={size}").result["metrics"] for size in (1, 100))
    for name in ("val/loss", "test/loss"):
        assert of_one[name] == pytest.approx(of_many[name], rel=0.005)


@pytest.mark.parametrize("precision", ["32-ture", "fp16", "32", "bf16"])
def test_a_misspelled_precision_is_named_with_the_list(run: Run, precision: str) -> None:
    outcome = run(f"trainer.precision={precision}")
    assert outcome.exit_code == 2
    assert f"trainer: unknown precision '{precision}': choose one of 32-true, 16-mixed" in outcome.line
    if precision == "32-ture":
        assert outcome.line.endswith("did you mean '32-true'?")
