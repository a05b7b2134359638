"""Errors that end a program, each with a message of one line and an exit code of its own."""

import errno
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

log = logging.getLogger(__name__)

# Errors that a user can avoid with another path; any other OSError may be an internal error.
BAD_PLACES = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.EIO,
        errno.ESTALE,
    }
)

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "dashboard": ("wandb_workspaces",),
    "export": ("onnx", "onnx_ir", "onnxruntime", "onnxscript"),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "optuna": ("optuna", "sqlalchemy"),
    "parquet": ("pyarrow",),
    "ray": ("ray",),
    "slurm": ("submitit",),
    "trackio": ("trackio",),
}
"""Extra of rnnexp -> the packages that it installs."""


class UserError(Exception):
    """Bad input or an unusable path. The message says what, where and what to do; no traceback is shown."""

    exit_code = 2


class UnsupportedError(UserError):
    """This cell, device and precision cannot run together."""

    exit_code = 3


class DivergedError(UserError):
    """The loss or a gradient became NaN or infinite."""

    exit_code = 4


class PrunedError(UserError):
    """A search ended the run early, since other trials are better."""

    exit_code = 5


class InterruptedRunError(BaseException):
    """A signal stopped the run, which saved a checkpoint at a batch boundary if it was training.

    It is no Exception, like KeyboardInterrupt: what handles errors of a file, a library or a figure must not handle it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number


class SweepFailedError(UserError):
    """At least one job of a sweep failed or was interrupted; the others ended."""

    exit_code = 1


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if it has none.

    The second line is added if the first ends in a colon, as in Hydra's message about a failed import.
    """
    first, *rest = (str(error).strip() or type(error).__name__).splitlines()
    return f"{first} {rest[0].strip()}" if first.endswith(":") and rest else first


OUT_OF_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")
"""Parts of the messages of RuntimeErrors: of the CPU, of CUDA beside other processes, and of the libraries of CUDA."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory of the machine or of a GPU is exhausted."""
    # PyTorch's exceptions are compared by name, since this module must not import torch.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(part in str(error) for part in OUT_OF_MEMORY))
    )


def describe_out_of_memory(error: BaseException) -> str | None:
    """Return a line about exhausted memory that says what to do; None for any other error."""
    if not is_out_of_memory(error):
        return None
    return f"out of memory ({first_line(error)}): try a smaller data.batch_size or model, or fewer jobs at once"


@contextmanager
def left_out_on_error(what: str) -> Iterator[None]:
    """Log an error with its traceback instead of raising it, since the run is already trained and recorded."""
    try:
        yield
    except Exception as error:
        log.warning("%s: left out, because of %s: %s", what, type(error).__name__, first_line(error))
        log.debug("%s: left out", what, exc_info=True)


@contextmanager
def missing_extra_errors(what: str, *extras: str) -> Iterator[None]:
    """Convert a failed import of a package of an extra into a UserError with the command that installs it.

    Args:
        what: what needs the package, as the subject of the message.
        extras: the extras that may be missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        extra = next((name for name in extras if package in EXTRAS[name]), None)
        if extra is None:
            raise
        name = package.replace("_", "-")
        raise UserError(f'{what} needs {name}, which is not installed: pip install -e ".[{extra}]"') from None
