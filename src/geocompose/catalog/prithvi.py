"""The published Prithvi models as rows of a table: sizes, files, and what their weights have seen. Needs no torch.

Source of sizes, files and statistics: the model cards ibm-nasa-geospatial/Prithvi-EO-* on the Hugging Face hub.
"""

from dataclasses import dataclass, replace

from geocompose.errors import UserError, choices
from geocompose.imagery.bands import HLS_BANDS, band_names
from geocompose.imagery.coordinates import BATCH_KEYS
from geocompose.imagery.numbered_bands import channel_names
from geocompose.imagery.pretraining import Pretraining

HUB = "ibm-nasa-geospatial"
V1_STATISTICS = (775.0, 1081.0, 1229.0, 2497.0, 2204.0, 1611.0), (1282.0, 1270.0, 1399.0, 1368.0, 1292.0, 1155.0)
V2_STATISTICS = (1087.0, 1342.0, 1433.0, 2734.0, 1958.0, 1363.0), (2248.0, 2179.0, 2178.0, 1850.0, 1242.0, 1049.0)


@dataclass(frozen=True)
class Variant:
    """One published model. `statistics`: mean and deviation per band, reflectance x 10000, as in pretraining."""

    embed_dim: int
    depth: int
    num_heads: int
    patch: int = 16
    coordinates: bool = False
    repository: str | None = None
    file: str | None = None
    statistics: tuple[tuple[float, ...], tuple[float, ...]] = V2_STATISTICS

    @property
    def coords_encoding(self) -> list[str]:
        """The coordinates that it was pretrained with."""
        return list(BATCH_KEYS) if self.coordinates else []


def _v2(
    size: str, embed_dim: int, depth: int, num_heads: int, *, patch: int = 16, coordinates: bool = False
) -> Variant:
    repository = f"{HUB}/Prithvi-EO-2.0-{size.replace('_', '-')}"
    return Variant(embed_dim, depth, num_heads, patch, coordinates, repository, f"Prithvi_EO_V2_{size}.pt")


VARIANTS = {
    "prithvi_eo_tiny": Variant(256, 4, 4),
    "prithvi_eo_v1_100": Variant(
        768, 12, 12, repository=f"{HUB}/Prithvi-EO-1.0-100M", file="Prithvi_EO_V1_100M.pt", statistics=V1_STATISTICS
    ),
    "prithvi_eo_v2_tiny_tl": _v2("tiny_TL", 192, 12, 3, coordinates=True),
    "prithvi_eo_v2_100_tl": _v2("100M_TL", 768, 12, 12, coordinates=True),
    "prithvi_eo_v2_300": _v2("300M", 1024, 24, 16),
    "prithvi_eo_v2_300_tl": _v2("300M_TL", 1024, 24, 16, coordinates=True),
    "prithvi_eo_v2_600": _v2("600M", 1280, 32, 16, patch=14),
    "prithvi_eo_v2_600_tl": _v2("600M_TL", 1280, 32, 16, patch=14, coordinates=True),
}


def published_pretraining(row: Variant) -> Pretraining:
    """Return what a variant's published weights have seen: HLS, which is surface reflectance x 10000."""
    return Pretraining(HLS_BANDS, "reflectance_1e4", "BOA", *row.statistics)


def pretraining_of(row: Variant, of_weights: list[str]) -> Pretraining:
    """Return what weights for these bands have seen; of bands that were never published, only the names are known."""
    published = published_pretraining(row)
    numbers = published.statistics(of_weights)
    if numbers is None:
        return Pretraining(tuple(of_weights))
    return replace(published, bands=tuple(of_weights), mean=tuple(numbers[0]), std=tuple(numbers[1]))


def variant_named(variant: str) -> Variant:
    """Return a row of `VARIANTS`.

    Raises:
        UserError: there is none of this name.
    """
    if variant not in VARIANTS:
        raise UserError(f"There is no Prithvi variant {variant!r}. {choices(variant, VARIANTS)}")
    return VARIANTS[variant]


def model_bands(
    bands: list[str] | None, pretrained_bands: list[str] | None, in_chans: int | None
) -> tuple[list[str], list[str]]:
    """Return the bands of the model and those of its weights: the weights' where `bands` is null, HLS where both are.

    Raises:
        UserError: a band is misspelt or named twice, or `in_chans` counts others.
    """
    of_weights = band_names("backbone.pretrained_bands", HLS_BANDS if pretrained_bands is None else pretrained_bands)
    names = of_weights if bands is None else channel_names("backbone.bands", bands)
    if in_chans is not None and in_chans != len(names):
        raise UserError(
            f"backbone.in_chans={in_chans}, but the backbone's bands are {len(names)}: {names}. Name the bands in "
            "backbone.bands and leave in_chans out."
        )
    return names, of_weights
