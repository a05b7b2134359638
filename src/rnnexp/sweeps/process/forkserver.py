"""The process of a job, and the server from which it is forked.

The server has imported all modules, but has started no thread and used no GPU. A job on this machine therefore starts
in a fraction of a second, and still has its own memory, devices and exit status. On other machines the process is
`python -m rnnexp.sweeps.process.forkserver <run directory>`.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext

# The documentation names neither the class above nor this function. multiprocessing.get_context("forkserver") returns
# an object of the class; the public way to start the server is to start a first process, which then waits for it.
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

from rnnexp.core.files.bounded_log import bounded_log
from rnnexp.core.signals import blocked
from rnnexp.runs.frozen.command import frozen_command
from rnnexp.sweeps.process.group import kill_own_group
from rnnexp.sweeps.process.watchdog import exit_with_parent
from rnnexp.tracking import stopwatch
from rnnexp.tracking.run_directory import RunDirectory

PRELOADED = "rnnexp.sweeps.process.preload"


def start_server() -> ForkServerContext:
    """Return a context whose processes are forked from a server, which imports `PRELOADED` in the background."""
    context = ForkServerContext()
    context.set_forkserver_preload([PRELOADED])
    # The server would start the tracker, which ends with SIGINT unblocked.
    resource_tracker.ensure_running()
    # The server ignores SIGINT only after its imports; until then it inherits the mask.
    with blocked((signal.SIGINT,)):
        ensure_running()
    return context


def ask(function: Callable[..., Any], *arguments: Any, seconds: float) -> Any:  # noqa: ANN401
    """Return what a function returns in a process of the server, whose output is discarded.

    Args:
        function: called with the arguments.
        arguments: the arguments.
        seconds: the longest time to wait, after which the process is killed.

    Raises:
        TimeoutError: after that time.
        EOFError: if the process or the server was killed, or the function raised an error.
    """
    context = start_server()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(function, arguments, sender))
    try:
        process.start()
    except ConnectionError as error:
        raise EOFError(str(error)) from None
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise TimeoutError
        return receiver.recv()
    finally:
        process.kill()
        process.join()


def _answer(function: Callable[..., Any], arguments: Sequence[Any], sender: Connection) -> None:
    """Send what a function returns. All output is discarded."""
    exit_with_parent()
    with open(os.devnull, "w", encoding="utf-8") as devnull:  # noqa: PTH123 (not a file)
        os.dup2(devnull.fileno(), 1)
        os.dup2(devnull.fileno(), 2)
    with sender:
        sender.send(function(*arguments))


def run_job(run_dir: Path, environment: dict[str, str]) -> None:
    """Train with the frozen config of a run directory, and write all output to its `output_file`.

    Args:
        run_dir: the run directory.
        environment: variables to set before the program starts.
    """
    # The process has its own session, since Ctrl-C at the terminal must reach only the sweep's command.
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent_is_alive = exit_with_parent()
    # An empty variable is equivalent to an unset one, except for CUDA_VISIBLE_DEVICES, which then hides all devices.
    os.environ.update(environment)
    sys.orig_argv = frozen_command(run_dir)
    sys.argv = sys.orig_argv[2:]
    try:
        with bounded_log(RunDirectory(run_dir).output_file) as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            for stream in (sys.stdout, sys.stderr):
                stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
            stopwatch.restart()
            # The program is imported by name, as `python -m` does.
            importlib.import_module(sys.argv[0]).main()
    finally:
        # The sweep kills what its jobs have left behind; without it the job does.
        if not parent_is_alive():
            kill_own_group()


if __name__ == "__main__":
    run_job(Path(sys.argv[1]), {})
