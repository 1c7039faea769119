"""The models that torchgeo lists, as rows of a table: how each is a backbone, or why it isn't.

Nothing of torchgeo is imported to know their names. Source: torchgeo 0.8.1, torchgeo.models.list_models().
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Literal

from geocompose.catalog.optional import imported
from geocompose.errors import UserError, choices

Family = Literal["timm", "swin", "dofa", "scalemae", "croma", "panopticon", "copernicusfm"]


@dataclass(frozen=True)
class Model:
    """One model. `sizes`: what its family's constructor is called with; `prefixes`: of names in its weight files."""

    family: Family
    sizes: Mapping[str, object] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()


def _timm(name: str) -> Model:
    return Model("timm", {"name": name})


def _swin(width: int, deep: int, heads: int, drop_path: float, version: int) -> Model:
    sizes = {
        "embed_dim": width,
        "depths": [2, 2, deep, 2],
        "num_heads": [heads, 2 * heads, 4 * heads, 8 * heads],
        "window_size": [7, 7] if version == 1 else [8, 8],
        "stochastic_depth_prob": drop_path,
        "version": version,
    }
    return Model("swin", sizes)


def _vit(family: Family, patch: int, width: int, depth: int, heads: int) -> Model:
    return Model(family, {"patch_size": patch, "embed_dim": width, "depth": depth, "num_heads": heads})


MODELS: Mapping[str, Model] = {
    **{name: _timm(name) for name in ("resnet18", "resnet50", "resnet152")},
    **{f"vit_{size}": _timm(f"vit_{size}") for size in ("small_patch16_224", "base_patch16_224", "large_patch16_224")},
    **{f"vit_{size}": _timm(f"vit_{size}") for size in ("huge_patch14_224", "small_patch14_dinov2")},
    "vit_base_patch14_dinov2": _timm("vit_base_patch14_dinov2"),
    # A ResNet-50 without its last stage, before an aggregation that makes one vector of an image.
    "earthloc": Model("timm", {"name": "resnet50", "out_indices": [0, 1, 2, 3]}, ("backbone.",)),
    "swin_t": _swin(96, 6, 3, 0.2, 1),
    "swin_s": _swin(96, 18, 3, 0.3, 1),
    "swin_b": _swin(128, 18, 4, 0.5, 1),
    "swin_v2_t": _swin(96, 6, 3, 0.2, 2),
    "swin_v2_b": _swin(128, 18, 4, 0.5, 2),
    "dofa_small_patch16_224": _vit("dofa", 16, 384, 12, 6),
    "dofa_base_patch16_224": _vit("dofa", 16, 768, 12, 12),
    "dofa_large_patch16_224": _vit("dofa", 16, 1024, 24, 16),
    "dofa_huge_patch14_224": _vit("dofa", 14, 1280, 32, 16),
    "scalemae_large_patch16": _vit("scalemae", 16, 1024, 24, 16),
    "croma_base": Model("croma", {"encoder_dim": 768, "encoder_depth": 12}),
    "croma_large": Model("croma", {"encoder_dim": 1024, "encoder_depth": 24}),
    "panopticon_vitb14": Model("panopticon", {}, ("model.",)),
    "copernicusfm_base": _vit("copernicusfm", 16, 768, 12, 12),
}  # fmt: skip

# Listed by torchgeo, but not backbones of images.
REFUSED: Mapping[str, str] = {
    "aurora_swin_unet": (
        "it forecasts weather from fields on pressure levels, given as a batch of its own kind, and takes no image"
    ),
    "unet": (
        "it is a whole segmentation model, smp's U-Net with its decoder and head. For its encoder alone use smp's "
        "encoders as backbone; for a U-Net, decoder=smp_unet"
    ),
}

# What `backbone.kwargs` may hold, per family; timm's own models are asked themselves.
ARGUMENTS: Mapping[Family, tuple[str, ...]] = {
    "swin": (
        *("embed_dim", "depths", "num_heads", "window_size", "mlp_ratio"),
        *("dropout", "attention_dropout", "stochastic_depth_prob"),
    ),
    "dofa": ("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "wavelengths_um"),
    "scalemae": ("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "drop_path_rate"),
    "croma": ("encoder_dim", "encoder_depth", "modalities"),
    "panopticon": ("attn_dim", "depth", "wavelengths_um"),
    "copernicusfm": (
        *("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "hyper_dim"),
        *("wavelengths_um", "bandwidths_um"),
    ),
}
BY_WAVELENGTH: tuple[Family, ...] = ("dofa", "panopticon", "copernicusfm")
WITH_GSD: tuple[Family, ...] = ("scalemae", "copernicusfm")


def model_named(name: str) -> Model:
    """Return a row of `MODELS`.

    Raises:
        UserError: torchgeo has no such model, or it can't be a backbone; says why.
    """
    if name in REFUSED:
        raise UserError(f"backbone.name={name}: torchgeo's {name} can't be a backbone: {REFUSED[name]}.")
    if name not in MODELS:
        raise UserError(f"backbone.name={name}: torchgeo has no such model. {choices(name, MODELS)}")
    return MODELS[name]


def torchgeo_models() -> ModuleType:
    """Return the module `torchgeo.models`.

    Raises:
        UserError: torchgeo is not installed; says how to install it.
    """
    return imported("torchgeo", "torchgeo.models")
