"""The lock on a directory of data."""

import errno
import fcntl
from pathlib import Path

import pytest
from filelock import SoftFileLock, Timeout

from rnnexp.core.errors import UserError
from rnnexp.data.files.lock import lock_directory


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EINVAL])
def test_a_file_is_the_lock_where_the_file_system_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with lock_directory(tmp_path / "data", "fetching"):
        (lock,) = (tmp_path / "data").glob(".soft_lock")
        with pytest.raises(Timeout):
            SoftFileLock(lock, is_singleton=False).acquire(timeout=0)
    with lock_directory(tmp_path / "data", "fetching"):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/data: cannot be written to \(Not a directory\): .* data\.root="):
        lock_directory(tmp_path / "file" / "data", "fetching")
