"""Mistakes of a user, each with its one-line message and exit code."""

import gzip
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch

from support.programs import Run, on_small_disk

WHOLE = "must be a whole number of at least 1, not"
BELOW_ONE = "must be a number of at least 0 and below 1, not"
BAD_VALUES = {
    # sizes
    "model.hidden_size=0": f"model.hidden_size {WHOLE} 0",
    "model.num_layers=-1": f"model.num_layers {WHOLE} -1",
    "model.hidden_size=null": r"model: hidden_size must be a whole number of at least 1, not None",
    "data.batch_size=0": f"data.batch_size {WHOLE} 0",
    "data.eval_batch_size=0": f"data.eval_batch_size {WHOLE} 0",
    "data.val_size=-1": r"data.val_size must be a whole number of at least 0, or a share below 1 .*, not -1",
    "data.val_size=1.5": r"data.val_size must be .*, not 1.5",
    "trainer.accumulate_grad_batches=0": f"trainer.accumulate_grad_batches {WHOLE} 0",
    "trainer.log_every_n_steps=0": f"trainer.log_every_n_steps {WHOLE} 0",
    "num_threads=0": f"num_threads {WHOLE} 0",
    "callbacks.early_stopping.patience=-1": r"callbacks.early_stopping.patience must be .* at least 0, not -1",
    # ends
    "+trainer.fast_dev_run=true": r"trainer.fast_dev_run saves no checkpoint .* a run needs: use debug=fast",
    "trainer.max_epochs=-3": r"trainer.max_epochs must be a whole number of at least 1, or -1 for no limit, not -3",
    "trainer.max_epochs=0": r"trainer.max_epochs must be .*, not 0",
    "trainer.max_steps=-5": r"trainer.max_steps must be .*, not -5",
    "trainer.max_steps=0": r"trainer.max_steps must be .*, not 0",
    # shares
    "model.dropout=1.0": rf"model.dropout {BELOW_ONE} 1\.0",
    "model.dropout=2": f"model.dropout {BELOW_ONE} 2",
    "task.dropout=-0.1": rf"task.dropout {BELOW_ONE} -0\.1",
    "task.label_smoothing=2": f"task.label_smoothing {BELOW_ONE} 2",
    "scheduler.warmup=1.5": rf"scheduler.warmup {BELOW_ONE} 1\.5",
    "scheduler.initial_divisor=0": "scheduler.initial_divisor must be a number above 0, not 0",
    "optimizer.betas=[0.9,1.5]": rf"optimizer.betas {BELOW_ONE} 1\.5",
    # choices
    "model.cell=gruu": r"model: unknown cell 'gruu': choose one of srn, lstm, gru, .*; did you mean 'gru'\?",
    "model.cell=nowhere.gru": r"model: unknown cell 'nowhere.gru': there is no module nowhere",
    "model.backend=fussed": r"model: unknown backend 'fussed': .*; did you mean 'fused'\?",
    "model.cell_options.reset=befor": r"model: unknown reset 'befor': .*; did you mean 'before'\?",
    "model.cell_options.rest=before": r"model: cell 'gru' has no option 'rest': .*; did you mean 'reset'\?",
    "task.pooling=lasst_state": r"task: unknown pooling 'lasst_state': .*; did you mean 'last_state'\?",
    "data.view=row": r"data: unknown view 'row': choose one of rows, pixels; did you mean 'rows'\?",
    "data.normalize=unti": r"data: unknown normalize 'unti': .*; did you mean 'unit'\?",
    "test_weights=bets": r"unknown weights to test 'bets': .*; did you mean 'best'\?",
    "trainer.precision=33": r"trainer: unknown precision '33': choose one of 32-true",
    "callbacks.best_checkpoint.mode=maxx": r"callbacks: `mode` can be .*max",
    # classes
    "model._target_=null": r"model\._target_ must be the name of a class or a function, not None",
    "callbacks.best_checkpoint._target_=7": r"callbacks\.best_checkpoint\._target_ must be the name of a class.* not 7",
    # out of range
    "optimizer.lr=-1": r"optimizer\.lr must be a number of at least 0, not -1",
    "optimizer.lr=nan": r"optimizer\.lr must be a number of at least 0, not nan",
    "optimizer.weight_decay=-1": r"optimizer\.weight_decay must be a number of at least 0, not -1",
    "trainer.gradient_clip_val=-1": r"trainer\.gradient_clip_val must be a number of at least 0, not -1",
    "seed=-1": r"seed must be a whole number of at least 0",
    "size_budget=parms:20k": r"size_budget: unknown budget 'parms': .*did you mean 'params'\?",
    "size_budget=20k": r"size_budget must be params:<number> or flops:<number>",
    "ckpt_path=nowhere/last.ckpt": r"checkpoint nowhere/last\.ckpt is missing",
    # limits
    "trainer.limit_train_batches=-1": r"trainer\.limit_train_batches must be a whole number of at least 1.*, not -1",
    "trainer.limit_train_batches=1.5": r"trainer\.limit_train_batches must be .*, not 1\.5",
    "trainer.val_check_interval=0": r"trainer\.val_check_interval must be .*, not 0",
    # classes and their arguments
    "+callbacks.mine={{_target_:mine.Mine}}": r"callbacks: Error loading 'mine.Mine': .*No module named 'mine\b",
    "+trainer.foo=1": r"trainer: .*unexpected keyword argument 'foo'",
    # deleted keys
    "~trainer.precision": "trainer.precision was deleted with ~trainer.precision, but it is required: keep it",
}


@pytest.mark.parametrize("override", BAD_VALUES)
def test_a_bad_value_is_a_one_line_error_and_makes_no_run(run: Run, override: str) -> None:
    outcome = run(override.format(), "callbacks.predictions=null")
    assert outcome.exit_code == 2, outcome.stderr
    assert re.search(BAD_VALUES[override], outcome.line), outcome.line
    assert outcome.directories == []


NOT_WITH_THESE_DATA = {
    "data.val_size=600": r"data.val_size=600 leaves none of the 600 training images: choose a smaller one",
    "data.batch_size=501": r"data.batch_size=501 is larger than the 500 training images .*: choose data.batch_size=500",
    "callbacks.early_stopping.monitor=val/ac": r"monitor='val/ac' is not measured; .*did you mean 'val/acc'\?",
    "callbacks.best_checkpoint.monitor=val/ac": r"monitor='val/ac' is not measured; .*did you mean 'val/acc'\?",
    "trainer.max_epochs=-1": r"trainer: schedules need an end: set trainer.max_epochs= or trainer.max_steps=",
    "trainer.limit_train_batches=0.01": r"trainer: .*0\.01 \* 10 < 1.*at least `limit_train_batches=0\.1`",
    "trainer.limit_val_batches=0.5": r"trainer: .*0\.5 \* 1 < 1.*`limit_val_batches=1\.0`",
    "trainer.limit_test_batches=0.5": r"trainer: .*0\.5 \* 1 < 1.*`limit_test_batches=1\.0`",
    "trainer.val_check_interval=11": r"trainer: `val_check_interval` \(11\) must be less than or equal .*\(10\)",
    "trainer.strategy=ddpp": r"trainer: You selected an invalid strategy name: `strategy='ddpp'`",
    "data.root={tmp_path}/nowhere": r"of the dataset 'Tiny'.*/nowhere/Tiny/raw.*data\.root=",
    "data.name=Tinny": r"of the dataset 'Tinny'.*data\.root=",
}


@pytest.mark.parametrize("override", NOT_WITH_THESE_DATA)
def test_a_value_that_does_not_fit_the_data_is_a_one_line_error(run: Run, tmp_path: Path, override: str) -> None:
    outcome = run(override.format(tmp_path=tmp_path), "callbacks.predictions=null")
    assert outcome.exit_code == 2, outcome.stderr
    assert re.search(NOT_WITH_THESE_DATA[override], outcome.line), outcome.line
    assert outcome.status == "failed"
    assert " ".join(outcome.result["reason"].split()) in outcome.line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=grru", "unknown model 'grru': "),
        ("modle=gru", "unknown key 'modle'"),
        ("model.hiden_size=3", "unknown key 'hiden_size' in model; did you mean 'hidden_size'?"),
        ("logger=wandbb", "did you mean 'wandb'?"),
        ("model=[gru,lstm]", "model=[...] is a list, and a run has one model: name one, or several with -m"),
        ("+optimizer=sgd", "+optimizer=sgd adds a second option of a group that has one: leave out the +"),
        ("hydra.run.dir=mine", "hydra.run.dir= has no effect here: set paths.output_dir="),
        ("hydra.sweep.dir=mine", "hydra.sweep.dir= has no effect here: set sweep_dir="),
        ("~model", "model was deleted with ~model, but it is required: keep it"),
        ("~data", "data was deleted with ~data, but it is required: keep it"),
        ("model.hidden_size=1.5", "model.hidden_size must be a whole number, not 1.5"),
        ("seed=abc", "seed must be a whole number, not 'abc'"),
        ("seed=1.5", "seed must be a whole number, not 1.5"),
        ("monitor=null", "monitor must be a value, not null"),
        ("tf32=maybe", "tf32 must be true or false, not 'maybe'"),
        ("tags=abc", "tags must be a list, not 'abc'"),
        ("optimizer.lr=high", "optimizer.lr must be a number, not 'high'"),
        ("trainer.max_epochs=many", "trainer.max_epochs must be a whole number, not 'many'"),
        ("model.bidirectional=maybe", "model.bidirectional must be true or false, not 'maybe'"),
        ("data.drop_last=no", "data.drop_last must be true or false, not 'no'"),
        ("model.residual=1", "model.residual must be true or false, not 1"),
        ("data.name=false", "data.name must be text, not False"),
    ],
)
def test_a_word_that_cannot_be_meant_makes_no_run(run: Run, override: str, message: str) -> None:
    outcome = run(override)
    assert outcome.exit_code == 2
    assert message in outcome.line
    assert outcome.directories == []


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("callbacks.early_stopping=false", "callbacks.early_stopping"),
        ("callbacks.predictions=off", "callbacks.predictions"),
        ("logger.wandb=false", "logger.wandb"),
    ],
)
def test_a_callback_or_logger_is_switched_off_by_null_alone(run: Run, tiny: list[str], override: str, key: str) -> None:
    for data, seeds in ((tiny, "seed=1"), (["-m", *tiny], "seed=1,2")):
        outcome = run("logger=wandb", override, seeds, data=data)
        assert outcome.exit_code == 2
        assert f"{key} must be a mapping or null" in outcome.line
        assert f"write {key}=null" in outcome.line
        assert outcome.directories == []


def test_an_optimizer_without_a_learning_rate(run: Run) -> None:
    outcome = run("~optimizer.lr", "test_weights=none", "logger=none", "callbacks=none")
    assert outcome.exit_code == 0, outcome.stderr


@pytest.mark.skipif(torch.cuda.device_count() > 0, reason="there is a GPU")
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["trainer=default", "trainer.devices=2"],
            "PyTorch sees no GPU here: use trainer.devices=1",
        ),
        (["trainer=gpu"], "trainer.accelerator=gpu, but PyTorch sees no GPU here: use trainer=cpu"),
        (["trainer=ddp"], "trainer.accelerator=gpu, but PyTorch sees no GPU here"),
        (["data.device=cuda"], "data.device=cuda, but PyTorch sees no CUDA device here: use data.device=auto or cpu"),
        (["trainer.accelerator=cpuu"], "invalid accelerator name: `accelerator='cpuu'`"),
    ],
)
def test_a_device_that_does_not_exist(run: Run, overrides: list[str], message: str) -> None:
    outcome = run(*overrides)
    assert outcome.exit_code == 2
    assert message in outcome.line


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def add_a_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def replace_by_a_page(path: Path) -> None:
    path.write_text("<html>404 Not Found</html>", encoding="utf-8")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_an_archive_short(path: Path) -> None:
    path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes())[:-20])
    path.unlink()


@pytest.mark.parametrize("damage", [cut_short, add_a_byte, replace_by_a_page, empty, cut_an_archive_short])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_damaged_data_file_is_named(run: Run, tiny_root: Path, tmp_path: Path, file: str, damage: object) -> None:
    shutil.copytree(tiny_root / "Tiny", tmp_path / "data" / "Tiny")
    assert callable(damage)
    damage(tmp_path / "data" / "Tiny" / "raw" / file)
    outcome = run(f"data.root={tmp_path}/data")
    assert outcome.exit_code == 2
    assert f"{tmp_path}/data/Tiny/raw/{file}" in outcome.line
    assert outcome.status == "failed"


def test_a_directory_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = run(f"paths.output_dir={tmp_path}/file/run")
    assert outcome.exit_code == 2
    assert outcome.line == f"rnnexp: cannot make the run directory {tmp_path}/file/run: {tmp_path}/file is a file"


@pytest.mark.parametrize(
    ("kilobytes", "file"),
    [pytest.param(16, "config.yaml", marks=pytest.mark.slow), (60, "checkpoints/best.ckpt")],
)
def test_a_full_disk(tiny: list[str], tmp_path: Path, kilobytes: int, file: str) -> None:
    """A real disk: 16 kB are full before training, and 60 kB at the first checkpoint."""
    place = tmp_path / "small"
    train = [sys.executable, "-m", "rnnexp.train", *tiny, "model.hidden_size=64", f"paths.output_dir={place}/run"]
    script = f'"$@"; code=$?; find {place}/run -name "*.ckpt*" >&2; exit $code'
    done = on_small_disk(place, kilobytes, script, *train)
    assert done.returncode == 2, done.stderr
    # One line, and no checkpoint, complete or partial.
    assert done.stderr == f"rnnexp: {place}/run/{file}: No space left on device\n"
    assert ("epoch 1/1 ended" in done.stdout) == (kilobytes == 60)
