"""Processes that train one model together: started here from the run's frozen config, or by torchrun or srun."""

import functools
import os
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any

from rnnexp.core.errors import InterruptedRunError, UserError
from rnnexp.core.signals import GRACE_SECONDS, STOP_SIGNALS, STOP_SIGNALS_BUT_CTRL_C, handling, interrupted_by, name_of
from rnnexp.runs.frozen_command import frozen_command, resume_command
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.run_log import logged_to
from rnnexp.tracking.status import Status

if TYPE_CHECKING:
    from lightning.pytorch.plugins.environments import ClusterEnvironment
    from torch.distributed import Store  # type: ignore[attr-defined]

OUTSIDE_TRAINING = " outside training"


def is_rank() -> bool:
    """Return whether this process was started as one of several that train one model together."""
    return "LOCAL_RANK" in os.environ or _is_task_of_srun()


def _is_task_of_srun() -> bool:
    """Return whether srun started this process and others; the variable is not set in a script of sbatch alone."""
    # srun may start torchrun once per node, which then starts the ranks.
    return "LOCAL_RANK" not in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1


def _world_size() -> int:
    return int(os.environ.get("SLURM_NTASKS" if _is_task_of_srun() else "WORLD_SIZE", "1"))


def global_rank() -> int:
    """Return the rank of this process among all; rank 0 writes to the terminal and records the run."""
    return int(os.environ["SLURM_PROCID"] if _is_task_of_srun() else os.environ.get("RANK", "0"))


def cluster_environment() -> "ClusterEnvironment":
    """Return Lightning's object for the program that started the ranks.

    Lightning's own detection treats every process on a SLURM node as a rank that srun started.
    """
    from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment

    if _is_task_of_srun():
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment() if TorchElasticEnvironment.detect() else LightningEnvironment()


def broadcast_from_rank_zero(compute: Callable[[], str]) -> str:
    """Call `compute` on rank 0 and return its result on every rank that torchrun or srun started.

    Raises:
        UserError: on the other ranks, if `compute` raises on rank 0, where the exception passes through.
    """
    key, store = "rnnexp", _store()
    if global_rank() != 0:
        if answer := store.get(key).decode():
            return answer
        raise UserError("rank 0 could not start: see its error")
    answer = ""
    try:
        answer = compute()
    finally:
        store.set(key, answer)
    return answer


@functools.cache
def _store() -> "Store":
    """Return the store through which ranks exchange values. Rank 0 is its server until the process ends."""
    from torch.distributed.rendezvous import rendezvous

    environment = cluster_environment()
    # The rendezvous reads these variables, which srun does not set; Lightning determines the values.
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    store: Store
    store, _, _ = next(rendezvous("env://", environment.global_rank(), environment.world_size()))
    return store


def num_devices(trainer: Mapping[str, Any], num_gpus: int) -> int:
    """Return the number of devices of one machine that `trainer.devices` requests.

    Args:
        trainer: the config group `trainer`.
        num_gpus: the number of GPUs that -1 and "auto" select, which may be 0.
    """
    devices = trainer["devices"]
    if isinstance(devices, int) and devices >= 0:
        return devices
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        return len(devices)
    return num_gpus if trainer["accelerator"] in ("gpu", "cuda", "auto") else 1


def num_ranks(trainer: Mapping[str, Any]) -> int:
    """Return the number of processes on this machine that train together: one for each device."""
    import torch

    # Without a GPU, -1 and "auto" select the CPU.
    return num_devices(trainer, max(1, torch.cuda.device_count()))


def num_ranks_to_start(trainer: Mapping[str, Any]) -> int:
    """Return the number of ranks that this process must start; 0 if it trains, alone or as a rank.

    Args:
        trainer: the config group `trainer`.

    Raises:
        UserError: see `require_devices`.
    """
    require_devices(trainer)
    number = num_ranks(trainer)
    return number if number > 1 and not is_rank() else 0


def require_devices(trainer: Mapping[str, Any]) -> None:
    """Raise UserError if there are fewer devices than requested, or another number of ranks was started.

    The number of processes on the CPU is not limited, but they need `trainer.accelerator=cpu`.
    """
    import torch

    devices, accelerator, num_nodes = (trainer[key] for key in ("devices", "accelerator", "num_nodes"))
    if num_nodes > 1 and not is_rank():
        raise UserError(
            f"trainer.num_nodes={num_nodes}: start the processes of all nodes with srun or torchrun, see "
            "docs/clusters.md"
        )
    num_processes = num_ranks(trainer) * num_nodes
    if is_rank() and _world_size() != num_processes:
        raise UserError(
            f"{_world_size()} processes were started, but trainer.devices={devices} times "
            f"trainer.num_nodes={num_nodes} makes {num_processes}"
        )
    num_gpus = torch.cuda.device_count()
    if accelerator in ("gpu", "cuda") and num_gpus == 0 and not torch.backends.mps.is_available():
        raise UserError("trainer.accelerator=gpu, but PyTorch sees no GPU here: use trainer=cpu or trainer=default")
    requested = devices if isinstance(devices, int) else 1
    if accelerator != "cpu" and requested > max(1, num_gpus):
        raise UserError(
            f"trainer.devices={requested}, but there is {max(1, num_gpus)} {'GPU' if num_gpus else 'CPU'} here: use "
            f"trainer.devices={max(1, num_gpus)}"
            + ("" if num_gpus else ", or trainer.accelerator=cpu for that many processes on the CPU")
        )


def supervise_ranks(run: RunDirectory, number: int) -> int:
    """Start the ranks of this machine, wait for them, and stop the others if one fails.

    Rank 0 writes to the terminal and records the run; the output of the others goes to `rank-<number>.log` in the run
    directory. SIGINT and SIGTERM are forwarded to all. This process records them if rank 0 cannot.

    Args:
        run: the directory with the frozen config that the ranks start from.
        number: the number of ranks.

    Returns:
        The exit code of the first rank that failed, else 0.
    """
    # Not torchrun's elastic launcher: it wraps the one line of an error in a traceback and a table of its own, and ends
    # with exit code 1 whatever the ranks end with (130, 143 and 4 are lost), after SIGTERM with a SignalException.
    received: list[int] = []
    with handling(STOP_SIGNALS, lambda signal_number, _: received.append(signal_number)), ExitStack() as files:
        processes = []
        for rank, environment in enumerate(_rank_environments(number)):
            output = None if rank == 0 else files.enter_context(run.rank_log_file(rank).open("wb"))
            if not received:
                processes.append(_start_rank(run, environment, output))
        _wait_for_all(processes, received)
    if run.has_no_end:
        if received:
            name, command = name_of(received[0]), resume_command(run)
            error = InterruptedRunError(
                f"interrupted by {name}{OUTSIDE_TRAINING}; continue with {command}", received[0]
            )
            run.end(Status.INTERRUPTED, str(error))
            raise error
        codes = ", ".join(str(process.returncode) for process in processes)
        run.end(Status.FAILED, f"the ranks ended with exit codes {codes}; see train.log and rank-*.log in {run.path}")
    return next((process.returncode for process in processes if process.returncode), 0)


def _rank_environments(number: int) -> Iterator[dict[str, str]]:
    """Yield the variables of each rank, as Lightning documents them for a machine without a scheduler."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "WORLD_SIZE": str(number)}
    for rank in range(number):
        yield {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}


def _start_rank(run: RunDirectory, environment: dict[str, str], output: IO[bytes] | None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 (a command line of this package)
        frozen_command(run.path),
        env=environment,
        stdout=output,
        stderr=output,
        # In a new session, since Ctrl-C would otherwise reach a rank twice: from the terminal and from this process.
        start_new_session=True,
    )


def _wait_for_all(processes: Sequence["subprocess.Popen[bytes]"], received: Sequence[int]) -> None:
    """Wait until all processes have ended, and forward the signals that arrive meanwhile or arrived before.

    The handler does not forward them, since it would miss a process that is being started.
    """
    num_forwarded, deadline = 0, None
    # A list, so that all processes are polled each time.
    while None in (exit_codes := [process.poll() for process in processes]):
        for signal_number in received[num_forwarded:]:
            for process in processes:
                process.send_signal(signal_number)
            num_forwarded += 1
        if deadline is None and any(exit_codes):
            # The others would wait for the failed rank for half an hour; some time is left for them to save.
            deadline = time.monotonic() + GRACE_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            for process in processes:
                process.kill()
        time.sleep(0.1)


@contextmanager
def recorded_by_rank_zero(run: RunDirectory) -> Iterator[None]:
    """Record status and log of the block in the run directory. Other ranks than rank 0 record nothing."""
    if global_rank() != 0:
        with warnings.catch_warnings():
            # Rank 0 gives the same warnings.
            warnings.simplefilter("ignore")
            yield
        return
    with (
        run.recorded(),
        continued_with(resume_command(run)),
        logged_to(run.log_file),
        # A signal before training has nothing to save, but must be recorded.
        interrupted_by(STOP_SIGNALS_BUT_CTRL_C, OUTSIDE_TRAINING),
    ):
        yield


@contextmanager
def continued_with(command: str) -> Iterator[None]:
    """Add the command that continues a run to the message of the signal that ends the block."""
    try:
        yield
    except InterruptedRunError as error:
        raise InterruptedRunError(f"{error}; continue with {command}", error.signal_number) from None
    except KeyboardInterrupt:
        raise InterruptedRunError(f"interrupted by SIGINT; continue with {command}", signal.SIGINT) from None
