"""Private names and texts of torch.distributed (2.11 to 2.14) that rnnexp uses."""

AGENT_STORE = {"TORCHELASTIC_USE_AGENT_STORE": "True"}
"""Environment of ranks that meet at a store of their parent.

The public way is that rank 0 opens the store at a port that was free when it was chosen, and may be taken by then.
"""
GLOO = "/gloo/"
"""A part of the source path in every message of Gloo, whose errors are plain RuntimeErrors."""


def is_lost_peer(error: BaseException) -> bool:
    """Return whether an error of a rank says that it cannot reach another rank, which has ended or been cut off."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or (isinstance(error, RuntimeError) and GLOO in str(error))
