"""Output that cannot be written is dropped, in real processes with real pipes, full devices and closed streams."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, subprocess, sys
from pathlib import Path
from rnnexp.core.output import keep_running_without_output
keep_running_without_output()
keep_running_without_output()
record = open("record", "w", encoding="utf-8")
for number in range(20_000):
    print("line", number, "\\u20ac")
print("error", file=sys.stderr)
sys.stdout.flush()
subprocess.run(["true"], check=True)
record.write(str(record.fileno() > 2))
record.close()
"""


def run(redirection: str, directory: Path) -> subprocess.CompletedProcess[str]:
    (directory / "code.py").write_text(CODE, encoding="utf-8")
    command = ["bash", "-o", "pipefail", "-c", f'"$0" code.py {redirection}', sys.executable]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    "redirection",
    [
        "| head -1 | cut -c1-4",
        "| true",
        "> /dev/full",
        "2> /dev/full > /dev/null",
        ">&-",
        ">&- 2>&-",
        "<&- >&- 2>&-",
        "2>&1 | head -1 | cut -c1-4",
    ],
)
def test_the_program_goes_on(redirection: str, tmp_path: Path) -> None:
    done = run(redirection, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "record").read_text(encoding="utf-8") == "True"
    assert "Traceback" not in done.stderr
    if "head" in redirection:
        assert done.stdout == "line\n"


def test_all_output_is_written_where_it_can_be(tmp_path: Path) -> None:
    done = run("", tmp_path)
    assert done.stdout.split("\n")[-2] == "line 19999 \u20ac"
    assert len(done.stdout.split("\n")) == 20_001
    assert done.stderr == "error\n"


def test_a_slow_reader_of_a_pipe_that_does_not_block(tmp_path: Path) -> None:
    code = f"import os; os.set_blocking(1, False)\n{CODE}"
    (tmp_path / "code.py").write_text(code, encoding="utf-8")
    command = ["bash", "-o", "pipefail", "-c", '"$0" code.py | (sleep 1; wc -l)', sys.executable]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "20000"), done.stderr


def test_a_terminal_without_a_size_shows_tables() -> None:
    code = (
        "from rnnexp.core.output import keep_running_without_output; keep_running_without_output()\n"
        "from rich.console import Console; print(Console().width)"
    )
    environment = {**os.environ, "COLUMNS": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "80\n"
