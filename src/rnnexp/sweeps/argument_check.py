"""A check of the constructors' arguments of all jobs before the first one starts, in a process that has PyTorch."""

import os
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.core.user_code import describe_user_code
from rnnexp.sweeps.process.forkserver import ask
from rnnexp.sweeps.process.watchdog import exit_with_parent

MAX_SECONDS = 300.0
"""The time after which the check is given up; the jobs themselves find what is left."""


def require_constructible_jobs(configs: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError for the first value that a constructor refuses, see `rnnexp.runs.arguments`.

    Args:
        configs: the resolved configs of the jobs.
    """
    try:
        problem = ask(_send_problem, configs, seconds=MAX_SECONDS)
    except (EOFError, TimeoutError):
        # The jobs report what kills the process.
        return
    if problem:
        raise UserError(problem)


def _send_problem(configs: Sequence[Mapping[str, Any]], sender: Connection) -> None:
    """Send the message of the first error; an empty one without an error. All output is discarded."""
    exit_with_parent()
    with open(os.devnull, "w", encoding="utf-8") as devnull:  # noqa: PTH123 (not a file)
        os.dup2(devnull.fileno(), 1)
        os.dup2(devnull.fileno(), 2)
    # This module imports torch, which the process of the sweep does not need.
    from rnnexp.runs.arguments import require_constructible

    problem = ""
    try:
        require_constructible(configs)
    except UserError as error:
        problem = str(error)
    except Exception as error:
        problem = describe_user_code(error) or ""
    finally:
        sender.send(problem)
