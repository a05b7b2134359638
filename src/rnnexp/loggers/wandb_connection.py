"""The mode of W&B: online only if its server can be reached."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import wandb

from rnnexp.core.validation import validate_choice
from rnnexp.loggers.connection import connection_error

MODES = ("auto", "online", "offline", "disabled")
MODES_OF_WANDB = ("online", "offline", "disabled", "shared", "dryrun", "run")
"""The values of WANDB_MODE that W&B accepts."""
OLD_NAMES = {"run": "online", "dryrun": "offline"}
"""Names of modes that W&B still accepts."""


def choose_mode(requested: str, timeout_seconds: float) -> tuple[str, str]:
    """Return the mode for `wandb.init`, and the reason if it is not online, else an empty string.

    Args:
        requested: auto, online, offline or disabled. `auto` is the variable WANDB_MODE if it is set; else online, or
            offline without an account or an answer of the server.
        timeout_seconds: how long to wait for the server.

    Raises:
        ValueError: for an unknown mode, also one in WANDB_MODE.
    """
    validate_choice("W&B mode", requested, MODES)
    _provide_home()
    if requested != "auto":
        return requested, ""
    if mode := os.environ.get("WANDB_MODE"):
        validate_choice("WANDB_MODE", mode, MODES_OF_WANDB)
        return OLD_NAMES.get(mode, mode), f"WANDB_MODE={mode}"
    # verify=False: W&B would query the server for the user, with a timeout of its own.
    wandb.setup(settings=wandb.Settings(silent=True))
    if not wandb.login(prompt=False, verify=False):
        return "offline", "no W&B account is set up here"
    server = str(wandb.setup().settings.base_url)
    if reason := connection_error(server, timeout_seconds):
        return "offline", f"{urlsplit(server).hostname} cannot be reached ({reason})"
    return "online", ""


def _provide_home() -> None:
    """Set HOME if there is no home directory. W&B looks for its settings below it, and fails without one."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/nonexistent"
