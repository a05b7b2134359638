"""A process of another Python interpreter that measures a toolkit on request."""

import json
import math
import subprocess
import threading
from pathlib import Path
from typing import Any, NamedTuple


class Measured(NamedTuple):
    """The time of an amount of work."""

    seconds: float
    amount: float
    """target tokens, or sentences"""
    loss: float = float("nan")
    """the loss of the last training step"""

    @property
    def per_second(self) -> float:
        """The amount per second."""
        return self.amount / self.seconds


class PeerProcess:
    """A process that answers each line with a line of JSON, until its input is closed.

    It never ends the benchmark: what goes wrong is kept in `failure`, and the process is stopped.

    Args:
        seconds: the longest time for an answer.
    """

    def __init__(self, seconds: float) -> None:
        self.failure: str | None = None
        self.version = ""
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, python: str, driver: Path, directory: Path) -> None:
        """Start the process.

        Args:
            python: the interpreter that has the toolkit.
            driver: the script that it runs.
            directory: the argument of the script, which has the task; what the script prints to stderr is kept there.
        """
        self._messages = directory / "messages.txt"
        with self._messages.open("wb") as messages:
            try:
                # -I: modules in the directory of the script and in PYTHONPATH do not replace those of the interpreter.
                self._process = subprocess.Popen(  # noqa: S603 (an interpreter that the user chose)
                    [python, "-I", driver, directory],
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=messages,
                )
            except OSError as error:
                self.fail(f"{python}: {error.strerror}")

    def wait_until_ready(self) -> None:
        """Wait for the first line, which has the version of the toolkit."""
        answer = self._answer()
        if "version" in answer:
            self.version = str(answer["version"])
        else:
            self.fail(f"answered {json.dumps(answer)[:80]}, without a version")

    def ask(self, request: str) -> Measured | None:
        """Return a measurement; None if the process has failed, now or before."""
        answer = self._answer(f"{request}\n".encode())
        try:
            measured = Measured(**{key: float(value) for key, value in answer.items()})
            if 0 < measured.seconds < math.inf and 0 < measured.amount < math.inf:
                return measured
        except (TypeError, ValueError):
            pass
        self.fail(f"answered {json.dumps(answer)[:80]}, which is no measurement")
        return None

    def fail(self, reason: str) -> None:
        """Stop the process, and keep the first reason."""
        self.failure = self.failure or reason
        self.stop()

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            with self._process as process:
                process.kill()

    def _answer(self, request: bytes = b"") -> dict[str, Any]:
        """Send a request, and return the next line; empty if the process has failed."""
        if self.failure is not None:
            return {}
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(self._seconds, process.kill)
        timer.start()
        try:
            process.stdin.write(request)
            line = process.stdout.readline()
        except OSError:  # it has ended
            line = b""
        is_late = not timer.is_alive()
        timer.cancel()
        if not line:
            self.fail(f"no answer within {self._seconds:g} s" if is_late else self._last_message(process.wait()))
            return {}
        try:
            answer = json.loads(line)
        except ValueError:
            answer = line.decode(errors="replace").strip()
        if not isinstance(answer, dict):
            self.fail(f"answered {str(answer)[:80]!r} instead of a JSON object")
            return {}
        return answer

    def _last_message(self, exit_code: int) -> str:
        """Return the last line that the process printed to stderr."""
        text = self._messages.read_text(encoding="utf-8", errors="replace").strip()
        return text.split("\n")[-1] or f"the process ended with exit code {exit_code}"
