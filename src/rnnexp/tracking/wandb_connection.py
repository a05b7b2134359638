"""Whether W&B can be reached, found out within seconds so that a run never waits for it."""

import os
import socket
from urllib.parse import urlsplit

import wandb

from rnnexp.arguments import choose

MODES = {"auto": "online if it can be", "online": "", "offline": "", "disabled": ""}


def choose_mode(requested: str, timeout_seconds: float) -> tuple[str, str]:
    """The mode for `wandb.init`, and why it is not online, or an empty string.

    Args:
        requested: auto, online, offline or disabled. `auto` obeys the variable WANDB_MODE, and goes offline without an
            account or where the server does not answer.
        timeout_seconds: how long the server may take to accept a connection.

    Raises:
        ValueError: for another mode.
    """
    choose("W&B mode", requested, MODES)
    if requested != "auto":
        return requested, ""
    if mode := os.environ.get("WANDB_MODE"):
        return mode, f"WANDB_MODE={mode}"
    if not wandb.login(prompt=False, verify=False):
        return "offline", "no W&B account is set up here"
    server = urlsplit(wandb.setup().settings.base_url)
    port = server.port or {"http": 80}.get(server.scheme, 443)
    # Behind a proxy only W&B's own client knows the way; its own limit of time holds then.
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy")):
        return "online", ""
    try:
        socket.create_connection((server.hostname or "", port), timeout=timeout_seconds).close()
    except OSError as error:
        return "offline", f"{server.hostname} cannot be reached ({error})"
    return "online", ""
