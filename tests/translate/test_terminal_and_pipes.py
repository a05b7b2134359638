"""The program at a terminal and between pipes, run as a separate process."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.translating import SENTENCES, Translate, lines_of, piped


def command(run: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "rnnexp.translate", f"run={run}", "accelerator=cpu", *overrides]


needs_setsid = pytest.mark.skipif(shutil.which("setsid") is None, reason="gives a program its own terminal; of Linux")


class Terminal:
    """A program that runs at a terminal."""

    def __init__(self, arguments: list[str]) -> None:
        self.master, slave = pty.openpty()
        # A new session with the terminal as its controlling terminal, so that Ctrl-C reaches the program.
        shell = ["setsid", "--ctty", "--wait", *arguments]
        self.process = subprocess.Popen(shell, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)

    def read_until(self, text: str) -> str:
        """Return the output up to the text, or all output if the text does not appear."""
        seen = b""
        while not seen.endswith(text.encode()) or not text:
            try:
                chunk = os.read(self.master, 1)
            except OSError:  # Linux reports the end of output as an error
                break
            if not chunk:
                break
            seen += chunk
        return seen.decode().replace("\r\n", "\n")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> tuple[str, int]:
        """Return the remaining output and the exit code."""
        rest = self.read_until("")
        os.close(self.master)
        return rest, self.process.wait(timeout=60)


@pytest.mark.slow
@needs_setsid
def test_at_a_terminal_each_line_is_answered(translator: Path, say: Translate) -> None:
    terminal = Terminal(command(translator))
    assert terminal.read_until("> ") == "en to fr, one sentence per line; Ctrl-D ends\n> "
    for sentence in ("The cat sleeps.", ""):
        (expected,) = lines_of(say(piped=piped([sentence])))
        terminal.type(f"{sentence}\n")
        assert terminal.read_until("> ") == f"{sentence}\n{expected}\n> "
    terminal.type("qwxzé 猫\n")
    assert "1 sentence has no word of the vocabulary" in terminal.read_until("> ")
    terminal.type("\x04")
    assert terminal.end() == ("\n", 0)


@pytest.mark.slow
@needs_setsid
def test_ctrl_c_at_the_prompt_ends_quietly(translator: Path) -> None:
    terminal = Terminal(command(translator))
    terminal.read_until("> ")
    terminal.type("\x03")
    assert terminal.end() == ("^C\n", 130)


@pytest.mark.slow
def test_a_slow_pipe_is_answered_batch_by_batch_in_utf8_under_any_locale(translator: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0", "LC_ALL": "C"}
    process = subprocess.Popen(
        command(translator, "batch_size=1", "attention=true"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("The été 猫 sleeps.\n".encode())
    process.stdin.flush()
    assert process.stdout.readline()
    rest, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "│" in rest.decode("utf-8")
    shutil.rmtree(translator / "translations")


@pytest.mark.slow
def test_a_closed_pipe_ends_the_program_quietly(translator: Path, tmp_path: Path) -> None:
    (tmp_path / "text.en").write_bytes(piped(SENTENCES * 30))
    process = subprocess.Popen(
        command(translator, f"input={tmp_path}/text.en", "batch_size=1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141
    process.stderr.close()
