"""Hand freed memory back to the system.

What decoding frees, the C library keeps for later: some 50 MiB that nothing asks for between two
contigs. Learning from a genome would come on top, with the compiler of its loops (numba, 110 MiB),
which is loaded then.

Example:
    release_freed_memory()
"""

from __future__ import annotations

import ctypes
import sys


def release_freed_memory() -> None:
    """Release the free pages of the heap, where the C library can (glibc); some milliseconds."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
