"""Exit codes, several jobs, signals, and the files and variables of Hydra."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from rnnexp.core.errors import InterruptedRunError, UserError
from support.cells import MODELS

# Hydra's own launcher, since the program of these tests is a function of this process.
IN_PROCESS = ("-m", "hydra/launcher=basic")
PROGRAM = """
import time
from rnnexp.cli.main import run_program

def train(config):
    print("running", flush=True)
    time.sleep(60)

run_program("train", train)
"""


@pytest.mark.parametrize(("result", "exit_code"), [(None, 0), (0, 0), (3, 3)])
def test_the_result_of_the_program_is_the_exit_code(launch: Any, result: int | None, exit_code: int) -> None:
    ended = launch(lambda _: result)
    assert ended.exit_code == exit_code
    assert ended.stderr == ""


def test_a_bug_shows_its_traceback(launch: Any) -> None:
    def program(config: DictConfig) -> int:
        raise RuntimeError(f"broken in {config.name}")

    ended = launch(program, "name=here")
    assert ended.exit_code == 1
    assert ended.stderr.startswith("Traceback (most recent call last):")
    *traceback, line = ended.stderr.splitlines()
    assert traceback[-1] == "RuntimeError: broken in here"
    assert line == "rnnexp: internal error, please report it: RuntimeError: broken in here"


def test_the_traceback_of_a_user_error_is_shown_on_request(launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def program(config: DictConfig) -> int:
        raise UserError(f"not {config.name}")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    for ended in (launch(program, "name=this"), launch(program, "modle=gru")):
        assert ended.exit_code == 2
        assert ended.stderr.startswith("Traceback (most recent call last):")
        assert ended.stderr.splitlines()[-1] in (
            "rnnexp: not this",
            "rnnexp: unknown key 'modle'; did you mean 'model'?",
        )


def test_the_environment_is_unchanged(launch: Any) -> None:
    seen = []

    def program(config: DictConfig) -> None:  # noqa: ARG001
        seen.append(dict(os.environ))

    before = dict(os.environ)
    launch(program)
    launch(program, *IN_PROCESS, "seed=1,2")
    assert seen == [before] * 3
    assert dict(os.environ) == before


def test_hydra_leaves_no_files(launch: Any, tmp_path: Path) -> None:
    places = []

    def program(config: DictConfig) -> None:
        places.append((Path.cwd(), config.paths.root_dir, config.paths.data_dir, config.paths.output_dir))

    launch(program)
    assert places == [(tmp_path, str(tmp_path), str(tmp_path / "data"), None)]
    assert list(tmp_path.iterdir()) == []


def test_hydra_keeps_one_file_of_several_jobs(launch: Any, tmp_path: Path) -> None:
    launch(lambda _: None, *IN_PROCESS, "seed=1,2,3")
    assert [path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*") if path.is_file()] == [
        ("outputs", "sweeps")
    ]


def test_every_job_runs_and_the_highest_exit_code_counts(launch: Any) -> None:
    def program(config: DictConfig) -> int:
        print(f"seed {config.seed}")
        if config.seed == 2:
            raise UserError("no second one")
        if config.seed == 3:
            raise RuntimeError("broken")
        return 0

    ended = launch(program, *IN_PROCESS, "seed=1,2,3,4", "model=gru")
    assert ended.exit_code == 2
    assert ended.stdout.splitlines() == ["seed 1", "seed 2", "seed 3", "seed 4"]
    lines = [line for line in ended.stderr.splitlines() if line.startswith("rnnexp: ")]
    assert lines[0] == "rnnexp: seed=2 model=gru: no second one"
    assert lines[1].startswith("rnnexp: seed=3 model=gru: internal error")
    assert len(lines) == 2


def test_no_job_starts_if_one_is_misspelled(launch: Any) -> None:
    ended = launch(lambda _: print("ran"), *IN_PROCESS, "model=gru,grru")
    assert ended.line == f"rnnexp: unknown model 'grru': choose one of {MODELS}; did you mean 'gru'?"
    assert ended.exit_code == 2
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("error", "exit_code", "line"),
    [
        (KeyboardInterrupt(), 130, "rnnexp: interrupted"),
        (InterruptedRunError("saved", signal.SIGTERM), 143, "rnnexp: seed=2: saved"),
    ],
)
def test_an_interrupt_stops_the_remaining_jobs(launch: Any, error: BaseException, exit_code: int, line: str) -> None:
    def program(config: DictConfig) -> None:
        print(f"seed {config.seed}")
        if config.seed == 2:
            raise error

    ended = launch(program, *IN_PROCESS, "seed=1,2,3")
    assert ended.stdout.splitlines() == ["seed 1", "seed 2"]
    assert ended.line == line
    assert ended.exit_code == exit_code


def test_ctrl_c_ends_with_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert stderr == "rnnexp: interrupted\n"
    assert process.returncode == 130


@pytest.mark.parametrize("home", ["/h/a", "/h/it's", "/h/a[b]", "/h/a,b=c", "/h/é", "/a\\b", "/a ${x}"])
def test_the_home_directory_is_inserted_into_values(
    launch: Any, monkeypatch: pytest.MonkeyPatch, home: str, tmp_path: Path
) -> None:
    found: list[str] = []

    def program(config: DictConfig) -> None:
        found.append(config.ckpt_path)

    monkeypatch.setenv("HOME", home)
    for value in ("~/x y.ckpt", "'~/x,y.ckpt'", '"~/x.ckpt"', r"~/x\,y.ckpt"):
        assert launch(program, f"paths.output_dir={tmp_path}", f"ckpt_path={value}").exit_code == 0
    assert found == [f"{home}/{name}.ckpt" for name in ("x y", "x,y", "x", "x,y")]
    launch(program, *IN_PROCESS, f"paths.output_dir={tmp_path}", "ckpt_path=~/x.ckpt,y.ckpt")
    assert found[-2:] == [f"{home}/x.ckpt", "y.ckpt"]


def test_flags_may_follow_overrides(launch: Any, tmp_path: Path) -> None:
    seen = []

    def program(config: DictConfig) -> None:
        seen.append((config.name, config.seed))

    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "named.yaml").write_text("# @package _global_\nname: named\n", encoding="utf-8")
    assert launch(program, "seed=3", "hydra/launcher=basic", "-m", "name=a,b").exit_code == 0
    assert launch(program, "experiment=named", "--config-dir", "mine", "seed=4", "-cn", "train").exit_code == 0
    assert seen == [("a", 3), ("b", 3), ("named", 4)]
    shown = launch(program, "seed=5", "--cfg", "job", "--package", "scheduler")
    assert "warmup" in shown.stdout
