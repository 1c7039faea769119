"""What data gives a model: which bands, how large, how many frames, and what travels beside the pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Inputs:
    """What one sample of the data is, as a composition has to know it.

    bands: names of the image's channels, in their order; of one frame where there are several.
    tile_px: rows and columns of a sample. num_frames: time steps of a sample.
    coordinates: what is known of a sample beside its pixels: any of `time` (the date of each frame) and `location`.
    """

    bands: tuple[str, ...]
    tile_px: int
    num_frames: int = 1
    coordinates: tuple[str, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """Return what a run's record keeps, as JSON knows it."""
        return {
            "bands": list(self.bands),
            "tile_px": self.tile_px,
            "num_frames": self.num_frames,
            "coordinates": list(self.coordinates),
        }

    @classmethod
    def from_record(cls, data: Mapping[str, Any]) -> "Inputs":
        """Return what a run's record says of its data; earlier records had one frame and no coordinates."""
        return cls(tuple(data["bands"]), data["tile_px"], data.get("num_frames", 1), tuple(data.get("coordinates", ())))
