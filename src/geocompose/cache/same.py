"""Whether features are what the backbone returns now."""

from collections.abc import Sequence

from torch import Tensor

SAME = 1e-3  # largest difference, in deviations of a layer: batches of another size differ by a hundredth of it
SAME_ROUNDED = 1e-2  # of features that were kept as fp16


def differing(kept: Sequence[Tensor], now: Sequence[Tensor], dtype: str) -> int | None:
    """Return the place of the first layer that differs, of two lists of features of one sample; None: they are alike.

    dtype: fp32 or fp16, as they were kept.
    """
    most = SAME if dtype == "fp32" else SAME_ROUNDED
    for place, (one, other) in enumerate(zip(kept, now, strict=True)):
        if one.shape != other.shape:
            return place
        scale = float(other.float().std()) if other.numel() > 1 else 1.0
        if float((one.float() - other.float()).abs().max()) > most * max(scale, 1e-12):
            return place
    return None
