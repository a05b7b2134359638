"""What a job's process does before and around its program.

On this machine the process is forked from a server that has imported everything and computed nothing: no thread has
begun, no GPU was touched. So a job starts in a fraction of a second, and still owns its memory, its devices and its
end. Elsewhere it is `python -m rnnexp.sweeps.process.forkserver <run directory> [override ...]`.
"""

import importlib
import os
import signal
import sys
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from pathlib import Path

from rnnexp.runs.frozen import frozen_command
from rnnexp.sweeps.process.watchdog import exit_with_parent
from rnnexp.tracking import stopwatch
from rnnexp.tracking.run_directory import RunDirectory

PRELOADED = ("rnnexp.cli.main", "rnnexp.runs.stages", "rnnexp.runs.figures")
"""What a run imports from its beginning to its end, which takes seconds in every fresh process."""


def start_server() -> ForkServerContext:
    """A context whose processes are forked from one that has all imports behind it."""
    context = ForkServerContext()
    context.set_forkserver_preload(list(PRELOADED))
    # Threads do not survive a fork: NumPy's library for matrices would start its own as it is imported.
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    # The server is deaf to Ctrl-C, but only once it has imported everything; until then it inherits that from here.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if before is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = before
    return context


def run_job(run_dir: Path, overrides: list[str], environment: dict[str, str]) -> None:
    """Trains with the frozen config of a run directory; all that is said goes to its `output_file`.

    Args:
        overrides: of its command line, beyond the frozen config.
        environment: variables to set before the program begins.
    """
    # Of its own, or Ctrl-C at the terminal would reach the job past the pool.
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    exit_with_parent()
    # An empty variable says nothing, except to CUDA, which then shows no device.
    os.environ.update(environment)
    with RunDirectory(run_dir).output_file.open("a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    stopwatch.restart()
    sys.orig_argv = [*frozen_command(run_dir), *overrides]
    sys.argv = sys.orig_argv[2:]
    # By its name, as `python -m` would: what starts a program does not depend on it.
    importlib.import_module(sys.argv[0]).main()


if __name__ == "__main__":
    run_job(Path(sys.argv[1]), sys.argv[2:], {})
