"""Where a search keeps its study: a file that processes append to, or a database."""

from pathlib import Path
from typing import TYPE_CHECKING

from rnnexp.errors import UserError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


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
        UserError: if it cannot be opened.
    """
    from optuna.exceptions import StorageInternalError
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.exc import SQLAlchemyError

    if "://" not in place:
        path = Path(place).expanduser().absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    try:
        return RDBStorage(place)
    except (ImportError, SQLAlchemyError, StorageInternalError) as error:
        # Not the URL, which may hold a password.
        raise UserError(f"hydra.sweeper.storage cannot be opened: {str(error).strip().splitlines()[0]}") from None
