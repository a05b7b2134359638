"""The imports of a run. Only the fork server of a sweep imports this module."""

import os

# Threads do not survive a fork, and OpenBLAS would start threads when NumPy is imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import rnnexp.cli.main
import rnnexp.compat.torchmetrics  # before any import of Lightning
import rnnexp.runs.figures
import rnnexp.runs.stages  # noqa: F401
