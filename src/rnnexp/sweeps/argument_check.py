"""A check of the constructors' arguments of all jobs before the first one starts, in a process that has PyTorch."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.core.user_code import describe_user_code
from rnnexp.sweeps.process.forkserver import ask

MAX_SECONDS = 300.0
"""The time after which the check is given up; the jobs themselves find what is left."""


def require_constructible_jobs(configs: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError for the first value that a constructor refuses, see `rnnexp.runs.arguments`.

    Args:
        configs: the resolved configs of the jobs.
    """
    try:
        problem = ask(_find_problem, configs, seconds=MAX_SECONDS)
    except (EOFError, TimeoutError):
        # The jobs report what kills the process.
        return
    if problem:
        raise UserError(problem)


def _find_problem(configs: Sequence[Mapping[str, Any]]) -> str:
    """Return the message of the first error; an empty one without an error."""
    # This module imports torch, which the process of the sweep does not need.
    from rnnexp.runs.arguments import require_constructible

    try:
        require_constructible(configs)
    except UserError as error:
        return str(error)
    except Exception as error:
        return describe_user_code(error) or ""
    return ""
