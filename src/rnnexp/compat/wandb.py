"""Start of a W&B run without W&B Launch.

`wandb.init` imports W&B Launch with the public API, which takes longer than the rest of the start, to ask whether the
program has registered inputs of a launched job. A program registers them through `wandb.sdk.launch`, so there are none
if that was never imported. No setting of W&B prevents the import.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

LAUNCH = "wandb.sdk.launch"


@contextmanager
def without_launch() -> Iterator[None]:
    """Keep `wandb.init` from importing W&B Launch within the block, unless the program has imported it."""
    from wandb.sdk.wandb_run import Run

    apply_inputs = Run._detect_and_apply_job_inputs

    def apply_registered_inputs(run: Run) -> None:
        if LAUNCH in sys.modules:
            apply_inputs(run)

    Run._detect_and_apply_job_inputs = apply_registered_inputs  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Run._detect_and_apply_job_inputs = apply_inputs  # type: ignore[method-assign]
