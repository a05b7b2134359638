"""Checkpoints load without running code; one that cannot be continued is refused and no file is lost."""

import copy
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnexp.core import user_code
from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.runs.checkpoints import average_checkpoints, checkpoint_errors, choose_weights, require_same_config
from rnnexp.tracking.run_directory import RunDirectory
from support.programs import Outcome, Run

SAME = ["trainer.max_epochs=3", "model.hidden_size=32", "optimizer.lr=0.02", "seed=7"]


class Foreign:
    """An object that can be unpickled only by running code."""


@pytest.mark.parametrize("name", ["best", "last"])
def test_own_checkpoints_load_safely(finished: Outcome, name: str) -> None:
    checkpoint = torch.load(finished.directory / f"checkpoints/{name}.ckpt", weights_only=True)
    assert checkpoint["rnnexp"]["cell"] == "gru"
    assert checkpoint["rnnexp"]["optimizer"] == "AdamW"
    assert sum(key.startswith("model.") for key in checkpoint["state_dict"]) == 6


def cut_short(source: Path, target: Path) -> None:
    content = source.read_bytes()
    target.write_bytes(content[: len(content) // 2])


def with_code(_: Path, target: Path) -> None:
    torch.save({"model": Foreign(), "state_dict": {}}, target)


DAMAGES: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "a plain state dict": (lambda _, target: torch.save({"weight": torch.zeros(2)}, target), "is not from rnnexp"),
    "a tensor": (lambda _, target: torch.save(torch.zeros(2), target), "is not from rnnexp"),
    "a pickle with a class": (with_code, "holds more than tensors"),
    "an ordinary pickle": (
        lambda _, target: target.write_bytes(pickle.dumps(Path("x"))),
        "cannot be read|damaged",
    ),
    "text": (lambda _, target: target.write_text("<html>404</html>", encoding="utf-8"), "damaged"),
    "cut short": (cut_short, "truncated or damaged"),
    "empty": (lambda _, target: target.touch(), "cannot be read .*truncated or damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused(run: Run, finished: Outcome, tmp_path: Path, damage: str) -> None:
    make, message = DAMAGES[damage]
    path = tmp_path / "given.ckpt"
    make(finished.directory / "checkpoints" / "last.ckpt", path)
    content = path.read_bytes() if path.is_file() else None
    outcome = run(*SAME, f"ckpt_path={path}")
    assert outcome.exit_code == 2
    assert outcome.status == "failed"
    assert outcome.line.startswith(f"rnnexp: checkpoint {path} ")
    assert re.search(message, outcome.line), outcome.line
    assert not list((outcome.directory / "checkpoints").iterdir())
    assert (path.read_bytes() if path.is_file() else None) == content


def test_a_directory_is_refused_before_a_run_is_made(run: Run, tmp_path: Path) -> None:
    outcome = run(*SAME, f"ckpt_path={tmp_path}")
    assert outcome.exit_code == 2
    assert outcome.line == f"rnnexp: checkpoint {tmp_path} is a directory: name the file in it, best.ckpt or last.ckpt"
    assert outcome.directories == []


def test_a_missing_checkpoint_has_a_suggestion(run: Run, finished: Outcome) -> None:
    outcome = run(*SAME, f"ckpt_path={finished.directory}/checkpoints/lst.ckpt")
    assert outcome.exit_code == 2
    assert outcome.line.endswith("lst.ckpt is missing; did you mean 'last.ckpt'?")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=lstm"], "cell=gru, here lstm"),
        (["model.hidden_size=16"], "hidden_size=32, here 16"),
        (["model.num_layers=2"], "num_layers=1, here 2"),
        (["model.bidirectional=true"], "bidirectional=False, here True"),
        (["model.hidden_size=16", "task.pooling=mean"], "hidden_size=32, here 16; pooling=last_state, here mean"),
        (["optimizer=sgd"], "optimizer=AdamW, here SGD"),
        (["scheduler=cosine"], "scheduler=one_cycle, here cosine"),
        (["model.learned_initial_state=true"], r"initial_state is missing, here \[1, 1, 1, 32\]"),
        (["model.layer_norm=true"], "norms.0.bias is missing, here .*, and 1 more differ"),
    ],
)
def test_a_checkpoint_of_another_experiment_is_refused_without_its_config(
    run: Run, finished: Outcome, overrides: list[str], message: str, tmp_path: Path
) -> None:
    path = shutil.copy(finished.directory / "checkpoints" / "last.ckpt", tmp_path / "other.ckpt")
    content = path.read_bytes()
    outcome = run(*SAME, *overrides, f"ckpt_path={path}")
    assert outcome.exit_code == 2
    assert re.search(f"is of another (experiment|model): .*{message}", outcome.line), outcome.line
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=lstm"], "model.cell=gru, here lstm"),
        (["optimizer=sgd"], "optimizer._target_=torch.optim.AdamW, here torch.optim.SGD"),
        (["optimizer.lr=0.5"], "optimizer.lr=0.02, here 0.5: repeat the overrides of its run, or leave out ckpt_path="),
        (["scheduler=cosine"], "scheduler._target_=.*one_cycle, here .*cosine"),
        (["trainer.precision=bf16-true"], "trainer.precision=32-true, here bf16-true"),
        (["data.batch_size=5"], "data.batch_size=.*, here 5"),
        (["seed=2", "task.label_smoothing=0.2", "data.batch_size=5"], "seed=7, here 2; .*; and 1 more: repeat"),
    ],
)
def test_a_checkpoint_of_a_run_with_another_config_is_refused(
    run: Run, finished: Outcome, overrides: list[str], message: str
) -> None:
    path = finished.directory / "checkpoints" / "last.ckpt"
    outcome = run(*SAME, *overrides, f"ckpt_path={path}")
    assert outcome.exit_code == 2
    assert re.search(f"^rnnexp: checkpoint {path} is of another experiment: .*{message}", outcome.line), outcome.line


CONFIG: dict[str, Any] = {
    "seed": 1,
    "data": {"name": "Mine", "batch_size": 32, "extra": None},
    "model": {"cell": "gru", "cell_options": {}},
    "trainer": {"devices": 1, "num_nodes": 1, "accumulate_grad_batches": 1, "max_epochs": 2},
    "callbacks": {},
}


def with_values(**changed: Any) -> dict[str, Any]:
    """Return the config with other values, whose keys have `__` for dots."""
    config: dict[str, Any] = copy.deepcopy(CONFIG)
    for key, value in changed.items():
        *groups, name = key.split("__")
        node = config
        for group in groups:
            node = node[group]
        node[name] = value
    return config


@pytest.mark.parametrize(
    "changed",
    [
        {"trainer__devices": 2, "data__batch_size": 16},
        {"trainer__num_nodes": 2, "trainer__accumulate_grad_batches": 2},
        {"trainer__max_epochs": 9, "trainer__detect_anomaly": True, "model__backend": "reference"},
        {"callbacks": {"early_stopping": {"patience": 9}}, "optimized_metric": "val/acc"},
        {"model__dropout": 0.1},
    ],
    ids=["batch per process", "accumulation", "length", "callbacks", "key of another version"],
)
def test_what_a_prolonged_run_may_change(changed: dict[str, Any]) -> None:
    require_same_config(with_values(**changed), CONFIG, Path("last.ckpt"))


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"data__batch_size": 16}, "data.batch_size=32, here 16"),
        ({"trainer__accumulate_grad_batches": 2}, "trainer.accumulate_grad_batches=1, here 2"),
        ({"model__cell_options": {"zoneout": 0.1}}, "model.cell_options="),
        ({"data__extra": {"a": 1}}, "data.extra="),
    ],
)
def test_what_a_prolonged_run_may_not_change(changed: dict[str, Any], difference: str) -> None:
    with pytest.raises(UserError, match=f"is of another experiment: {difference}"):
        require_same_config(with_values(**changed), CONFIG, Path("last.ckpt"))
    with pytest.raises(UserError, match="is of another experiment: "):
        require_same_config(CONFIG, with_values(**changed), Path("last.ckpt"))


def test_a_masked_secret_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "verysecretvalue0123456789")
    require_same_config(with_values(data__name="verysecretvalue0123456789"), with_values(data__name="***"), Path("a"))


def test_another_order_of_batches_is_refused_in_the_middle_of_an_epoch(run: Run, tmp_path: Path) -> None:
    send = "+callbacks.probe={_target_:support.probing_callbacks.SendSignal,step:3,number:15}"
    interrupted = run("scheduler=constant", send)
    path = shutil.copy(interrupted.directory / "checkpoints" / "last.ckpt", tmp_path / "without_its_config.ckpt")
    for override, message in {
        "data.batch_size=25": "batch_size=50, now it is 25",
        "data.seed=2": "seed=1, now it is 2",
    }.items():
        outcome = run("scheduler=constant", override, f"ckpt_path={path}")
        assert outcome.exit_code == 2
        assert message in outcome.line


def test_the_backends_share_checkpoints(run: Run, finished: Outcome) -> None:
    outcome = run(*SAME, "model.backend=reference", f"ckpt_path={finished.directory}/checkpoints/last.ckpt")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.result["metrics"]["test/acc"] == finished.result["metrics"]["test/acc"]


@pytest.mark.parametrize(
    ("tested", "files", "chosen"),
    [
        ("best", ["best", "last"], "best"),
        ("best", ["last"], "last"),
        ("last", ["best", "last"], "last"),
        ("none", ["best", "last"], "last"),
        ("average", ["best", "last"], "last"),
        ("average", ["average", "last"], "average"),
    ],
)
def test_weights_that_a_run_tested(tmp_path: Path, tested: str, files: list[str], chosen: str) -> None:
    run = RunDirectory(tmp_path)
    run.checkpoints.mkdir()
    for name in files:
        (run.checkpoints / f"{name}.ckpt").touch()
    assert choose_weights(run, None, tested) == run.checkpoints / f"{chosen}.ckpt"
    assert choose_weights(run, "best", tested) == run.best_checkpoint


def test_the_average_of_an_unfinished_run_is_that_of_the_epochs_that_it_has(run: Run) -> None:
    trained = RunDirectory(run("callbacks=averaging", "trainer.max_epochs=2", "logger=none").directory)
    average = choose_weights(trained, "average", "best")
    average.write_bytes(b"of earlier epochs")
    assert choose_weights(trained, "average", "best").read_bytes() == b"of earlier epochs"
    status = read_json(trained.status_file)
    write_json(trained.status_file, status | {"status": "interrupted"})
    assert torch.load(choose_weights(trained, "average", "best"), weights_only=True)["state_dict"]


def test_the_best_checkpoint_knows_that_its_epoch_is_kept(run: Run) -> None:
    trained = run("callbacks=averaging", "trainer.max_epochs=3", "logger=none")
    best = torch.load(trained.directory / "checkpoints" / "best.ckpt", weights_only=True)
    (kept,) = (state["best_k_models"] for key, state in best["callbacks"].items() if key.startswith("KeptCheckpoints"))
    assert f"epoch-{best['epoch']:03d}.ckpt" in [Path(path).name for path in kept]


def test_a_run_that_keeps_fewer_epochs_takes_over_the_best_of_them(run: Run) -> None:
    options = ["callbacks=averaging", "scheduler=constant", "logger=none", "test_weights=average"]
    earlier = run(*options, "callbacks.kept_checkpoints.keep=4", "trainer.max_epochs=4").directory / "checkpoints"
    assert len(list(earlier.glob("epoch-*.ckpt"))) == 4
    state = torch.load(earlier / "last.ckpt", weights_only=True)["callbacks"]
    (kept,) = (value for key, value in state.items() if key.startswith("KeptCheckpoints"))
    scores = {
        Path(path).name: (float(score), -kept["losses"][Path(path).name])
        for path, score in kept["best_k_models"].items()
    }
    for max_epochs in (4, 6):
        continued = [f"ckpt_path={earlier}/last.ckpt", f"trainer.max_epochs={max_epochs}"]
        later = run(*options, "callbacks.kept_checkpoints.keep=2", *continued)
        assert later.exit_code == 0, later.stderr
        names = {path.name for path in (later.directory / "checkpoints").glob("epoch-*.ckpt")}
        assert len(names) == 2
        if max_epochs == 4:
            assert names == set(sorted(scores, key=scores.__getitem__)[2:])


def test_a_lost_rank_is_no_fault_of_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_code, "is_own", lambda _: False)  # this file stands for one of PyTorch
    with pytest.raises(RuntimeError, match="closed by peer"), checkpoint_errors(tmp_path / "last.ckpt"):
        raise RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer")
    with pytest.raises(UserError, match="lacks a part"), checkpoint_errors(tmp_path / "last.ckpt"):
        raise RuntimeError("another error")


@pytest.mark.parametrize("override", ["data.val_size=0", "trainer.max_steps=3", "callbacks.best_checkpoint=null"])
def test_a_run_without_best_weights_is_evaluated_with_the_weights_that_it_tested(
    run: Run, score: Run, override: str
) -> None:
    trained = run(override, "logger=none")
    assert trained.exit_code == 0, trained.stderr
    assert not (trained.directory / "checkpoints" / "best.ckpt").exists()
    scored = score(f"run={trained.directory}")
    assert scored.exit_code == 0, scored.stderr
    (file,) = (trained.directory / "evaluations").iterdir()
    record = read_json(file)
    assert record["weights"] == "checkpoints/last.ckpt"
    assert record["metrics"]["test/loss"] == trained.result["metrics"]["test/loss"]


def checkpoints() -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "weight": torch.randn(3, 2, generator=generator),
            "half": torch.randn(4, generator=generator).bfloat16(),
            "steps": torch.tensor(number),
        }
        for number in range(3)
    ]


def test_the_mean_of_each_weight_and_the_last_of_each_count() -> None:
    given = checkpoints()
    averaged = average_checkpoints(given)
    assert {name: tensor.dtype for name, tensor in averaged.items()} == {n: t.dtype for n, t in given[0].items()}
    torch.testing.assert_close(averaged["weight"], torch.stack([each["weight"] for each in given]).mean(dim=0))
    exact = torch.stack([each["half"] for each in given]).double().mean(dim=0)
    assert torch.equal(averaged["half"], exact.bfloat16())
    assert averaged["steps"] == 2
    torch.testing.assert_close(given, checkpoints())


def test_the_mean_of_one_checkpoint_is_that_checkpoint() -> None:
    given = checkpoints()[:1]
    averaged = average_checkpoints(given)
    torch.testing.assert_close(averaged, given[0])
    averaged["weight"].zero_()
    averaged["steps"].fill_(7)
    torch.testing.assert_close(given, checkpoints()[:1])


def test_checkpoints_of_different_networks() -> None:
    first, second, third = checkpoints()
    with pytest.raises(ValueError, match=r"^there are no checkpoints to average$"):
        average_checkpoints([])
    with pytest.raises(
        ValueError, match=r"^checkpoints of different networks: only one of numbers 2 and last has bias$"
    ):
        average_checkpoints([first, second | {"bias": torch.zeros(1)}, third])
    message = r"^checkpoints of different networks: weight is \[9\] in number 1 and \[3, 2\] in the last$"
    with pytest.raises(ValueError, match=message):
        average_checkpoints([first | {"weight": torch.zeros(9)}, second, third])
