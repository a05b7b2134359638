"""A job that was composed once, started again from its run directory."""

import sys
from pathlib import Path


def frozen_command(run_dir: Path, module: str = "rnnexp.train") -> list[str]:
    """The command that runs a program with the config.yaml of a run directory and nothing else.

    The config is taken as it stands: no defaults, no overrides, not even this project's. Hydra adds no directory, no
    file and no logging; `HYDRA_FULL_ERROR` and the like come from the environment, as ever.

    Args:
        run_dir: holds config.yaml, resolved. A string in it that has `${` must have it escaped, as `\\${`.
        module: the program, as after `python -m`.
    """
    return [
        *(sys.executable, "-m", module),
        # Hydra reads a relative path as one beside the program's source.
        *("--config-path", str(run_dir.absolute()), "--config-name", "config"),
        *("hydra/job_logging=none", "hydra/hydra_logging=none"),
        *("hydra.run.dir=.", "hydra.output_subdir=null", "hydra.job.chdir=false"),
    ]
