"""The names of torchgeo's weights, model by model, so that a wrong one is told before anything heavy is loaded.

Source: torchgeo 0.8.1, torchgeo.models.get_model_weights(); a test compares the two where torchgeo is installed.
"""

from collections.abc import Collection, Mapping
from importlib.metadata import version

from geocompose.errors import UserError, choices

_OF_VERSION = "0.8.1"

_LANDSAT = (
    "LANDSAT_TM_TOA_MOCO",
    "LANDSAT_TM_TOA_SIMCLR",
    "LANDSAT_ETM_TOA_MOCO",
    "LANDSAT_ETM_TOA_SIMCLR",
    "LANDSAT_ETM_SR_MOCO",
    "LANDSAT_ETM_SR_SIMCLR",
    "LANDSAT_OLI_TIRS_TOA_MOCO",
    "LANDSAT_OLI_TIRS_TOA_SIMCLR",
    "LANDSAT_OLI_SR_MOCO",
    "LANDSAT_OLI_SR_SIMCLR",
)
_SATLAS = ("SENTINEL2_MI_MS_SATLAS", "SENTINEL2_MI_RGB_SATLAS", "SENTINEL2_SI_MS_SATLAS", "SENTINEL2_SI_RGB_SATLAS")
_MAE = ("SENTINEL2_ALL_MAE", "SENTINEL2_ALL_FGMAE", "SENTINEL1_GRD_MAE", "SENTINEL1_GRD_FGMAE")
_SOFTCON = ("SENTINEL2_ALL_SOFTCON", "SENTINEL1_GRD_SOFTCON")

# Model -> the enumeration's name and its members'.
WEIGHTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "resnet18": ("ResNet18_Weights", (*_LANDSAT, "SENTINEL2_ALL_MOCO", "SENTINEL2_RGB_MOCO", "SENTINEL2_RGB_SECO")),
    "resnet50": (
        "ResNet50_Weights",
        (
            "FMOW_RGB_GASSL",
            *_LANDSAT,
            "SENTINEL1_ALL_DECUR",
            "SENTINEL1_GRD_DECUR",
            "SENTINEL1_ALL_MOCO",
            "SENTINEL1_GRD_MOCO",
            "SENTINEL1_GRD_CLOSP",
            "SENTINEL1_GRD_GEOCLOSP",
            "SENTINEL1_GRD_SOFTCON",
            "SENTINEL2_ALL_CLOSP",
            "SENTINEL2_ALL_DECUR",
            "SENTINEL2_ALL_DINO",
            "SENTINEL2_ALL_GEOCLOSP",
            "SENTINEL2_ALL_MOCO",
            "SENTINEL2_ALL_SOFTCON",
            "SENTINEL2_ALL_SECO_ECO",
            "SENTINEL2_ALL_NDVI_SECO_ECO",
            "SENTINEL2_MI_MS_SATLAS",
            "SENTINEL2_MI_RGB_SATLAS",
            "SENTINEL2_RGB_MOCO",
            "SENTINEL2_RGB_SECO",
            "SENTINEL2_SI_MS_SATLAS",
            "SENTINEL2_SI_RGB_SATLAS",
        ),
    ),
    "resnet152": ("ResNet152_Weights", _SATLAS),
    "vit_small_patch16_224": (
        "ViTSmall16_Weights",
        (
            *_LANDSAT,
            "SENTINEL2_ALL_CLOSP",
            "SENTINEL2_ALL_DINO",
            "SENTINEL2_ALL_MOCO",
            "SENTINEL2_ALL_MAE",
            "SENTINEL2_ALL_FGMAE",
            "SENTINEL1_GRD_CLOSP",
            "SENTINEL1_GRD_MAE",
            "SENTINEL1_GRD_FGMAE",
        ),
    ),
    "vit_base_patch16_224": ("ViTBase16_Weights", _MAE),
    "vit_large_patch16_224": (
        "ViTLarge16_Weights",
        (
            "SENTINEL2_ALL_CLOSP",
            "SENTINEL2_ALL_MAE",
            "SENTINEL2_ALL_FGMAE",
            "SENTINEL1_GRD_CLOSP",
            "SENTINEL1_GRD_MAE",
            "SENTINEL1_GRD_FGMAE",
        ),
    ),
    "vit_huge_patch14_224": ("ViTHuge14_Weights", _MAE),
    "vit_small_patch14_dinov2": ("ViTSmall14_DINOv2_Weights", _SOFTCON),
    "vit_base_patch14_dinov2": ("ViTBase14_DINOv2_Weights", _SOFTCON),
    "earthloc": ("EarthLoc_Weights", ("SENTINEL2_RESNET50",)),
    "swin_t": ("Swin_T_Weights", ("CITYSCAPES_SEMSEG",)),
    "swin_s": ("Swin_S_Weights", ("CITYSCAPES_SEMSEG",)),
    "swin_b": ("Swin_B_Weights", ("CITYSCAPES_SEMSEG",)),
    "swin_v2_t": ("Swin_V2_T_Weights", _SATLAS),
    "swin_v2_b": (
        "Swin_V2_B_Weights",
        (
            "NAIP_RGB_MI_SATLAS",
            "NAIP_RGB_SI_SATLAS",
            "LANDSAT_MI_SATLAS",
            "LANDSAT_SI_SATLAS",
            "SENTINEL1_MI_SATLAS",
            "SENTINEL1_SI_SATLAS",
            *_SATLAS,
        ),
    ),
    "dofa_base_patch16_224": ("DOFABase16_Weights", ("DOFA_MAE",)),
    "dofa_large_patch16_224": ("DOFALarge16_Weights", ("DOFA_MAE",)),
    "scalemae_large_patch16": ("ScaleMAELarge16_Weights", ("FMOW_RGB",)),
    "croma_base": ("CROMABase_Weights", ("CROMA_VIT",)),
    "croma_large": ("CROMALarge_Weights", ("CROMA_VIT",)),
    "panopticon_vitb14": ("Panopticon_Weights", ("VIT_BASE14",)),
    "copernicusfm_base": ("CopernicusFM_Base_Weights", ("CopernicusFM_ViT",)),
}


def member_named(model: str, weights: str, enumeration: str, members: Collection[str]) -> str:
    """Return the member of a model's enumeration of weights that is meant; the enumeration's name may stand before it.

    Raises:
        UserError: there is none of this name; names the nearest.
    """
    prefix, _, member = weights.rpartition(".")
    if prefix not in ("", enumeration):
        raise UserError(
            f"backbone.weights={weights}: the weights of {model} are those of {enumeration}. {choices(member, members)}"
        )
    if member not in members:
        raise UserError(
            f"backbone.weights={weights}: torchgeo has no such weights for {model}. {choices(member, members)}"
        )
    return member


def without_weights(model: str, given: str) -> UserError:
    """Return the refusal of weights for a model that has none."""
    return UserError(
        f"{given}: torchgeo has no weights for {model}. Write backbone.weights=null, or choose another model."
    )


def check_weights(model: str, weights: str) -> None:
    """Refuse a name that torchgeo doesn't have, without importing it; other versions than the table's are not judged.

    Raises:
        UserError: see `member_named`.
    """
    if version("torchgeo") != _OF_VERSION:
        return
    if model not in WEIGHTS:
        raise without_weights(model, f"backbone.weights={weights}")
    member_named(model, weights, *WEIGHTS[model])
