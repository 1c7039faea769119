"""Dates and places on their way from a batch to a model: how they are called, and which backbones take them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from geocompose.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

# What data and backbones call it: how batches and models do, and which key of the data gives it.
BATCH_KEYS = {"time": "temporal_coords", "location": "location_coords"}
DATA_KEYS = {"time": "data.dates", "location": "data.positions"}
WORDS = {"time": "dates", "location": "positions"}


def coordinates_of(batch: Mapping[str, Any]) -> "dict[str, Tensor]":
    """Return what a batch has beside its images, as a model takes it by name."""
    return {key: batch[key] for key in BATCH_KEYS.values() if key in batch}


def check_taken(encoder: "nn.Module", backbone: str, given: Sequence[str]) -> None:
    """Refuse coordinates for a backbone that does not take them: whoever asked for them would not get them.

    given: any of `time` and `location`.

    Raises:
        UserError: names the backbone, what it takes, and the key of the data.
    """
    taken = list(getattr(encoder, "coords_encoding", None) or ())
    for name in given:
        if name not in taken:
            words = " and ".join(WORDS[other] for other in taken if other in WORDS)
            takes = f"it takes {words}" if words else "it takes neither dates nor positions"
            # Some backbones can be told to.
            could = f" add {name} to backbone.coords_encoding," if hasattr(encoder, "coords_encoding") else ""
            raise UserError(
                f"The data gives {WORDS[name]} ({DATA_KEYS[name]}), and the backbone {backbone} takes none: {takes}. "
                f"Write {DATA_KEYS[name]}=null,{could} or choose a backbone that takes them, such as "
                "backbone=prithvi_eo_v2_tiny_tl."
            )


def left_off(encoder: "nn.Module", given: Sequence[str]) -> str | None:
    """Return what to tell of coordinates that a backbone takes and the data does not give; None where there are none."""
    off = [name for name in getattr(encoder, "coords_encoding", None) or () if name in WORDS and name not in given]
    if not off:
        return None
    words, keys = (" and ".join(texts[name] for name in off) for texts in (WORDS, DATA_KEYS))
    return f"The backbone takes {words}, and the data gives none ({keys}): that encoding is off."
