"""Keep freed memory in the process: passes over networks free and ask for the same megabytes again and again.

By default glibc returns large blocks to the kernel, which hands them back zeroed page by page: measured on two cores,
a quarter to a half of a pass's time. With a threshold of 32 MB for blocks of their own and no trimming, memory stays at
the peak of a pass instead of being asked for anew. Other systems' allocators are left alone.
"""

from __future__ import annotations

import ctypes
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_OWN_BLOCK = 32 << 20
_NEVER = (1 << 31) - 1


@cache
def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep what is freed, for this process and from now on; False where there is none."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
