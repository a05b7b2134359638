"""torch.compile of one function for many kinds of arguments."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def many_compilations() -> Iterator[None]:
    """Return a context in which a function is compiled for each kind of its arguments, not at most 8, and silently."""
    # torch.compile of torch 2.11 has no argument for it.
    import torch._dynamo.config

    with torch._dynamo.config.patch(recompile_limit=1000), warnings.catch_warnings():
        # Advice to round products, and deprecated names that torch itself uses.
        warnings.simplefilter("ignore")
        yield
