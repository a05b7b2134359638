"""UTF-8 for the whole process."""

import os
import sys


def require_utf8() -> None:
    """Start the process again in Python's UTF-8 mode if the locale cannot represent every text, such as LANG=C.

    A terminal or a pipe that was set to another encoding, with PYTHONIOENCODING, shows other letters as escapes.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 (this program)
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
