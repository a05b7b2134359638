"""The messages of a run: short ones on standard output, all of them in the log file of the run."""

import errno
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType

from rnnexp.core.files.bounded_log import drop_middle
from rnnexp.core.printable import MOST_OF_MESSAGE, printable, without_secrets

log = logging.getLogger(__name__)


class PlainFormatter(logging.Formatter):
    """A formatter of messages without secrets and without characters that control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        lines = without_secrets(super().format(record)).split("\n")
        return "\n".join(printable(line, MOST_OF_MESSAGE) for line in lines)


class BoundedHandler(logging.FileHandler):
    """A handler that drops the middle of its file when the file is too long."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        drop_middle(Path(self.baseFilename))


@contextmanager
def logged_to(path: Path, *, is_needed: bool = True) -> Iterator[None]:
    """Send messages within the block to standard output, and with their times and Lightning's messages to a file.

    Args:
        path: the file.
        is_needed: whether a file that cannot be written is an error. Otherwise it is left out with a warning, since the
            run of somebody else may be read-only.
    """
    file: logging.Handler
    try:
        file = BoundedHandler(path, encoding="utf-8")
    except OSError as error:
        if is_needed or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        print(f"rnnexp: not logged: {printable(str(path))}: {error.strerror}", file=sys.stderr)
        file = logging.NullHandler()
    file.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    screen = logging.StreamHandler(Console().file)
    screen.setLevel(logging.INFO)
    screen.setFormatter(PlainFormatter("%(message)s"))
    package, lightning, caught = (logging.getLogger(name) for name in ("rnnexp", "lightning", "py.warnings"))
    children = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    handlers: dict[logging.Logger, list[logging.Handler]] = {
        package: [file, screen],
        lightning: [file],
        caught: [file, screen],
        **{child: [] for child in children},
    }
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in handlers]
    for logger, added in handlers.items():
        logger.handlers[:] = added
        logger.propagate = logger in children
    package.setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            # Lightning calls deprecated functions of torch, which a user cannot change.
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"lightning\.")
            yield
    finally:
        logging.captureWarnings(False)
        for logger, previous, level, propagate in before:
            logger.handlers[:] = previous
            logger.setLevel(level)
            logger.propagate = propagate
        file.close()


def show(renderable: RenderableType) -> None:
    """Print a panel or table, and write it to the log as plain text."""
    Console().print(renderable)
    plain = Console(width=100, no_color=True, force_terminal=False)
    with plain.capture() as captured:
        plain.print(renderable)
    log.debug("\n%s", captured.get().rstrip())
