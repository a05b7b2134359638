"""The one face of every program: Hydra's command line, one line for what the user can mend, true exit codes.

Nothing here imports torch: --help and --cfg job answer at once, and the program imports what it needs when it runs.
"""

import functools
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rnnexp.cli.conf_dir import config_root
from rnnexp.cli.messages import Explanation, explain_composing, explain_running
from rnnexp.core.errors import UserError

BUG, INTERRUPTED = 1, 130
ONE_OF = ("task", "data", "model", "optimizer", "scheduler", "trainer")
"""Groups of which a run has one option; of callbacks, say, it may have several."""
PLACES = {"hydra.run.dir": "paths.output_dir", "hydra.sweep.dir": "sweep_dir", "hydra.sweep.subdir": "sweep_dir"}
"""Keys with which other programs of Hydra name directories, and ours for them."""
_full_error_before: list[str | None] = []


def run_program(config_name: str, program: Callable[[DictConfig], int | None]) -> NoReturn:
    """Composes the config that the command line asks for, runs the program with it and ends the process.

    With `-m` every job runs, also after one that failed: each failure is told when it happens, with the overrides of
    its job, and the highest exit code of all jobs is the process's. Only a signal stops the jobs still to come.

    Args:
        config_name: the primary config in `config_root()`, without .yaml.
        program: gets the composed config; its result is the exit code, None is 0.
    """
    # Left as the user set it for the program and its children; within Hydra it makes errors arrive here, unprinted.
    full_error = os.environ.get("HYDRA_FULL_ERROR")
    exit_codes: list[int] = []

    # Hydra takes the name of the job and its module from the wrapped function.
    @functools.wraps(program)
    def job(config: DictConfig) -> None:
        with _full_error(full_error):
            exit_codes.append(_run_job(program, config))
        if exit_codes[-1] >= 128:
            # Whoever interrupts one job of a multirun means all of it, and Hydra holds back any ordinary exception.
            sys.exit(exit_codes[-1])

    if not {"", str(Path.cwd())} & set(sys.path):
        # `python -m` puts it there, a console script does not: a cell of the user's own is imported from it.
        sys.path.insert(0, str(Path.cwd()))
    try:
        sys.argv[1:] = _understood(sys.argv[1:])
        with _full_error("1"):
            hydra.main(version_base="1.3", config_path=str(config_root()), config_name=config_name)(job)()
    except KeyboardInterrupt:
        print("rnnexp: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        exit_codes.append(_report(error, explain_composing(error)))
    sys.exit(max(exit_codes, default=0))


def _understood(typed: Sequence[str]) -> list[str]:
    """The arguments, with the home directory where a value begins with `~/`, which a shell leaves as it is there.

    Raises:
        UserError: for a key of Hydra's that nothing here obeys.
    """
    for argument in typed:
        key, _, value = argument.lstrip("+").partition("=")
        if key in PLACES and value != ".":
            raise UserError(f"{key}= has no effect here: name the place with {PLACES[key]}=")
    return [re.sub(r"^([\w./+]+=['\"]{0,2})~(?=/)", rf"\1{Path.home()}", argument) for argument in typed]


def require_one_of_each(config: DictConfig, choices: Mapping[str, object]) -> None:
    """Raises UserError where a list was chosen of which a run can have one alone: it would be merged to something else.

    Args:
        choices: Hydra's, by group; a list is not among them.
    """
    for group in ONE_OF if "paths" in choices else ():
        if group not in choices and group in config:
            raise UserError(f"{group}=[...] is a list, and a run has one {group}: name one, or several with -m")


@contextmanager
def _full_error(value: str | None) -> Iterator[None]:
    before = os.environ.get("HYDRA_FULL_ERROR")
    _full_error_before.append(before)
    _set_full_error(value)
    try:
        yield
    finally:
        _full_error_before.pop()
        _set_full_error(before)


def full_error_of_user() -> str:
    """HYDRA_FULL_ERROR as it was set before this program began; empty if it was not."""
    return (_full_error_before[0] if _full_error_before else os.environ.get("HYDRA_FULL_ERROR")) or ""


def _set_full_error(value: str | None) -> None:
    if value is None:
        os.environ.pop("HYDRA_FULL_ERROR", None)
    else:
        os.environ["HYDRA_FULL_ERROR"] = value


def _run_job(program: Callable[[DictConfig], int | None], config: DictConfig) -> int:
    try:
        require_one_of_each(config, HydraConfig.get().runtime.choices)
        return program(config) or 0
    except Exception as error:
        return _report(error, explain_running(error, outputs=_outputs(config)), _job_name())


def _report(error: Exception, explanation: Explanation | None, job_name: str = "") -> int:
    """Prints the one line, or the traceback of a bug. Returns the exit code."""
    if explanation is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    if explanation is None:
        explanation = Explanation(f"a bug, {type(error).__name__}: {error}", BUG)
    print(f"rnnexp: {job_name}{explanation.line}", file=sys.stderr)
    return explanation.exit_code


def _job_name() -> str:
    """Which of several jobs speaks; empty if there is but one."""
    settings = HydraConfig.get()
    return f"{' '.join(settings.overrides.task)}: " if settings.mode == RunMode.MULTIRUN else ""


def _outputs(config: DictConfig) -> str:
    for key in ("paths.output_dir", "paths.outputs_dir"):
        if place := OmegaConf.select(config, key, throw_on_resolution_failure=False):
            return str(place)
    return "output directory"
