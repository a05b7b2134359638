"""The supervisor of the ranks of a run on this machine, which are processes started from the run's frozen config."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import IO, TYPE_CHECKING

from rnnexp.compat.torch_distributed import AGENT_STORE
from rnnexp.core.errors import InterruptedRunError, UserError
from rnnexp.core.files.bounded_log import bounded_log
from rnnexp.core.signals import GRACE_SECONDS, STOP_SIGNALS, exit_reason, handling, name_of
from rnnexp.runs.distributed import LOST_PEER, OUTSIDE_TRAINING, SUPERVISOR
from rnnexp.runs.frozen.command import frozen_command, resume_command
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

POLL_SECONDS = 0.1
STOPPED_SECONDS = 15.0
"""The time after which a rank that a signal has stopped counts as failed, while the others wait for it."""


def supervise_ranks(run: RunDirectory, number: int) -> int:
    """Start the ranks of this machine, wait for them, and stop the others if one fails or is stopped.

    Rank 0 writes to the terminal and records the run; the output of the others goes to `rank-<number>.log` in the run
    directory. Signals that ask this process to end are forwarded to all. This process records how the run ended if
    rank 0 cannot. The children of ranks end with them.

    Args:
        run: the directory with the frozen config that the ranks start from.
        number: the number of ranks.

    Returns:
        The exit code of the rank that ended the run, else 0.

    Raises:
        InterruptedRunError: for a signal that arrived before rank 0 could record it.
        RanksError: for a rank that failed, was killed or stopped, if rank 0 has not recorded an end.
    """
    # Not torchrun's elastic launcher: it wraps the one line of an error in a traceback and a table of its own, and ends
    # with exit code 1 whatever the ranks end with (130, 143 and 4 are lost), after SIGTERM with a SignalException.
    received: list[int] = []
    with handling(STOP_SIGNALS, lambda signal_number, _: received.append(signal_number)), ExitStack() as files:
        ranks = Ranks(received)
        # The store has its port from the start to the end, so that no other program takes it.
        store = _store_of_ranks(number)
        for rank in range(number):
            output = None if rank == 0 else files.enter_context(bounded_log(run.rank_log_file(rank)))
            if not received:
                ranks.processes.append(_start_rank(run, _environment(rank, number, store.port), output))
        ranks.wait()
    if run.has_no_end:
        if received:
            message = f"interrupted by {name_of(received[0])}{OUTSIDE_TRAINING}"
            error: UserError | InterruptedRunError = InterruptedRunError(
                f"{message}; continue with {resume_command(run)}", received[0]
            )
            run.end(Status.INTERRUPTED, str(error))
        else:
            error = RanksError(
                f"{ranks.failure}; see train.log and rank-*.log in {run.path}; continue with {resume_command(run)}"
            )
            run.end(Status.FAILED, str(error), transient=True)
        raise error
    return next((process.returncode for process in ranks.processes if process.returncode > 0), 0)


class RanksError(UserError):
    """A rank failed, was killed or was stopped."""

    exit_code = 1


def _store_of_ranks(number: int) -> "TCPStore":
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    return TCPStore("127.0.0.1", 0, number, is_master=True, wait_for_workers=False, timeout=timedelta(minutes=30))


def _environment(rank: int, number: int, port: int) -> dict[str, str]:
    """Return the variables of a rank, as Lightning documents them for a machine without a scheduler."""
    return {
        # Otherwise torch writes lines to the terminal about ranks that have ended, which this process reports.
        "TORCH_CPP_LOG_LEVEL": "FATAL",
        **os.environ,
        **AGENT_STORE,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(number),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        SUPERVISOR: str(os.getpid()),
    }


def _start_rank(run: RunDirectory, environment: dict[str, str], output: IO[bytes] | None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 (a command line of this package)
        frozen_command(run.path),
        env=environment,
        stdout=output,
        stderr=output,
        # In a new session, since Ctrl-C would otherwise reach a rank twice: from the terminal and from this process.
        start_new_session=True,
    )


class Ranks:
    """The processes of a run on this machine.

    Args:
        received: the signals that this process receives, and forwards to all ranks.
    """

    def __init__(self, received: Sequence[int]) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.failure = "no rank has recorded an end"
        """The first failure of a rank."""
        self._received, self._num_forwarded = received, 0
        self._deadline: float | None = None
        self._polls_stopped: Counter[int] = Counter()

    def wait(self) -> None:
        """Wait until all processes have ended, and forward the signals that arrive meanwhile or arrived before.

        The handler does not forward them, since it would miss a process that is being started.
        """
        # A list, so that all processes are polled each time.
        while None in [process.poll() for process in self.processes]:
            for signal_number in self._received[self._num_forwarded :]:
                for process in self.processes:
                    process.send_signal(signal_number)
                self._num_forwarded += 1
            if self._deadline is None and (failure := self._first_failure()):
                self.failure = failure
                # The others would wait for the failed rank for half an hour; some time is left for them to save.
                self._deadline = time.monotonic() + GRACE_SECONDS
            if self._deadline is not None and time.monotonic() > self._deadline:
                for process in self.processes:
                    process.kill()
            time.sleep(POLL_SECONDS)
        if self._deadline is None:
            self.failure = self._first_failure() or self.failure
        for process in self.processes:
            # A rank is the leader of its process group, in which its children are.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _first_failure(self) -> str:
        """Return what ended a rank, or stopped it for `STOPPED_SECONDS`; empty if all run or have ended well."""
        lost = ""
        for rank, process in enumerate(self.processes):
            code = process.returncode
            if code is None and self._is_stopped(rank):
                return f"rank {rank} did not continue for {STOPPED_SECONDS:.0f} seconds after it was stopped"
            if code == LOST_PEER:
                lost = f"rank {rank} lost the connection to another"
            elif code:
                return f"rank {rank} {'was ' * (code < 0)}{exit_reason(code)}"
        # Its peer is about to end, and is then the cause.
        return lost if None not in [process.returncode for process in self.processes] else ""

    def _is_stopped(self, rank: int) -> bool:
        """Whether a rank has been found stopped by a signal at all polls of `STOPPED_SECONDS`."""
        options = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        try:
            is_stopped = os.waitid(os.P_PID, self.processes[rank].pid, options) is not None
        except ChildProcessError:
            # It has ended since the poll.
            is_stopped = False
        # Polls are counted, since this process may have been stopped as well, with the whole job.
        self._polls_stopped[rank] = self._polls_stopped[rank] + 1 if is_stopped else 0
        return self._polls_stopped[rank] > STOPPED_SECONDS / POLL_SECONDS
