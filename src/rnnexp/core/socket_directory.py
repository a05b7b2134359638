"""A short temporary directory for sockets. Operating systems allow about 100 bytes for the path of a socket."""

import os
import tempfile

MAX_LENGTH = 60
"""The longest temporary directory below which Python and PyTorch can make sockets; they add up to 40 characters."""
SHORT_DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 (unpredictable names are made below them)


def short_directory() -> str | None:
    """Return a directory for sockets if the path of TMPDIR is too long; None if it is not, or there is no other."""
    if len(os.fsencode(tempfile.gettempdir())) <= MAX_LENGTH:
        return None
    writable = (path for path in SHORT_DIRECTORIES if os.access(path, os.W_OK | os.X_OK))
    return next(writable, None)


def use_short_socket_directory() -> None:
    """Let multiprocessing make its sockets in a short directory. All other temporary files stay in TMPDIR."""
    if (directory := short_directory()) is None:
        return
    # A slow import that a short path does not need.
    from multiprocessing import util

    before = tempfile.tempdir
    tempfile.tempdir = directory
    try:
        # The first call makes the directory that the process keeps.
        util.get_temp_dir()
    finally:
        tempfile.tempdir = before
