"""The commands that start and continue a run from the config in its directory."""

import shlex
import sys
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.validation import quote_override
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
    """Return the command line with which a user continues a run."""
    # Imports torch, which this process has imported.
    from rnnexp.runs.frozen.config import untrusted_modules

    try:
        modules = untrusted_modules(run.read_unverified_config())
    except (UserError, OSError):
        modules = []
    trust = [shlex.quote(f"trust=[{','.join(modules)}]")] if modules else []
    return " ".join(["python -m rnnexp.train", quote_override("resume", run.path), *trust])
