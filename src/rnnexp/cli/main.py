"""The entry point of every program: Hydra's command line, error messages of one line, and exit codes.

Nothing here imports torch, so that --help and --cfg job are fast; a program imports what it needs when it runs.
"""

import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rnnexp.cli.arguments import normalize_arguments
from rnnexp.cli.checks import validate_config
from rnnexp.cli.conf_dir import config_root, shared_options
from rnnexp.cli.config_files import only_config_file, parse, read_text
from rnnexp.cli.messages import Explanation, explain_composing, explain_running
from rnnexp.cli.run_name import register_run_name
from rnnexp.compat.hydra import FULL_ERROR, full_error, raise_errors_of_multirun_config, read_config_files_with
from rnnexp.compat.torchmetrics import hide_large_packages
from rnnexp.core.errors import InterruptedRunError
from rnnexp.core.output import hide_advice_of_matplotlib, keep_running_without_output
from rnnexp.core.printable import MOST_OF_MESSAGE, shown, without_secrets
from rnnexp.core.socket_directory import use_short_socket_directory
from rnnexp.core.user_modules import add_working_directory
from rnnexp.core.utf8 import require_utf8
from rnnexp.tracking.environment import describe_version

INTERNAL_ERROR, INTERRUPTED = 1, 130

_users_full_error: str | None = None
"""The value of HYDRA_FULL_ERROR at the start of the program; within Hydra the variable is 1."""


def run_program(
    config_name: str, program: Callable[[DictConfig], int | None], *, prints_result: bool = False
) -> NoReturn:
    """Compose the config from the command line, run the program with it, and end the process.

    With `-m` and Hydra's own launcher every job runs, also after one that failed: each failure is reported when it
    happens, with the overrides of its job, and the process ends with the highest exit code of all jobs. Only a signal
    stops the remaining jobs.

    Args:
        config_name: the primary config in `config_root()`, without .yaml.
        program: a function of the composed config that returns the exit code; None is 0.
        prints_result: whether standard output is the result, so that the program ends if nobody reads it. Any other
            program goes on, since its results are in files.
    """
    global _users_full_error
    require_utf8()
    if not prints_result:
        keep_running_without_output()
    hide_large_packages()
    hide_advice_of_matplotlib()
    use_short_socket_directory()
    register_run_name()
    read_config_files_with(read_text, parse, hidden=shared_options(), only_file=only_config_file)
    raise_errors_of_multirun_config()
    _users_full_error = os.environ.get(FULL_ERROR)
    exit_codes: list[int] = []

    # Hydra reads the name of the job and its module from the wrapped function.
    @functools.wraps(program)
    def job(config: DictConfig) -> None:
        with full_error(_users_full_error):
            exit_codes.append(_run_job(program, config, config_name))
        if exit_codes[-1] >= 128:
            # A signal to one job of a multirun ends all of them. Hydra would catch an ordinary exception.
            sys.exit(exit_codes[-1])

    try:
        add_working_directory()
        if "--version" in sys.argv[1:]:
            print(describe_version())
            sys.exit(0)
        sys.argv[1:] = normalize_arguments(sys.argv[1:])
        with full_error("1"):
            hydra.main(version_base="1.3", config_path=str(config_root()), config_name=config_name)(job)()
    except KeyboardInterrupt:
        print("rnnexp: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except (Exception, InterruptedRunError) as error:
        exit_codes.append(_report(error, explain_composing(error, config_name)))
    sys.exit(max(exit_codes, default=0))


def report_error(error: Exception | InterruptedRunError, outputs: str, prefix: str = "") -> int:
    """Print the line of an error of a program that ran, or the traceback of an internal error. Return the exit code.

    Args:
        error: the exception.
        outputs: see `rnnexp.cli.messages.explain_running`.
        prefix: what the line begins with.
    """
    return _report(error, explain_running(error, outputs), prefix)


def full_error_of_user() -> str:
    """Return HYDRA_FULL_ERROR as the user set it, for the processes that a program starts; empty if it was not set."""
    return _users_full_error or ""


def _run_job(program: Callable[[DictConfig], int | None], config: DictConfig, config_name: str) -> int:
    # Hydra has read the arguments, and loggers record them.
    sys.argv[:], sys.orig_argv[:] = map(without_secrets, sys.argv), map(without_secrets, sys.orig_argv)
    try:
        validate_config(config, config_name)
        return program(config) or 0
    except (Exception, InterruptedRunError) as error:
        return report_error(error, _outputs(config), _job_prefix())


def _report(error: Exception | InterruptedRunError, explanation: Explanation | None, prefix: str = "") -> int:
    """Print the line of an error of the user, or the traceback of an internal error. Return the exit code."""
    if explanation is None or os.environ.get(FULL_ERROR) == "1":
        print(without_secrets("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    elif explanation.traceback:
        print(without_secrets(explanation.traceback), end="", file=sys.stderr)
    if explanation is None:
        what = f"{type(error).__name__}: {error}"
        explanation = Explanation(f"internal error, please report it: {what}", INTERNAL_ERROR)
    print(f"rnnexp: {shown(prefix + explanation.line, MOST_OF_MESSAGE)}", file=sys.stderr)
    return explanation.exit_code


def _job_prefix() -> str:
    """Return the overrides of a job of a multirun; empty for a single run."""
    settings = HydraConfig.get()
    return f"{' '.join(settings.overrides.task)}: " if settings.mode == RunMode.MULTIRUN else ""


def _outputs(config: DictConfig) -> str:
    for key in ("paths.output_dir", "paths.outputs_dir"):
        if path := OmegaConf.select(config, key, throw_on_resolution_failure=False):
            return str(path)
    return "output directory"
