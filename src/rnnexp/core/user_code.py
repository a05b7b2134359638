"""Errors in the user's own code: cells, callbacks and other classes that a config names."""

import traceback
from collections.abc import Iterator
from pathlib import Path

from rnnexp.core.errors import BAD_PLACES, InterruptedRunError, UserError, first_line, is_out_of_memory
from rnnexp.core.user_modules import PACKAGE, is_own


def describe_user_code(error: BaseException) -> str | None:
    """Return `my_cells.py:12 in step: RuntimeError: ...` for an error in code of the user that rnnexp has called.

    Returns:
        File, line, function and error in one line; None for an error that a message of rnnexp describes, and for one
        outside the user's code.
    """
    for each, frames in _own_frames(error):
        is_of_machine = is_out_of_memory(each) or (isinstance(each, OSError) and each.errno in BAD_PLACES)
        if is_of_machine or isinstance(each, UserError | InterruptedRunError | KeyboardInterrupt | SystemExit):
            return None
        name = type(each).__name__
        if isinstance(each, SyntaxError) and each.filename and _is_own_file(each.filename):
            return f"{_short(each.filename)}:{each.lineno}: {name}: {each.msg}"
        if frames:
            last = frames[-1]
            where = "" if last.name == "<module>" else f" in {last.name}"
            return f"{_short(last.filename)}:{last.lineno}{where}: {name}: {first_line(each)}"
    return None


def own_traceback(error: BaseException) -> str:
    """Return the part of the traceback that is in the user's code, as Python prints it; empty without such a part."""
    lines = traceback.format_list([frame for _, frames in _own_frames(error) for frame in frames])
    return "".join(["Traceback of your code (most recent call last):\n", *lines]) if lines else ""


def _own_frames(error: BaseException) -> Iterator[tuple[BaseException, list[traceback.FrameSummary]]]:
    """Yield an error and those that it was raised from, each with its frames in the user's files, the innermost last.

    Only frames that rnnexp has called count: a script of the user may call rnnexp.
    """
    current: BaseException | None = error
    is_called = False
    while current is not None:
        own = []
        for frame in traceback.extract_tb(current.__traceback__):
            is_called = is_called or Path(frame.filename).is_relative_to(PACKAGE)
            if is_called and _is_own_file(frame.filename):
                own.append(frame)
        yield current, own
        current = current.__cause__


def _is_own_file(name: str) -> bool:
    return Path(name).is_absolute() and is_own(Path(name))


def _short(name: str) -> str:
    """Return a path relative to the working directory if it is below it."""
    path = Path(name)
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
