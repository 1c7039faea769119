"""The one builder for all Prithvi encoders, random or with published weights."""

from functools import partial

import torch

from geocompose.backbones.foreign.band_choice import BandChoice
from geocompose.backbones.prithvi.seen import bands_of_weights, seen_by_weights
from geocompose.backbones.prithvi.vit import PrithviViT
from geocompose.backbones.prithvi.weight_file import load_file, weight_file
from geocompose.backbones.prithvi.weights import encoder_part
from geocompose.catalog.prithvi import (
    VARIANTS,
    model_bands,
    published_pretraining,
    variant_named,
)
from geocompose.errors import UserError
from geocompose.registry import BACKBONE_REGISTRY


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
    bands: input bands in their order, by name, or by number where their weights are random; the weights' where null.
    allow_random_bands: consent to bands that the weights lack. pretrained_bands: the weights' bands, HLS where null.
    coords_encoding: any of `time`, `location`; the variant's where null. coords_scale_learn: likewise.
    pretrained_on: `unit` and `level` that the weights of `ckpt_path` have seen; the published weights' where it doesn't
        say. The checkpoint of a reconstruction (`geocompose.tasks.reconstruction`) in its run's folder says it itself.
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
    names, of_weights = model_bands(bands, bands_of_weights(pretrained_bands, ckpt_path), in_chans)
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
        # On the meta device no weights are read, and the data's checks say more; else before a file is downloaded.
        on_meta = torch.get_default_device().type == "meta"
        if BandChoice(names, of_weights, allow_random=allow_random_bands or on_meta).random:
            model.random_inputs = ["patch_embed.proj.weight"]
        model.pretraining = seen_by_weights(variant, row, of_weights, ckpt_path, pretrained_on)
    model.weights = load_file(
        model,
        weight_file(variant, pretrained, ckpt_path),
        encoder_part,
        bands=names,
        pretrained_bands=of_weights,
        allow_random_bands=allow_random_bands,
    )
    return model


for _name in VARIANTS:
    BACKBONE_REGISTRY.register_as(_name, partial(build_prithvi, _name))
