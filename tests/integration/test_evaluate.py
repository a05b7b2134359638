"""A finished run is evaluated from its directory alone."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from rnnexp.core import user_code
from rnnexp.core.files.atomic import read_json
from rnnexp.tasks.classification.task import ClassificationTask
from support.programs import NUM_TEST, Outcome, Run


@pytest.fixture
def moved(finished: Outcome, tmp_path: Path) -> Path:
    """A copy of the finished run in another directory under another name."""
    shutil.copytree(finished.directory, tmp_path / "moved")
    return tmp_path / "moved"


def evaluation(directory: Path) -> dict[str, object]:
    (file,) = (directory / "evaluations").iterdir()
    return read_json(file)


def test_reproduces_the_score_of_the_run(score: Run, finished: Outcome, moved: Path) -> None:
    outcome = score(f"run={moved}")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stderr == ""
    record = evaluation(moved)
    there = {name: value for name, value in finished.result["metrics"].items() if name.startswith("test/")}
    assert record["metrics"] == there
    assert record["num_test_samples"] == NUM_TEST
    assert record["weights"] == "checkpoints/best.ckpt"
    assert f"{there['test/acc']:.4f}" in outcome.stdout


def test_the_run_is_not_changed(score: Run, moved: Path) -> None:
    before = {path: path.read_bytes() for path in moved.rglob("*") if path.is_file()}
    assert score(f"run={moved}").exit_code == 0
    after = {path: path.read_bytes() for path in moved.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    added = {str(path.relative_to(moved)).split("/")[0] for path in after.keys() - before.keys()}
    assert added == {"evaluations", "evaluate.log"}


def test_each_evaluation_is_kept(score: Run, moved: Path) -> None:
    for _ in range(2):
        score(f"run={moved}")
    assert len(list((moved / "evaluations").iterdir())) == 2


def test_last_weights(score: Run, moved: Path) -> None:
    """The last checkpoint gets zero weights, so that its score differs."""
    path = moved / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for value in checkpoint["state_dict"].values():
        value.zero_()
    torch.save(checkpoint, path)
    assert score(f"run={moved}", "weights=last").exit_code == 0
    record = evaluation(moved)
    assert record["weights"] == "checkpoints/last.ckpt"
    assert isinstance(record["metrics"], dict)
    assert record["metrics"]["test/acc"] == pytest.approx(0.1)


def test_another_dataset_of_the_same_shape(score: Run, finished: Outcome, moved: Path, tiny_root: Path) -> None:
    shutil.copytree(tiny_root / "Other", moved.parent / "elsewhere" / "Other")
    outcome = score(f"run={moved}", f"data.root={moved.parent}/elsewhere", "data.name=Other", "data.eval_batch_size=7")
    assert outcome.exit_code == 0, outcome.stderr
    record = evaluation(moved)
    assert isinstance(record["metrics"], dict)
    assert isinstance(record["data"], dict)
    assert record["data"]["name"] == "Other"
    assert record["metrics"]["test/loss"] != finished.result["metrics"]["test/loss"]
    assert record["metrics"]["test/acc"] > 0.8


def test_a_dataset_of_another_shape_is_refused(score: Run, moved: Path, tmp_path: Path) -> None:
    import numpy as np

    from rnnexp.data.images.idx import encode_idx

    raw = tmp_path / "small" / "Small" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for half, count in (("train", 600), ("t10k", 20)):
        images = generator.integers(0, 256, (count, 8, 8), dtype=np.uint8)
        (raw / f"{half}-images-idx3-ubyte").write_bytes(encode_idx(images))
        (raw / f"{half}-labels-idx1-ubyte").write_bytes(encode_idx((np.arange(count) % 10).astype(np.uint8)))
    outcome = score(f"run={moved}", f"data.root={tmp_path}/small", "data.name=Small")
    assert outcome.exit_code == 2
    assert "does not fit these data, Small as rows, 8 steps of 8: " in outcome.line


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["run={parent}/movd"], "movd is not a directory; did you mean 'moved'?"),
        (["run={parent}"], "is not a run directory: it has no config.yaml"),
        (
            ["run={run}", "weights=bets"],
            "unknown weights 'bets': choose one of best, last, average; did you mean 'best'?",
        ),
        (["run={run}", "data.root={run}/nowhere"], "of the dataset 'Tiny'"),
        ([], "run has no value: set run=..."),
    ],
)
def test_missing_runs_and_weights(score: Run, moved: Path, overrides: list[str], message: str) -> None:
    outcome = score(*(override.format(parent=moved.parent, run=moved) for override in overrides))
    assert outcome.exit_code == 2
    assert message in outcome.line


def test_damaged_weights(score: Run, moved: Path) -> None:
    path = moved / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    outcome = score(f"run={moved}")
    assert outcome.exit_code == 2
    assert f"checkpoint {path}" in outcome.line
    assert "truncated or damaged" in outcome.line


def test_weights_that_were_never_saved(score: Run, moved: Path) -> None:
    (moved / "checkpoints" / "best.ckpt").unlink()
    outcome = score(f"run={moved}", "weights=best")
    assert outcome.exit_code == 2
    assert "best.ckpt is missing; did you mean 'last.ckpt'?" in outcome.line


@pytest.mark.parametrize("content", ["", "- a list", "model: {cell: gru", "\0"])
def test_a_damaged_config(score: Run, moved: Path, content: str) -> None:
    (moved / "config.yaml").write_text(content, encoding="utf-8")
    outcome = score(f"run={moved}")
    assert outcome.exit_code == 2
    assert f"{moved}/config.yaml does not hold a config; was it cut short?" in outcome.line


def test_limits_of_the_run_do_not_shorten_its_evaluation(score: Run, run: Run) -> None:
    limited = run("trainer.limit_test_batches=1", "data.eval_batch_size=50")
    assert limited.result["num_test_samples"] == 50
    assert score(f"run={limited.directory}").exit_code == 0
    assert evaluation(limited.directory)["num_test_samples"] == NUM_TEST


def test_ctrl_c_ends_it_with_130(score: Run, moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ClassificationTask, "test_step", interrupt)
    outcome = score(f"run={moved}")
    assert outcome.exit_code == 130
    assert outcome.line == "rnnexp: interrupted"
    assert not (moved / "evaluations").exists()


def test_a_setting_that_lightning_refuses_is_a_line(score: Run, moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MisconfigurationException("this cannot be combined")

    monkeypatch.setattr(ClassificationTask, "test_step", refuse)
    monkeypatch.setattr(user_code, "is_own", lambda _: False)  # this file stands for one of Lightning
    outcome = score(f"run={moved}")
    assert outcome.exit_code == 2
    assert outcome.line == "rnnexp: trainer: this cannot be combined"


def test_the_record_is_plain_json(score: Run, moved: Path) -> None:
    score(f"run={moved}")
    assert json.dumps(evaluation(moved), allow_nan=False)


def test_any_key_of_the_run_may_change_and_no_other(score: Run, moved: Path) -> None:
    assert score(f"run={moved}", "data.batch_size=25", "task.label_smoothing=0").exit_code == 0
    for override, message in (
        ("data.nmae=Other", "unknown key of this run 'nmae': choose one of "),
        ("task.poling=mean", "did you mean 'pooling'?"),
    ):
        outcome = score(f"run={moved}", override)
        assert outcome.exit_code == 2
        assert message in outcome.line


def test_a_run_that_ended_before_its_first_validation_is_scored_as_it_was_tested(run: Run, score: Run) -> None:
    tested = run("trainer.max_steps=3")
    assert tested.exit_code == 0, tested.stderr
    assert not (tested.directory / "checkpoints" / "best.ckpt").exists()
    scored = score(f"run={tested.directory}")
    assert scored.exit_code == 0, scored.stderr
    (file,) = tested.directory.glob("evaluations/*.json")
    metrics = read_json(file)["metrics"]
    assert metrics == {name: value for name, value in tested.result["metrics"].items() if name.startswith("test/")}
