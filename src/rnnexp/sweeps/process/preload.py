"""The imports of a run. Only the fork server of a sweep imports this module."""

import importlib
import os

from rnnexp.compat.torchmetrics import hide_large_packages
from rnnexp.core.output import hide_advice_of_matplotlib

# Threads do not survive a fork, and OpenBLAS would start threads when NumPy is imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
hide_large_packages()
hide_advice_of_matplotlib()
for module in ("rnnexp.cli.main", "rnnexp.runs.arguments", "rnnexp.runs.figures", "rnnexp.runs.stages"):
    importlib.import_module(module)
