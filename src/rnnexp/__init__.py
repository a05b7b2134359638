"""Which recurrent network, how deep, in which direction, at which precision? Answered with evidence."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__version__ = "0.1.0"


def load(run: str | Path, weights: str | None = None, trust: Sequence[str] = ()) -> Any:  # noqa: ANN401
    """Return the trained network of a finished run, from its directory alone.

    Neither Lightning nor Hydra nor W&B is imported. The type of the result depends on the task of the run: a
    `Classifier`, `Tagger`, `Regressor` or `SentencePredictor` of `rnnexp.tasks`.

    Example:
        >>> model = rnnexp.load("outputs/train/...")
        >>> model.predict(images)  # or model.translate(["..."])
        [7, 2, 1]
        >>> state = model.start()
        >>> y, state = model.step(x_t, state)

    Args:
        run: the run directory.
        weights: `best`, `last` or `average`; None for the weights that the run tested.
        trust: modules of your own that the run's config may name, `["my_cells"]`.

    Returns:
        The predictor; its `module` is the network in evaluation mode, on the CPU.

    Raises:
        UserError: for a directory that is not a run, and weights that are missing, damaged or of another run.
    """
    # Imported here, since `import rnnexp` must not import torch.
    from rnnexp.inference.loading import load_predictor

    return load_predictor(run, weights, trust)


if sys.argv[:1] == ["-m"]:
    # Python still looks for the module of `python -m rnnexp.train`: this process is a program, and its imports follow.
    from rnnexp.core.signals import end_in_one_line_after_ctrl_c

    end_in_one_line_after_ctrl_c()
