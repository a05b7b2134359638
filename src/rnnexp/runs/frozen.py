"""A job that was composed once, frozen into its run directory and started again from there."""

import re
import sys
from pathlib import Path
from typing import Any


def frozen_command(run_dir: Path, module: str = "rnnexp.train") -> list[str]:
    """The command that runs a program with the config.yaml of a run directory as it stands.

    No defaults and no overrides join it, and Hydra adds no directory, no file and no logging of its own.

    Args:
        run_dir: holds config.yaml: every value resolved, and `escape_interpolations`.
        module: the program, as after `python -m`.
    """
    return [
        *(sys.executable, "-m", module),
        # Hydra would look for a relative path beside the source of the program.
        *("--config-path", str(run_dir.absolute()), "--config-name", "config"),
        *("hydra/job_logging=none", "hydra/hydra_logging=none"),
        *("hydra.run.dir=.", "hydra.output_subdir=null", "hydra.job.chdir=false"),
    ]


def escape_interpolations(value: Any) -> Any:  # noqa: ANN401
    r"""Resolved values as a config file must hold them to be read back unchanged: `${` becomes `\${`, at any depth."""
    if isinstance(value, dict):
        return {key: escape_interpolations(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escape_interpolations(item) for item in value]
    if isinstance(value, str):
        # Only before an interpolation is a backslash special, and there it is doubled.
        return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", value)
    return value
