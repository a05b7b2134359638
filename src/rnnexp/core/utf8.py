"""UTF-8 for the whole process."""

import os
import sys


def require_utf8() -> None:
    """Start the process again in Python's UTF-8 mode if the locale cannot represent every text, such as LANG=C."""
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 (this program)
