"""Several processes that train one model: started by torchrun, each from the run directory's frozen config."""

import os
import signal
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from omegaconf import DictConfig, ListConfig

from rnnexp.errors import DivergedError, InterruptedRunError, UnsupportedError, UserError
from rnnexp.launch.job import frozen_command
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.run_log import logged_to

EXIT_CODES = {"done": 0, "unsupported": UnsupportedError.exit_code, "diverged": DivergedError.exit_code}


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
    """Starts the ranks and waits for them. The first of them records the run. Returns the exit code."""
    command = frozen_command(run.path)
    executable, rest = command[0], command[1:]
    torchrun = [executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={number}", *rest]
    # torchrun says at length that it sets this variable, unless it is set; the config sets the threads later.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    process = subprocess.Popen(torchrun, env=environment)  # noqa: S603 (our own command line)
    received: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        received.append(number)
        process.send_signal(number)

    for forwarded in (signal.SIGINT, signal.SIGTERM):
        signal.signal(forwarded, forward)
    exit_code = process.wait()
    status = run.status
    if status == "running":
        run.set_status("failed", f"the ranks ended with exit code {exit_code}; see {run.log_file} and the lines above")
    if status == "interrupted":
        return 128 + (received[0] if received else signal.SIGTERM)
    return EXIT_CODES.get(status, exit_code or 1)


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
        signal.signal(signal.SIGTERM, _raise_interrupt)
        yield


def _raise_interrupt(number: int, _: FrameType | None) -> None:
    raise InterruptedRunError(f"interrupted by {signal.Signals(number).name} outside training", number)
