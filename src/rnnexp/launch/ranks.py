"""Several processes that train one model: each started from the run directory's frozen config."""

import os
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from omegaconf import DictConfig, ListConfig

from rnnexp.errors import InterruptedRunError, UserError
from rnnexp.launch.job import frozen_command
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.run_log import logged_to

GRACE_SECONDS = 20.0
"""How long the other ranks may go on after one has failed."""


def is_rank() -> bool:
    """Whether this process is one of several that train one model together, and was started as such."""
    return "LOCAL_RANK" in os.environ


def num_ranks(trainer: DictConfig) -> int:
    """How many processes of this machine `trainer.devices` asks for."""
    devices = trainer.devices
    if isinstance(devices, ListConfig):
        return len(devices)
    if isinstance(devices, int) and devices >= 0:
        return devices
    if trainer.accelerator in ("gpu", "cuda"):
        import torch

        return torch.cuda.device_count()
    return 1


def require_devices(trainer: DictConfig) -> None:
    """Raises UserError where more devices are asked for than there are; CPU processes must be asked for by name."""
    import torch

    there_are = torch.cuda.device_count()
    if trainer.accelerator in ("gpu", "cuda") and there_are == 0 and not torch.backends.mps.is_available():
        raise UserError("trainer.accelerator=gpu, but PyTorch sees no GPU here: use trainer=cpu or trainer=default")
    wanted = trainer.devices if isinstance(trainer.devices, int) else 1
    if trainer.accelerator != "cpu" and wanted > max(1, there_are):
        raise UserError(
            f"trainer.devices={wanted}, but there is {max(1, there_are)} {'GPU' if there_are else 'CPU'} here: use "
            f"trainer.devices={max(1, there_are)}"
            + ("" if there_are else ", or trainer.accelerator=cpu for that many processes on the CPU")
        )


def supervise_ranks(run: RunDirectory, number: int) -> int:
    """Starts the ranks and waits for them; if one fails, the others are stopped. Returns the exit code of the first.

    They are started as Lightning documents it for a machine without a scheduler. The first one speaks and records the
    run; what the others say goes to `rank-<number>.log` in the run directory.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "WORLD_SIZE": str(number)}
    processes: list[subprocess.Popen[bytes]] = []

    def forward(signal_number: int, _: FrameType | None) -> None:
        for process in processes:
            process.send_signal(signal_number)

    with ExitStack() as afterwards:
        for forwarded in (signal.SIGINT, signal.SIGTERM):
            afterwards.callback(signal.signal, forwarded, signal.signal(forwarded, forward))
        for rank in range(number):
            log = None if rank == 0 else afterwards.enter_context((run.path / f"rank-{rank}.log").open("wb"))
            environment = {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            # In a session of its own, or Ctrl-C would reach a rank twice: from the terminal and from here.
            processes.append(
                subprocess.Popen(  # noqa: S603 (our own command line)
                    frozen_command(run.path), env=environment, stdout=log, stderr=log, start_new_session=True
                )
            )
        _wait_for_all(processes)
    if run.status in ("queued", "running"):
        codes = ", ".join(str(process.returncode) for process in processes)
        run.end("failed", f"the ranks ended with exit codes {codes}; see train.log and rank-*.log in {run.path}")
    return next((process.returncode for process in processes if process.returncode), 0)


def _wait_for_all(processes: list[subprocess.Popen[bytes]]) -> None:
    deadline = None
    while any(process.poll() is None for process in processes):
        if deadline is None and any(process.returncode for process in processes):
            # The others would wait for the one that failed for half an hour, but may be saving for the same reason.
            deadline = time.monotonic() + GRACE_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            for process in processes:
                process.kill()
        time.sleep(0.1)


@contextmanager
def recorded_by_first_rank(run: RunDirectory) -> Iterator[None]:
    """The block's status and log go into the run directory; of several ranks, the first one's."""
    if int(os.environ.get("RANK", "0")) != 0:
        with warnings.catch_warnings():
            # The first rank gives the same warnings.
            warnings.simplefilter("ignore")
            yield
        return
    with run.recorded(), logged_to(run.log_file):
        # A kill asked for before training began has nothing to save, but must be recorded.
        previous = signal.signal(signal.SIGTERM, _raise_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)


def _raise_interrupt(number: int, _: FrameType | None) -> None:
    raise InterruptedRunError(f"interrupted by {signal.Signals(number).name} outside training", number)
