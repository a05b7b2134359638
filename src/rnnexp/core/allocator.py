"""The C library's allocator, which by default returns large freed blocks to the operating system.

A training step then faults the pages of its largest tensors in again, which can take as long as computing them.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""The parameters of glibc's mallopt, from malloc.h."""
LARGEST_RETAINED = 1 << 30
"""Larger blocks are still returned when they are freed, in bytes."""
MOST_RETAINED = (1 << 31) - 1
"""More free memory than this at the end of the heap is still returned, in bytes; the largest value of mallopt."""


def retain_freed_memory() -> bool:
    """Keep freed memory mapped in this process, so that later allocations find it without page faults.

    Returns:
        Whether the allocator supports it: glibc does, other C libraries are left as they are.
    """
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 (a symbol that only glibc has)
    except (AttributeError, OSError, TypeError):
        return False
    settings = {M_MMAP_THRESHOLD: LARGEST_RETAINED, M_TRIM_THRESHOLD: MOST_RETAINED}
    return all(library.mallopt(name, value) == 1 for name, value in settings.items())
