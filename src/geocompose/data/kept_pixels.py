"""How much memory decoded pixels may take where nobody says so. Free of torch."""

from geocompose.runs.machine import free_memory, num_cells

_SHARE = 4  # of the free memory, one part in so many: a model, its batches and what else runs need the rest
_UNKNOWN = 2**30  # where the system doesn't say how much is free


def memory_for_pixels() -> int:
    """Return how many bytes decoded pixels may take: a quarter of what is free, shared with a sweep's other cells."""
    free = free_memory()
    return _UNKNOWN if free is None else free // (_SHARE * num_cells())
