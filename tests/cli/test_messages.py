"""Errors that the user can correct are one line, whichever library raised them."""

import errno
import os
import resource
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from rnnexp import evaluate
from rnnexp.core.errors import DivergedError, UnsupportedError, UserError
from rnnexp.dashboard import __main__ as dashboard
from rnnexp.translate import __main__ as translate
from support import ROOT
from support.cells import MODELS
from support.programs import call

QUOTE = "write key=value, and quote a value that has special characters, \"key='a=b'\""

COMMAND_LINES = {
    "modle=gru": "unknown key 'modle'; did you mean 'model'?",
    "modle.num_layers=3": "unknown key 'modle'; did you mean 'model'?",
    "model.num_layer=3": "unknown key 'num_layer' in model; did you mean 'num_layers'?",
    "trainer.max_epoch=3": "unknown key 'max_epoch' in trainer; did you mean 'max_epochs'?",
    "trainer.max_time=3": "no key 'trainer.max_time'; +trainer.max_time= adds this parameter of "
    "lightning.pytorch.Trainer",
    "optimizer.foreach=1": "no key 'optimizer.foreach'; +optimizer.foreach= adds this parameter of torch.optim.AdamW",
    "num_layers=3": "unknown key 'num_layers'; did you mean 'model.num_layers'?",
    "experimnt=baseline_lstm": "unknown key 'experimnt'; did you mean 'experiment'?",
    "model.num_layers.deep=3": "unknown key 'deep' in model.num_layers, which has no keys",
    "model=grru": f"unknown model 'grru': choose one of {MODELS}; did you mean 'gru'?",
    "trainer=cpus": "unknown trainer 'cpus': choose one of cpu, ddp, default, gpu; did you mean 'cpu'?",
    "model=5": f"unknown model '5': choose one of {MODELS}",
    "logger=null": "unknown logger 'null': choose one of csv, mlflow, none, tensorboard, trackio, wandb",
    "model=gru,lstm": "model=gru,lstm names several values: add -m to run each, or write [...] if it is one list",
    "gru": "override 'gru' has no value: write key=value",
    "model=[": f"cannot read override 'model=[' (no viable alternative at input [): {QUOTE}",
    "ckpt_path=a=b": f"cannot read override 'ckpt_path=a=b' (mismatched input =): {QUOTE}",
    "ckpt_path=<run>": f"cannot read override 'ckpt_path=<run>': {QUOTE}",
    "name='it''s'": f"cannot read override \"name='it''s'\" (extraneous input 's'): {QUOTE}",
    "loger=csv": "unknown key 'loger'; did you mean 'logger'?",
    "~model.deep": "Could not delete from config. 'model.deep' does not exist.",
    "hydra.job.chdir=maybe": "hydra.job.chdir: Value 'maybe' is not a valid bool (type str)",
    "--config-name=trian": "no config 'trian'; did you mean 'train'?",
    "--config-path=/nowhere": "Primary config directory not found. "
    "Check that the config directory '/nowhere' exists and readable",
}


def never(config: DictConfig) -> int:
    raise AssertionError(f"was run with {config}")


@pytest.mark.parametrize(("argument", "line"), COMMAND_LINES.items(), ids=COMMAND_LINES)
def test_bad_command_line(launch: Any, argument: str, line: str) -> None:
    ended = launch(never, argument)
    assert ended.line == f"rnnexp: {line}"
    assert ended.exit_code == 2


def test_a_wrong_key_beside_several_values_of_a_sweep(launch: Any) -> None:
    """The file of the sweep says that several values are several runs."""
    sweep = ["--config-dir", str(ROOT / "sweeps"), "--config-name=cells_mnist", "seed=1,2"]
    ended = launch(never, *sweep, "trainer.max_epoch=3")
    assert ended.line == "rnnexp: unknown key 'max_epoch' in trainer; did you mean 'max_epochs'?"
    assert ended.exit_code == 2


def test_a_misspelt_key_beside_several_options_of_its_group(launch: Any) -> None:
    for several in ("model=gru,lstm", "model=choice(gru,lstm)"):
        line = launch(never, "-m", several, "model.num_layer=2").line
        assert line == "rnnexp: unknown key 'num_layer' in model; did you mean 'num_layers'?"
    line = launch(never, "callbacks=[averaging,gradient_flow]", "callbacks.xyzzy.keep=2").line
    assert line.startswith("rnnexp: unknown key 'xyzzy' in callbacks: choose one of ")


def test_a_key_of_an_option_that_is_not_chosen_yet(launch: Any) -> None:
    line = launch(never, "-m", "data=delayed_recall,copying", "data.length=10").line
    assert line == "rnnexp: data.length is read before data=delayed_recall,copying is chosen: write ++data.length="


def test_a_key_that_only_the_run_that_continues_may_have(launch: Any) -> None:
    line = launch(never, "resume=run", "callbacks.kept_checkpoints.keep=1").line
    assert line.startswith("rnnexp: unknown key 'kept_checkpoints' in callbacks")
    assert line.endswith("? If the run has that key, write ++callbacks.kept_checkpoints.keep=")


@pytest.mark.parametrize(
    ("program", "argument", "start"),
    [
        (evaluate.main, "paths.data_dir=x", "unknown key 'paths.data_dir'; did you mean 'data.root'?; evaluate has "),
        (evaluate.main, "test_weights=last", "unknown key 'test_weights'; did you mean 'weights'?; evaluate has "),
        (evaluate.main, "logger=csv", "unknown key 'logger'; evaluate has data, run, task, trust, weights"),
        (translate.main, "task.beam_size=3", "unknown key 'task.beam_size'; did you mean 'beam_size'?; translate has "),
        (translate.main, "model=gru", "unknown key 'model'; translate has "),
        (dashboard.main, "logger.wandb.project=x", "unknown key 'logger.wandb.project'; did you mean 'project'?; "),
    ],
)
def test_a_key_of_another_program(tmp_path: Path, program: Any, argument: str, start: str) -> None:
    outcome = call(program, tmp_path, [argument])
    assert outcome.exit_code == 2
    assert outcome.line.startswith(f"rnnexp: {start}")


def test_an_unknown_key_without_a_close_match_lists_the_keys(launch: Any) -> None:
    line = launch(never, "model.xyzzy=1").line
    assert line.startswith("rnnexp: unknown key 'xyzzy' in model: choose one of ")
    assert ", cell, hidden_size, num_layers, " in line
    assert "_target_" not in line


def test_an_unknown_key_of_a_class_that_does_not_exist(launch: Any) -> None:
    ended = launch(never, "trainer._target_=lightning.pytorch.Trainr", "trainer.max_time=1")
    assert ended.line == "rnnexp: unknown key 'max_time' in trainer; did you mean 'max_steps'?"
    assert ended.exit_code == 2


def test_missing_config_directory_is_named(launch: Any, tmp_path: Path) -> None:
    assert launch(never, "--config-dir=nosuch").line == (
        f"rnnexp: Additional config directory '{tmp_path / 'nosuch'}' not found"
    )


def raiser(error: Exception):  # noqa: ANN201
    def program(config: DictConfig) -> int:  # noqa: ARG001
        raise error

    return program


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [(UserError("put it there"), 2), (UnsupportedError("put it there"), 3), (DivergedError("put it there"), 4)],
)
def test_user_errors_keep_their_message_and_exit_code(launch: Any, error: UserError, exit_code: int) -> None:
    ended = launch(raiser(error))
    assert ended.line == "rnnexp: put it there"
    assert ended.exit_code == exit_code


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 239.26 GiB. GPU 0 has 79 GiB"),
        RuntimeError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in the documentation"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["PyTorch", "CUDA", "cuBLAS"],
)
def test_a_full_gpu_is_one_line(launch: Any, error: Exception) -> None:
    ended = launch(raiser(error))
    assert ended.exit_code == 2
    assert ended.line == (
        f"rnnexp: out of memory ({str(error).splitlines()[0]}): try a smaller data.batch_size or model, or fewer jobs "
        "at once"
    )


def refuse(reason: str, kind: str) -> None:
    raise {"value": ValueError, "unsupported": UnsupportedError, "key": KeyError}[kind](reason)


def constructor(**arguments: str):  # noqa: ANN201
    def program(config: DictConfig) -> None:
        config.model = {"_target_": f"{__name__}.refuse", **arguments}
        instantiate(config.model)

    return program


def test_a_constructor_that_refuses_its_arguments_is_named_by_its_key(launch: Any) -> None:
    ended = launch(constructor(reason="unknown cell 'grru'", kind="value"))
    assert ended.line == "rnnexp: model: unknown cell 'grru'"
    assert ended.exit_code == 2
    assert launch(constructor(reason="bf16 here", kind="unsupported")).exit_code == 3


def test_an_argument_that_a_constructor_does_not_have(launch: Any) -> None:
    ended = launch(constructor(reason="", kind="value", colour="red"))
    assert ended.line == "rnnexp: model: refuse() got an unexpected keyword argument 'colour'"


def test_a_target_that_does_not_exist(launch: Any) -> None:
    def program(config: DictConfig) -> None:
        instantiate(config.model)

    ended = launch(program, "model._target_=rnnexp.recurrent.Nothing")
    assert ended.line == "rnnexp: model: Error locating target 'rnnexp.recurrent.Nothing'"


def test_any_other_error_of_a_constructor_is_a_bug(launch: Any) -> None:
    ended = launch(constructor(reason="lost", kind="key"))
    assert ended.exit_code == 1
    assert "Traceback" in ended.stderr
    assert "KeyError: 'lost'" in ended.stderr


def read_root(config: DictConfig) -> None:
    OmegaConf.to_container(config, resolve=True, throw_on_missing=True)


def test_missing_value(launch: Any) -> None:
    ended = launch(read_root, "data.root=???")
    assert ended.line == "rnnexp: data.root has no value: set data.root=..."
    assert ended.exit_code == 2


def test_a_reference_to_a_key_that_does_not_exist(launch: Any) -> None:
    ended = launch(read_root, "data.root=${paths.dat}")
    assert ended.line == "rnnexp: data.root: Interpolation key 'paths.dat' not found"
    assert ended.exit_code == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_named(launch: Any) -> None:
    def program(config: DictConfig) -> None:  # noqa: ARG001
        Path("/dev/full").write_text("result", encoding="utf-8")

    assert launch(program, "paths.outputs_dir=/far/away").line == "rnnexp: /far/away: No space left on device"
    assert launch(program, "paths.output_dir=/far/away/run").exit_code == 2


def test_a_removed_run_directory_is_named(launch: Any, tmp_path: Path) -> None:
    """A file that is missing in a directory that exists is a bug."""
    program = raiser(FileNotFoundError(errno.ENOENT, "No such file or directory", "metrics.csv"))
    ended = launch(program, f"paths.outputs_dir={tmp_path}/away")
    assert ended.line == f"rnnexp: {tmp_path}/away was removed while the program ran: give the same command again"
    assert launch(program, f"paths.outputs_dir={tmp_path}").exit_code == 1


def test_a_directory_that_cannot_be_written(launch: Any, tmp_path: Path) -> None:
    def program(config: DictConfig) -> None:  # noqa: ARG001
        (tmp_path / "file").touch()
        (tmp_path / "file" / "run").mkdir()

    ended = launch(program)
    assert ended.line == f"rnnexp: {tmp_path / 'file' / 'run'}: Not a directory"
    assert ended.exit_code == 2


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM])
def test_faults_and_limits_of_the_machine_are_a_line(launch: Any, number: int) -> None:
    ended = launch(raiser(OSError(number, os.strerror(number), "/far/file")))
    assert os.strerror(number) in ended.line
    assert ended.exit_code == 2


def test_too_many_open_files(launch: Any) -> None:
    def program(config: DictConfig) -> None:  # noqa: ARG001
        with ExitStack() as files:
            for _ in range(100):
                files.enter_context(Path("/dev/null").open(encoding="utf-8"))

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, before[1]))
    try:
        assert launch(program).line.endswith("raise the limit of open files (ulimit -n)")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_other_system_errors_are_bugs(launch: Any) -> None:
    ended = launch(raiser(ConnectionResetError("gone")))
    assert ended.exit_code == 1
    assert ended.stderr.endswith("rnnexp: internal error, please report it: ConnectionResetError: gone\n")
