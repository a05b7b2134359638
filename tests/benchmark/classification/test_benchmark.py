"""The classification benchmark measures candidates that do the same work."""

import math
from pathlib import Path
from statistics import median

import pytest

from rnnexp.benchmark import __main__ as benchmark
from rnnexp.benchmark.classification.template_pipeline import ImageFiles
from rnnexp.core.errors import UserError
from support.benchmarks import Measure, read_report
from support.programs import call


def test_every_candidate_trains_in_every_round_and_only_the_report_is_written(measure: Measure, tmp_path: Path) -> None:
    outcome = measure("cells=[srn,lstm,gru]")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.directories == []
    report = read_report(tmp_path / "outputs")
    assert [cell["cell"] for cell in report["speed"]["cells"]] == ["srn", "lstm", "gru"]
    for cell in report["speed"]["cells"]:
        speeds = cell["steps_per_second"]
        assert list(speeds) == ["rnnexp", "plain loop", "lightning-hydra-template, 0 workers"]
        assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in speeds.values())
        ratios = [ours / plain for ours, plain in zip(speeds["rnnexp"], speeds["plain loop"], strict=True)]
        assert cell["rnnexp_over"]["plain loop"]["median"] == pytest.approx(median(ratios))
        losses = cell["final_loss"]
        assert losses["rnnexp"] == pytest.approx(losses["plain loop"], rel=1e-5), "they did not do the same work"
        assert math.isfinite(losses["lightning-hydra-template, 0 workers"])
        for name, speed in speeds.items():
            assert name in outcome.stdout
            assert f"{median(speed):.2f}" in outcome.stdout
    assert report["environment"]["device"]["num_threads"] == 1
    assert report["environment"]["packages"]["torch"]
    assert "steps=4" in report["overrides"]
    assert report["start_up"] is None


def test_the_loss_depends_on_every_step(measure: Measure, tmp_path: Path) -> None:
    """Equal losses show that candidates do the same work only if every step changes the loss."""
    losses = set()
    for steps in (3, 4):
        place = tmp_path / str(steps)
        assert measure(f"steps={steps}", "workers=[]", f"paths.outputs_dir={place}/outputs").exit_code == 0
        losses.add(round(read_report(place / "outputs")["speed"]["cells"][0]["final_loss"]["rnnexp"], 5))
    assert len(losses) == 2


def test_the_fused_backend_may_be_named(measure: Measure) -> None:
    outcome = measure("workers=[]", "model.backend=fused", "repetitions=1")
    assert outcome.exit_code == 0, outcome.stderr


def test_files_that_torchvision_does_not_find_are_refused(tiny_root: Path, tmp_path: Path) -> None:
    for file in (tiny_root / "Tiny" / "raw").iterdir():
        (tmp_path / file.name.replace("-idx", ".idx")).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match="torchvision reads only an unpacked file named train-images-idx3-ubyte"):
        ImageFiles(tmp_path, "Tiny", 10).training_images()


def test_data_without_images_is_refused(tmp_path: Path) -> None:
    options = ["data=delayed_recall", "workers=[]", "trainer=cpu", "steps=2", "warmup_steps=1", "start_up=false"]
    outcome = call(benchmark.main, tmp_path, [*options, "sweep_jobs=0", f"paths.outputs_dir={tmp_path}/outputs"])
    assert outcome.exit_code == 2
    assert "choose data=mnist or data=mnist_pixels" in outcome.line


@pytest.mark.parametrize(
    "options", [["data.val_size=0.2"], ["data=mnist_pixels", "workers=[]"], ["trainer.gradient_clip_val=0"]]
)
def test_the_plain_loop_does_the_same_work(measure: Measure, tmp_path: Path, options: list[str]) -> None:
    outcome = measure("repetitions=1", "steps=3", *options)
    assert outcome.exit_code == 0, outcome.stderr
    losses = read_report(tmp_path / "outputs")["speed"]["cells"][0]["final_loss"]
    assert losses["plain loop"] == pytest.approx(losses["rnnexp"], rel=1e-4)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cells=[lsmt]", "unknown cell 'lsmt': choose one of srn, lstm, gru; did you mean 'lstm'?"),
        ("steps=0", "steps must be a whole number of at least 1, not 0"),
        ("repetitions=-1", "repetitions must be a whole number of at least 1, not -1"),
        ("steps=9", "need 11 batches, but an epoch has 10 of data.batch_size=50: choose fewer steps"),
        (
            "trainer.precision=bf16-mixed",
            "not all candidates of the benchmark support it: use trainer.precision=32-true",
        ),
        ("model.backend=reference", "model.backend=reference: the plain loop runs the kernels of torch"),
        ("model.layer_norm=true", "model.layer_norm=True: not all candidates of the benchmark support it"),
        ("data=mnist_pixels workers=[0]", "data.view=pixels: not all candidates of the benchmark support it"),
        ("+trainer.gradient_clip_algorithm=value", "the candidates of the benchmark clip the norm alone"),
    ],
)
def test_a_bad_option_is_a_one_line_error(measure: Measure, override: str, message: str) -> None:
    outcome = measure(*override.split())
    assert outcome.exit_code == 2
    assert message in outcome.line
