"""From bands as a sensor measures them to an image that can be looked at."""

from collections.abc import Sequence

import numpy as np

from geocompose.imagery.bands import canonical

# The darkest and brightest share of pixels is clipped: a few clouds would leave the rest black.
_PERCENTILES = (2, 98)


def display_image(raw: np.ndarray, band_names: Sequence[str], valid: np.ndarray | None = None) -> np.ndarray:
    """Return `raw` as red, green and blue: float32 (3, H, W) in 0 ... 1, white where there is no data.

    Shows the bands RED, GREEN and BLUE where all are there, else the first three, else the first in grey. Each band is
    stretched from its 2nd to its 98th percentile.

    raw: (C, H, W) in any units.
    band_names: one per band, in any of the vocabulary's spellings.
    valid: (H, W), False where a pixel holds no data; NaN and infinite pixels never count.
    """
    assert len(band_names) == len(raw), f"{len(band_names)} names for {len(raw)} bands"
    shown = raw[_bands_to_show(band_names)].astype(np.float32)
    seen = np.isfinite(shown).all(axis=0)
    if valid is not None:
        seen &= valid
    image = np.ones((3, *raw.shape[1:]), dtype=np.float32)
    if seen.any():
        for target, band in zip(image, shown, strict=True):
            low, high = np.percentile(band[seen], _PERCENTILES)
            stretched = (band[seen] - low) / (high - low) if high > low else np.full(int(seen.sum()), 0.5)
            target[seen] = np.clip(stretched, 0, 1)
    return image


def how_shown(band_names: Sequence[str], num_frames: int = 1) -> str:
    """Return in two short lines which bands `display_image` shows, and how they are stretched.

    num_frames: of the image, of which the first is shown.
    """
    chosen = [band_names[place] for place in dict.fromkeys(_bands_to_show(band_names))]
    of_frames = f", first of {num_frames} frames" if num_frames > 1 else ""
    low, high = _PERCENTILES
    # Of unusual names dollars would begin a formula of matplotlib's.
    named = ", ".join(chosen).replace("$", r"\$")
    return f"{named}{of_frames}\nstretched from {low} % to {high} %"


def _bands_to_show(band_names: Sequence[str]) -> list[int]:
    place = {canonical(name): index for index, name in enumerate(band_names)}
    if {"RED", "GREEN", "BLUE"} <= place.keys():
        return [place["RED"], place["GREEN"], place["BLUE"]]
    return [0, 1, 2] if len(band_names) >= 3 else [0, 0, 0]
