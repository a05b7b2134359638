"""The storage of a study: a journal file or a database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.validation import expand_home, validate_choice

MODES = ("max", "min")
NUM_ATTEMPTS, SECONDS_TO_MAKE_TABLES = 4, 1.0
# A connection is closed after each use: an epoch uses it once or twice, and no study has an end at which to close it.
ENGINE = {"poolclass": NullPool}


def open_storage(place: str) -> BaseStorage:
    """Open the storage of `hydra.sweeper.storage`; it is created if it does not exist.

    Args:
        place: the URL of a database, `sqlite:///study.db`, or the path of a journal file.

    Raises:
        UserError: if it cannot be opened, or has another format.
    """
    if "://" in place:
        with storage_errors(place):
            for _ in range(NUM_ATTEMPTS - 1):
                try:
                    return RDBStorage(place, engine_kwargs=ENGINE)
                except DBAPIError:
                    # Another process may be creating the same tables.
                    time.sleep(SECONDS_TO_MAKE_TABLES)
            return RDBStorage(place, engine_kwargs=ENGINE)
    path = expand_home(place).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    except OSError as error:
        raise UserError(f"hydra.sweeper.storage={path} cannot be opened: {error.strerror}; name another") from None
    except (ValueError, KeyError) as error:
        raise UserError(
            f"hydra.sweeper.storage={path} is not a journal of Optuna, or is damaged ({error}): name another"
        ) from None


def require_no_password(place: str) -> None:
    """Require that the URL of a database contains no password, since it is recorded with the command and each run.

    Raises:
        UserError: if it contains one, or is not a URL.
    """
    if "://" not in place:
        return
    try:
        url = make_url(place)
    except (ArgumentError, ValueError):
        raise UserError(
            "hydra.sweeper.storage is not the URL of a database, dialect+driver://user@host:port/database"
        ) from None
    if url.password is not None or "password" in url.query:
        raise UserError(
            "hydra.sweeper.storage contains a password, which would be recorded with the command: leave it out of the "
            "URL, and set PGPASSWORD or write it into ~/.pgpass (for MySQL into the file of ?read_default_file=)"
        )


def require_direction(direction: str, monitor: str, mode: str) -> None:
    """Require that the direction of the study matches the mode of the metric that pruners compare.

    Args:
        direction: the direction of the study, `maximize` or `minimize`.
        monitor: the metric that is reported to pruners.
        mode: `max` if more of it is better, `min` if less is.

    Raises:
        UserError: if they do not match.
        ValueError: for another mode.
    """
    validate_choice("callbacks.pruning.mode", mode, MODES)
    if not direction.startswith(mode):
        raise UserError(
            f"callbacks: the pruner needs a metric to {direction} like the study, but the mode of {monitor} is {mode}: "
            "set callbacks.pruning.monitor= and callbacks.pruning.mode="
        )


@contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Convert an error of a database into a UserError without the URL, which may contain a password."""
    try:
        yield
    except (ImportError, SQLAlchemyError, StorageInternalError) as error:
        if "://" not in place:
            raise
        raise UserError(f"hydra.sweeper.storage cannot be used: {first_line(error)}") from None
