"""Whether W&B can be reached, found out within seconds so that a run never waits for it."""

import http.client
import os
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import wandb

from rnnexp.core.validation import validate_choice

MODES = {"auto": "online if it can be", "online": "", "offline": "", "disabled": ""}


def choose_mode(requested: str, timeout_seconds: float) -> tuple[str, str]:
    """The mode for `wandb.init`, and why it is not online, or an empty string.

    Args:
        requested: auto, online, offline or disabled. `auto` obeys the variable WANDB_MODE, and goes offline without an
            account or where the server does not answer.
        timeout_seconds: how long the server may be silent.

    Raises:
        ValueError: for another mode.
    """
    validate_choice("W&B mode", requested, MODES)
    if requested != "auto":
        return requested, ""
    if mode := os.environ.get("WANDB_MODE"):
        return mode, f"WANDB_MODE={mode}"
    # To say who is logged in, W&B would ask the server, with a patience of its own.
    wandb.setup(settings=wandb.Settings(silent=True))
    if not wandb.login(prompt=False, verify=False):
        return "offline", "no W&B account is set up here"
    server = str(wandb.setup().settings.base_url)
    if silence := _silence(server, timeout_seconds):
        return "offline", f"{urlsplit(server).hostname} cannot be reached ({silence})"
    return "online", ""


def _silence(address: str, timeout_seconds: float) -> str:
    """Why an HTTP server does not answer, through the user's proxy if there is one; empty if it answers anything."""
    try:
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310 (W&B's own setting)
        urllib.request.urlopen(request, timeout=timeout_seconds).close()  # noqa: S310
    except urllib.error.HTTPError:
        return ""
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        # W&B's client may trust certificates that Python does not know.
        return "" if isinstance(reason, ssl.SSLError) else str(reason) or type(reason).__name__
    return ""
