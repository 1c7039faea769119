"""The one builder for all Prithvi encoders, random or with published weights."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from geocompose.backbones.foreign.files import download, origin, read_state_dict
from geocompose.backbones.prithvi.vit import PrithviViT
from geocompose.backbones.prithvi.weights import encoder_part, load_weights
from geocompose.catalog.prithvi import (
    VARIANTS,
    model_bands,
    pretraining_of,
    published_pretraining,
    variant_named,
)
from geocompose.errors import UserError
from geocompose.imagery.pretraining import of_own_file
from geocompose.registry import BACKBONE_REGISTRY

log = logging.getLogger("geocompose")


@dataclass(frozen=True)
class WeightFile:
    """A file of pretrained weights, and where it comes from."""

    path: Path
    source: str

    @property
    def origin(self) -> dict[str, str]:
        """What a run records of the weights: where they come from and the sha256 of the file."""
        return origin(self.path, self.source)


def weight_file(variant: str, pretrained: bool, ckpt_path: str | None) -> WeightFile | None:
    """Return the file to load, from `ckpt_path` where given, else from the hub; or None for random weights.

    On the meta device there is nothing to load, and None: shapes alone are built there.

    Raises:
        UserError: the variant has no published weights, or its file can't be downloaded.
    """
    row = variant_named(variant)
    if pretrained and ckpt_path is None and row.file is None:
        raise UserError(f"{variant} has no published weights; use backbone.pretrained=false or another variant.")
    if torch.get_default_device().type == "meta":
        return None
    if ckpt_path is not None:
        return WeightFile(Path(ckpt_path), str(Path(ckpt_path)))
    if not pretrained:
        log.info("Backbone %s starts from random weights (backbone.pretrained=false).", variant)
        return None
    assert row.repository is not None
    assert row.file is not None
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
    pretrained_on: dict[str, str | None] | None = None,
) -> PrithviViT:
    """Return a Prithvi encoder, with random or pretrained weights.

    variant: a row of `VARIANTS`; `embed_dim`, `depth`, `num_heads` and `patch_size` are the variant's where null.
    pretrained: load the published weights from the Hugging Face hub. ckpt_path: load a local file of the same layout
        instead.
    bands: input bands in their order; the weights' where null.
    allow_random_bands: consent to bands that the weights lack. pretrained_bands: the weights' bands, HLS where null.
    coords_encoding: any of `time`, `location`; the variant's where null. coords_scale_learn: likewise.
    pretrained_on: `unit` and `level` that the weights of `ckpt_path` have seen; the published weights' where it doesn't
        say.
    vpt, vpt_n_tokens, vpt_dropout: learned prompts in each block, as `PrithviViT` describes them.
    in_chans, encoder_only, vit_adapter: names that TerraTorch's users write; they may only confirm what is so anyway.

    The encoder says what its weights have seen: `pretraining`, None where they are random, and `published`, what the
    variant's published ones have. Both are known on the meta device too, where no weights are read.

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
            "backbone.encoder_only=false: a backbone is an encoder. The masked autoencoder is the full model "
            f"{variant}_mae."
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
    model.published = published_pretraining(row)
    if pretrained or ckpt_path is not None:
        model.pretraining = pretraining_of(row, of_weights)
    if ckpt_path is not None:
        model.pretraining = of_own_file(pretrained_on, pretraining_of(row, of_weights), variant)
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
