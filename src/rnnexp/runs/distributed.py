"""Processes that train one model together: started here from the run's frozen config, or by torchrun or srun."""

import functools
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rnnexp.compat.torch_distributed import is_lost_peer
from rnnexp.core.errors import InterruptedRunError, UserError, first_line
from rnnexp.core.signals import STOP_SIGNALS_BUT_CTRL_C, interrupted_by
from rnnexp.runs.frozen.command import resume_command
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.run_log import logged_to

if TYPE_CHECKING:
    from lightning.pytorch.plugins.environments import ClusterEnvironment
    from torch.distributed import Store  # type: ignore[attr-defined]

log = logging.getLogger(__name__)

OUTSIDE_TRAINING = " outside training"
SUPERVISOR = "RNNEXP_SUPERVISOR"
"""The environment variable with the process that has started a rank with `supervise_ranks`."""
LOST_PEER = 75
"""The exit code of a rank that has lost another, whose end its supervisor records."""


def is_rank() -> bool:
    """Return whether this process was started as one of several that train one model together."""
    return "LOCAL_RANK" in os.environ or _is_task_of_srun()


def supervisor() -> int | None:
    """Return the process id of the supervisor of this rank; None if something else has started it."""
    return _number_in(SUPERVISOR) or None


def _is_task_of_srun() -> bool:
    """Return whether srun started this process and others; the variable is not set in a script of sbatch alone."""
    # srun may start torchrun once per node, which then starts the ranks.
    return "LOCAL_RANK" not in os.environ and _number_in("SLURM_STEP_NUM_TASKS", "1") > 1


def _number_in(variable: str, default: str = "0") -> int:
    """Return the number in an environment variable.

    Raises:
        UserError: if it is not one.
    """
    value = os.environ.get(variable, default)
    if not value.isdecimal():
        raise UserError(f"{variable}={value} is not a number: unset it, or start the processes with torchrun or srun")
    return int(value)


def _world_size() -> int:
    return _number_in("SLURM_NTASKS" if _is_task_of_srun() else "WORLD_SIZE", "1")


def global_rank() -> int:
    """Return the rank of this process among all; rank 0 writes to the terminal and records the run.

    RANK and SLURM_PROCID also stand in the environment of processes that train alone, where they mean nothing.
    """
    if not is_rank():
        return 0
    return _number_in("SLURM_PROCID" if _is_task_of_srun() else "RANK")


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
    from torch.distributed import DistError
    from torch.distributed.rendezvous import rendezvous

    environment = cluster_environment()
    # The rendezvous reads these variables, which srun does not set; Lightning determines the values.
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    store: Store
    try:
        store, _, _ = next(rendezvous("env://", environment.global_rank(), environment.world_size()))
    except DistError as error:
        place = f"{environment.main_address}:{environment.main_port}"
        raise UserError(f"ranks cannot meet at {place} ({first_line(error)}): set another MASTER_PORT") from None
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
    """Raise UserError if there are fewer devices than requested, or ranks were started in another number or badly.

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
    if is_rank():
        for variable in ("LOCAL_RANK", "RANK", "MASTER_PORT"):
            _number_in(variable)
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
            f"trainer.devices={requested}, but PyTorch sees {num_gpus or 'no'} GPU{'s' if num_gpus > 1 else ''} here: "
            f"use trainer.devices={max(1, num_gpus)}"
            + ("" if num_gpus else ", or trainer.accelerator=cpu for that many processes on the CPU")
        )


@contextmanager
def recorded_by_rank_zero(run: RunDirectory) -> Iterator[None]:
    """Record status and log of the block in the run directory. Other ranks than rank 0 record nothing."""
    if global_rank() != 0:
        with warnings.catch_warnings(), ended_with_lost_peer():
            # Rank 0 gives the same warnings.
            warnings.simplefilter("ignore")
            yield
        return
    with (
        run.recorded(),
        continued_with(run),
        logged_to(run.log_file),
        # A signal before training has nothing to save, but must be recorded.
        interrupted_by(STOP_SIGNALS_BUT_CTRL_C, OUTSIDE_TRAINING),
        ended_with_lost_peer(),
    ):
        yield


@contextmanager
def continued_with(run: RunDirectory) -> Iterator[None]:
    """Add the command that continues a run to the message of the signal that ends the block."""
    try:
        yield
    except InterruptedRunError as error:
        raise InterruptedRunError(f"{error}; continue with {resume_command(run)}", error.signal_number) from None
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted by SIGINT; continue with {resume_command(run)}", signal.SIGINT
        ) from None


@contextmanager
def ended_with_lost_peer() -> Iterator[None]:
    """End this rank if it has lost the connection to another one.

    A supervisor knows which rank ended and why, so that this one ends without a record and a message of its own.

    Raises:
        UserError: if torchrun or srun has started the rank.
    """
    try:
        yield
    except Exception as error:
        if not is_rank() or not is_lost_peer(error):
            raise
        log.debug("lost another rank", exc_info=True)
        if supervisor() is None:
            raise UserError(f"rank {global_rank()} lost the connection to another: {first_line(error)}") from None
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(LOST_PEER)
