"""Imports of a run from its beginning to its end. Only the fork server of a sweep imports this module."""

import os

# Threads do not survive a fork, and the matrix library of NumPy would start some when it is imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import rnnexp.cli.main
import rnnexp.compat.torchmetrics  # before all that imports Lightning
import rnnexp.runs.figures
import rnnexp.runs.stages  # noqa: F401
