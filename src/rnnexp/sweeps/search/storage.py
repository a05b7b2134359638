"""Where a search keeps its study: a file that processes append to, or a database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rnnexp.core.errors import UserError
from rnnexp.core.validation import validate_choice

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

MODES = ("max", "min")
TIMES_TO_TRY, SECONDS_TO_MAKE_TABLES = 3, 1.0


def require_optuna() -> None:
    """Raises UserError if the extra that a search needs is not installed."""
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise UserError('a search needs Optuna, which is not installed: pip install "rnnexp[optuna]"') from None


def open_storage(place: str) -> "BaseStorage":
    """What `hydra.sweeper.storage` names, made if it is not there.

    Args:
        place: a URL of a database, `sqlite:///study.db`, or the path of a journal file.

    Raises:
        UserError: if it cannot be opened, or holds something else.
    """
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.exc import DBAPIError

    if "://" in place:
        with storage_errors(place):
            for _ in range(TIMES_TO_TRY):
                try:
                    return RDBStorage(place)
                except DBAPIError:
                    # Another process may be making the same tables.
                    time.sleep(SECONDS_TO_MAKE_TABLES)
            return RDBStorage(place)
    path = Path(place).expanduser().absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    except OSError as error:
        raise UserError(f"hydra.sweeper.storage={path} cannot be opened: {error.strerror}; name another") from None
    except (ValueError, KeyError) as error:
        raise UserError(
            f"hydra.sweeper.storage={path} is no journal of Optuna's, or a damaged one ({error}): name another"
        ) from None


def require_direction(direction: str, monitor: str, mode: str) -> None:
    """Checks that what pruners are told gets better where the study's metric does.

    Args:
        direction: of the study, `maximize` or `minimize`.
        monitor: the metric that is reported.
        mode: `max` or `min`, which of it is better.

    Raises:
        UserError: if it does not.
        ValueError: for another mode.
    """
    validate_choice("callbacks.pruning.mode", mode, MODES)
    if not direction.startswith(mode):
        raise UserError(
            f"callbacks: the study is to {direction}, but of {monitor}, which would be reported to its pruner, {mode} "
            "is the better: set callbacks.pruning.monitor= and callbacks.pruning.mode="
        )


@contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Turns what a database says into one line, without its URL, which may hold a password."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (ImportError, SQLAlchemyError, StorageInternalError) as error:
        if "://" not in place:
            raise
        raise UserError(f"hydra.sweeper.storage cannot be used: {str(error).strip().splitlines()[0]}") from None
