"""The published Prithvi models as rows of a table, and the one builder for all encoders.

Source of sizes, files and statistics: the model cards ibm-nasa-geospatial/Prithvi-EO-* on the Hugging Face hub.
"""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from geocompose.backbones.band_names import band_names
from geocompose.backbones.checkpoints import download, read_state_dict, sha256
from geocompose.backbones.prithvi import COORDINATES, PrithviViT
from geocompose.backbones.prithvi_weights import encoder_part, load_weights
from geocompose.bands import HLS_BANDS, canonical
from geocompose.errors import UserError, choices
from geocompose.registry import BACKBONE_REGISTRY

log = logging.getLogger("geocompose")

HUB = "ibm-nasa-geospatial"
V1_STATISTICS = (775.0, 1081.0, 1229.0, 2497.0, 2204.0, 1611.0), (1282.0, 1270.0, 1399.0, 1368.0, 1292.0, 1155.0)
V2_STATISTICS = (1087.0, 1342.0, 1433.0, 2734.0, 1958.0, 1363.0), (2248.0, 2179.0, 2178.0, 1850.0, 1242.0, 1049.0)


@dataclass(frozen=True)
class Variant:
    """One published model. `statistics`: mean and standard deviation a band, reflectance x 10000, as in pretraining."""

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
        return list(COORDINATES) if self.coordinates else []


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


def published_statistics(row: Variant, bands: list[str]) -> tuple[list[float], list[float]] | None:
    """Return mean and standard deviation of these bands in pretraining, or None where one of them was not in it."""
    place = {name: index for index, name in enumerate(HLS_BANDS)}
    if any(canonical(name) not in place for name in bands):
        return None
    mean, std = ([values[place[canonical(name)]] for name in bands] for values in row.statistics)
    return mean, std


@dataclass(frozen=True)
class WeightFile:
    """A file of pretrained weights, and where it comes from."""

    path: Path
    source: str

    @property
    def origin(self) -> dict[str, str]:
        """What a run records of the weights: where they come from and the sha256 of the file."""
        return {"source": self.source, "sha256": sha256(self.path)}


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
    names = of_weights if bands is None else band_names("backbone.bands", bands)
    if in_chans is not None and in_chans != len(names):
        raise UserError(
            f"backbone.in_chans={in_chans}, but the backbone's bands are {len(names)}: {names}. Name the bands in "
            "backbone.bands and leave in_chans out."
        )
    return names, of_weights


def weight_file(variant: str, pretrained: bool, ckpt_path: str | None) -> WeightFile | None:
    """Return the file to load, from `ckpt_path` where given, else from the hub; or None for random weights.

    Raises:
        UserError: the variant was never published, or its file can't be had.
    """
    row = variant_named(variant)
    if ckpt_path is not None:
        return WeightFile(Path(ckpt_path), str(Path(ckpt_path)))
    if not pretrained:
        log.info("Backbone %s starts from random weights (backbone.pretrained=false).", variant)
        return None
    if row.repository is None or row.file is None:
        raise UserError(f"{variant} has no published weights; use backbone.pretrained=false or another variant.")
    return WeightFile(download(row.repository, row.file), f"{row.repository}/{row.file}")


def build_prithvi(
    variant: str = "prithvi_eo_v2_tiny_tl",
    pretrained: bool = False,
    ckpt_path: str | None = None,
    bands: list[str] | None = None,
    allow_random_bands: bool = False,
    pretrained_bands: list[str] | None = None,
    img_size: int | list[int] = 224,
    num_frames: int = 1,
    out_indices: list[int] | None = None,
    coords_encoding: list[str] | None = None,
    coords_scale_learn: bool | None = None,
    drop_path: float = 0.0,
    vpt: bool = False,
    vpt_n_tokens: int | None = None,
    vpt_dropout: float = 0.0,
    patch_size: int | list[int] | None = None,
    embed_dim: int | None = None,
    depth: int | None = None,
    num_heads: int | None = None,
    mlp_ratio: float = 4.0,
    in_chans: int | None = None,
    encoder_only: bool = True,
    vit_adapter: bool = False,
) -> PrithviViT:
    """Return a Prithvi encoder, with random or pretrained weights.

    variant: a row of `VARIANTS`; `embed_dim`, `depth`, `num_heads` and `patch_size` are the variant's where null.
    pretrained: load the published weights from the Hugging Face hub. ckpt_path: load a local file of the same layout
        instead.
    bands: input bands in their order; the weights' where null.
    allow_random_bands: consent to bands that the weights lack. pretrained_bands: the weights' bands, HLS where null.
    coords_encoding: any of `time`, `location`; the variant's where null. coords_scale_learn: likewise.
    vpt, vpt_n_tokens, vpt_dropout: learned prompts in each block, as `PrithviViT` describes them.
    in_chans, encoder_only, vit_adapter: names that TerraTorch's users write; they may only confirm what is so anyway.

    Raises:
        UserError: an unknown variant, a misspelt band, bands without weights and consent, weights that don't fit.
    """
    row = variant_named(variant)
    if vit_adapter:
        raise UserError(
            "backbone.vit_adapter is not supported. For a pyramid from Prithvi's layers use neck=auto, or "
            "LearnedInterpolateToPyramidal in a list of necks."
        )
    if not encoder_only:
        raise UserError(
            f"backbone.encoder_only=false: a backbone is an encoder. The masked autoencoder is the full model {variant}_mae."
        )
    names, of_weights = model_bands(bands, pretrained_bands, in_chans)
    model = PrithviViT(
        bands=names,
        embed_dim=row.embed_dim if embed_dim is None else embed_dim,
        depth=row.depth if depth is None else depth,
        num_heads=row.num_heads if num_heads is None else num_heads,
        img_size=img_size,
        patch_size=patch_size if patch_size is not None else (1, row.patch, row.patch),
        num_frames=num_frames,
        mlp_ratio=mlp_ratio,
        coords_encoding=row.coords_encoding if coords_encoding is None else coords_encoding,
        coords_scale_learn=row.coordinates if coords_scale_learn is None else coords_scale_learn,
        drop_path=drop_path,
        out_indices=out_indices,
        vpt=vpt,
        vpt_n_tokens=vpt_n_tokens,
        vpt_dropout=vpt_dropout,
    )
    model.pretraining_statistics = published_statistics(row, names)
    file = weight_file(variant, pretrained, ckpt_path)
    if file is not None:
        load_weights(
            model,
            encoder_part(read_state_dict(file.path)),
            bands=names,
            pretrained_bands=of_weights,
            allow_random_bands=allow_random_bands,
        )
        model.weights = file.origin
    return model


for _name in VARIANTS:
    BACKBONE_REGISTRY.register_as(_name, partial(build_prithvi, _name))
