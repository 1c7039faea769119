"""Dates and places on their way from a batch to a model: how they are called, and which backbones take them."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from geocompose.errors import UserError

T = TypeVar("T")

# What data and backbones call it: how batches and models do, and which key of the data gives it.
BATCH_KEYS = {"time": "temporal_coords", "location": "location_coords"}
DATA_KEYS = {"time": "data.dates", "location": "data.positions"}
WORDS = {"time": "dates", "location": "positions"}


def coordinates_of(batch: Mapping[str, T]) -> dict[str, T]:
    """Return what a batch has beside its images, as a model takes it by name."""
    return {key: batch[key] for key in BATCH_KEYS.values() if key in batch}


def check_taken(taken: Sequence[str] | None, backbone: str, given: Sequence[str]) -> None:
    """Refuse coordinates for a backbone that does not take them: whoever asked for them would not get them.

    taken: what it takes, any of `time` and `location`; None where it does not say so. backbone: its name, for messages.
    given: likewise, what the data gives.

    Raises:
        UserError: names the backbone, what it takes, and the key of the data.
    """
    for name in given:
        if name not in (taken or ()):
            words = " and ".join(WORDS[other] for other in taken or () if other in WORDS)
            takes = f"it takes {words}" if words else "it takes neither dates nor positions"
            # A backbone with that attribute can be told to take more.
            could = "" if taken is None else f" add {name} to backbone.coords_encoding,"
            raise UserError(
                f"The data gives {WORDS[name]} ({DATA_KEYS[name]}), and the backbone {backbone} takes none: {takes}. "
                f"Write {DATA_KEYS[name]}=null,{could} or choose a backbone that takes them, such as "
                "backbone=prithvi_eo_v2_tiny_tl."
            )


def left_off(taken: Sequence[str], given: Sequence[str]) -> str | None:
    """Return what to tell of coordinates that a backbone takes and the data does not give, or None."""
    off = [name for name in taken if name in WORDS and name not in given]
    if not off:
        return None
    words, keys = (" and ".join(texts[name] for name in off) for texts in (WORDS, DATA_KEYS))
    return f"The backbone takes {words}, but the data gives none ({keys}), so their encoding is off."
