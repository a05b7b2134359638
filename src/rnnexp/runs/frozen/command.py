"""The commands that start and continue a run from the config in its directory."""

import shlex
import sys
from contextlib import suppress
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.validation import escape_interpolation, escape_quotes, quote_override
from rnnexp.tracking.run_directory import RunDirectory


def frozen_command(run_dir: Path, module: str = "rnnexp.train") -> list[str]:
    """Return the command that runs a program with the config.yaml of a run directory unchanged.

    Hydra adds no defaults, no overrides, no directory, no file and no logging of its own.

    Args:
        run_dir: the directory with config.yaml, see `rnnexp.tracking.config_file`.
        module: the program, as after `python -m`.
    """
    return [
        *(sys.executable, "-m", module),
        # Hydra would look for a relative path beside the source of the program.
        *("--config-path", str(run_dir.absolute()), "--config-name", "config"),
        *("hydra/job_logging=none", "hydra/hydra_logging=none"),
        *("hydra.run.dir=.", "hydra.output_subdir=null", "hydra.job.chdir=false"),
    ]


def resume_command(run: RunDirectory) -> str:
    """Return the command line with which the user of this process continues its run.

    It names what a config alone does not admit: modules of the user, and addresses to fetch data from.
    """
    # Imports torch, which this process has imported.
    from rnnexp.runs.frozen.config import untrusted_modules

    modules, mirrors = list[str](), list[str]()
    with suppress(UserError, OSError):
        config = run.read_unverified_config()
        modules, mirrors = untrusted_modules(config), config["data"].get("mirrors") or []
    trust = [shlex.quote(f"trust=[{','.join(modules)}]")] if modules else []
    addresses = ",".join(f"'{escape_quotes(escape_interpolation(address))}'" for address in mirrors)
    fetched = [shlex.quote(f"data.mirrors=[{addresses}]")] if mirrors else []
    return " ".join(["python -m rnnexp.train", quote_override("resume", run.path), *trust, *fetched])
