"""The published Prithvi masked autoencoders, from the table of encoders: one builder for all of them."""

from functools import partial

from geocompose.backbones.prithvi.vit import PrithviViT
from geocompose.backbones.prithvi.weight_file import load_file, weight_file
from geocompose.backbones.prithvi.weights import whole
from geocompose.catalog.prithvi import (
    VARIANTS,
    model_bands,
    pretraining_of,
    published_pretraining,
    variant_named,
)
from geocompose.errors import UserError
from geocompose.models.prithvi_mae.autoencoder import PrithviMAE
from geocompose.models.prithvi_mae.decoder import MAEDecoder
from geocompose.registry import FULL_MODEL_REGISTRY


def build_prithvi_mae(
    variant: str = "prithvi_eo_v2_tiny_tl",
    pretrained: bool = False,
    ckpt_path: str | None = None,
    bands: list[str] | None = None,
    allow_random_bands: bool = False,
    pretrained_bands: list[str] | None = None,
    img_size: int | list[int] = 224,
    num_frames: int = 1,
    coords_encoding: list[str] | None = None,
    coords_scale_learn: bool | None = None,
    drop_path: float = 0.0,
    patch_size: int | list[int] | None = None,
    embed_dim: int | None = None,
    depth: int | None = None,
    num_heads: int | None = None,
    decoder_embed_dim: int = 512,
    decoder_depth: int = 8,
    decoder_num_heads: int = 16,
    mlp_ratio: float = 4.0,
    mask_ratio: float = 0.75,
    norm_pix_loss: bool = False,
    in_chans: int | None = None,
    encoder_only: bool = False,
) -> PrithviMAE:
    """Return a Prithvi masked autoencoder, with random or pretrained weights of encoder and decoder.

    decoder_embed_dim, decoder_depth, decoder_num_heads: the decoder's sizes; those of the published files by default.
    mask_ratio, norm_pix_loss: what is removed and how the loss is taken, as `PrithviMAE` describes it.
    All other arguments are those of the encoder, as `build_prithvi` describes them. With a choice of bands, both the
    patch embedding and the prediction take the pretrained weights of these bands.

    Raises:
        UserError: as `build_prithvi`; or weights without a decoder.
    """
    if encoder_only:
        raise UserError(
            f"encoder_only=true: {variant}_mae is the whole autoencoder. Its encoder is the backbone {variant}."
        )
    row = variant_named(variant)
    names, of_weights = model_bands(bands, pretrained_bands, in_chans)
    coordinates = row.coords_encoding if coords_encoding is None else coords_encoding
    learn_scale = row.coordinates if coords_scale_learn is None else coords_scale_learn
    encoder = PrithviViT(
        bands=names,
        embed_dim=row.embed_dim if embed_dim is None else embed_dim,
        depth=row.depth if depth is None else depth,
        num_heads=row.num_heads if num_heads is None else num_heads,
        img_size=img_size,
        patch_size=patch_size if patch_size is not None else (1, row.patch, row.patch),
        num_frames=num_frames,
        mlp_ratio=mlp_ratio,
        coords_encoding=coordinates,
        coords_scale_learn=learn_scale,
        drop_path=drop_path,
        out_indices=[-1],
    )
    encoder.published = published_pretraining(row)
    if pretrained or ckpt_path is not None:
        encoder.pretraining = pretraining_of(row, of_weights)
    decoder = MAEDecoder(
        encoder_embed_dim=encoder.embed_dim,
        embed_dim=decoder_embed_dim,
        depth=decoder_depth,
        num_heads=decoder_num_heads,
        grid=encoder.grid,
        patch_size=encoder.patch_size,
        in_chans=encoder.in_chans,
        mlp_ratio=mlp_ratio,
        coords_encoding=coordinates,
        coords_scale_learn=learn_scale,
    )
    model = PrithviMAE(encoder, decoder, mask_ratio=mask_ratio, norm_pix_loss=norm_pix_loss)
    model.weights = load_file(
        model,
        weight_file(variant, pretrained, ckpt_path),
        whole,
        bands=names,
        pretrained_bands=of_weights,
        allow_random_bands=allow_random_bands,
    )
    return model


for _name, _row in VARIANTS.items():
    if _row.file is not None:
        FULL_MODEL_REGISTRY.register_as(f"{_name}_mae", partial(build_prithvi_mae, _name))
