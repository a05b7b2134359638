"""Several processes that train one model: started here from the run's frozen config, or by torchrun or srun."""

import functools
import os
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from omegaconf import DictConfig, ListConfig

from rnnexp.core.errors import InterruptedRunError, UserError
from rnnexp.runs.frozen import frozen_command
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.run_log import logged_to

if TYPE_CHECKING:
    from lightning.pytorch.plugins.environments import ClusterEnvironment
    from torch.distributed import Store  # type: ignore[attr-defined]

GRACE_SECONDS = 20.0
"""How long the other ranks may go on after one has failed."""


def is_rank() -> bool:
    """Whether this process is one of several that train one model together, and was started as such."""
    return "LOCAL_RANK" in os.environ or _is_task_of_srun()


def _is_task_of_srun() -> bool:
    """Whether srun has started this process and others beside it; a script of sbatch alone has no such variable."""
    # torchrun, started once a node by srun, is the nearer of the two.
    return "LOCAL_RANK" not in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1


def _world_size() -> int:
    return int(os.environ.get("SLURM_NTASKS" if _is_task_of_srun() else "WORLD_SIZE", "1"))


def global_rank() -> int:
    """0 for the process that speaks and records."""
    return int(os.environ["SLURM_PROCID"] if _is_task_of_srun() else os.environ.get("RANK", "0"))


def cluster_environment() -> "ClusterEnvironment":
    """Who has started the ranks, as Lightning wants to be told.

    Its own guess takes every process on a SLURM node for one that srun has started as a rank.
    """
    from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment

    if _is_task_of_srun():
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment() if TorchElasticEnvironment.detect() else LightningEnvironment()


def broadcast_from_rank_zero(find_out: Callable[[], str]) -> str:
    """What the first rank finds out, on every rank that torchrun or srun has started.

    Raises:
        UserError: on the other ranks, when the first cannot find it out; what it raises itself passes through.
    """
    key, store = "rnnexp", _store()
    if global_rank() != 0:
        if answer := store.get(key).decode():
            return answer
        raise UserError("the first rank could not begin: see what it says")
    answer = ""
    try:
        answer = find_out()
    finally:
        store.set(key, answer)
    return answer


@functools.cache
def _store() -> "Store":
    """Where ranks find each other, before and after Lightning: of the first rank the server itself, so it must last."""
    from torch.distributed.rendezvous import rendezvous

    environment = cluster_environment()
    # The rendezvous reads them; Lightning finds them out where srun has not set them.
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    store: Store
    store, _, _ = next(rendezvous("env://", environment.global_rank(), environment.world_size()))
    return store


def num_ranks(trainer: DictConfig) -> int:
    """How many processes of this machine `trainer.devices` asks for."""
    devices = trainer.devices
    if isinstance(devices, ListConfig):
        return len(devices)
    if isinstance(devices, int) and devices >= 0:
        return devices
    if trainer.accelerator in ("gpu", "cuda", "auto"):
        import torch

        # -1 and "auto" are all GPUs that there are.
        return max(1, torch.cuda.device_count())
    return 1


def require_devices(trainer: DictConfig) -> None:
    """Raises UserError where more devices are asked for than there are; CPU processes must be asked for by name."""
    import torch

    if trainer.num_nodes > 1 and not is_rank():
        raise UserError(
            f"trainer.num_nodes={trainer.num_nodes}: start the processes of all nodes with srun or torchrun, see "
            "docs/clusters.md"
        )
    if is_rank() and _world_size() != num_ranks(trainer) * trainer.num_nodes:
        raise UserError(
            f"{_world_size()} processes were started, but trainer.devices={trainer.devices} times "
            f"trainer.num_nodes={trainer.num_nodes} makes {num_ranks(trainer) * trainer.num_nodes}"
        )
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
    run; what the others say goes to `rank-<number>.log` in the run directory. SIGINT and SIGTERM are handed on to them,
    and recorded here if the first one could not: it may have been importing.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "WORLD_SIZE": str(number)}
    processes: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def forward(signal_number: int, _: FrameType | None) -> None:
        received.append(signal_number)
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
        if received:
            run.end("interrupted", f"interrupted by {signal.Signals(received[0]).name} outside training")
            return 128 + received[0]
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
def recorded_by_rank_zero(run: RunDirectory) -> Iterator[None]:
    """The block's status and log go into the run directory; of several ranks, the first one's."""
    if global_rank() != 0:
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
