"""The files of a run directory."""

from pathlib import Path

from rnnexp.tracking.run_directory import RunDirectory


def test_kept_checkpoints_are_in_the_order_of_training(tmp_path: Path) -> None:
    names = ["epoch-002-step-95", "epoch-002-step-110", "epoch-999", "epoch-1000"]
    run = RunDirectory(tmp_path)
    run.checkpoints.mkdir()
    for name in sorted(names):
        (run.checkpoints / f"{name}.ckpt").touch()
    assert [path.stem for path in run.kept_checkpoints] == names
