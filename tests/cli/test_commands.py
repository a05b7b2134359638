"""The command `rnnexp` and its programs."""

import re
import subprocess
import sys
from pathlib import Path

import lightning
import pytest
import torch

import rnnexp
from rnnexp.cli.commands import COMMANDS, main, module_of
from rnnexp.cli.conf_dir import config_root


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rnnexp", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_every_program_has_a_command() -> None:
    assert set(COMMANDS) == {path.stem for path in config_root().glob("*.yaml")} | {"latency", "report", "runs"}
    for name in COMMANDS:
        path = Path(rnnexp.__file__).parent / f"{module_of(name).removeprefix('rnnexp.').replace('.', '/')}.py"
        assert "def main()" in path.read_text(encoding="utf-8")


def test_a_command_is_the_program(tmp_path: Path) -> None:
    arguments = ["--cfg", "job", "model=lstm", "--resolve"]
    program = [sys.executable, "-m", "rnnexp.train", *arguments]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=True)

    def without_time(text: str) -> str:
        return re.sub(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", "", text)

    assert without_time(command("train", *arguments, cwd=tmp_path).stdout) == without_time(done.stdout)
    wrong = command("train", "model=grru", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean 'gru'?" in wrong.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, tmp_path: Path) -> None:
    done = command(name, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 5


@pytest.mark.parametrize(
    ("arguments", "exit_code", "text"),
    [
        ([], 0, "usage: rnnexp COMMAND"),
        (["--help"], 0, "usage: rnnexp COMMAND"),
        (["--version"], 0, f"rnnexp {rnnexp.__version__} (torch {torch.__version__.partition('+')[0]}"),
        (["train", "--version"], 0, f"rnnexp {rnnexp.__version__} (torch "),
        (["train", "seed=1", "--version"], 0, f", lightning {lightning.__version__}, Python "),
        (["trian"], 2, "unknown command 'trian'"),
        (["trian"], 2, "did you mean 'train'?"),
    ],
)
def test_other_arguments(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    exit_code: int,
    text: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["rnnexp", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == exit_code
    stdout, stderr = capsys.readouterr()
    assert text in (stderr if exit_code else stdout)
    assert (stderr.count("\n"), stdout) == (1, "") if exit_code else stderr == ""
