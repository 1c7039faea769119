"""The model types of transformers that are backbones, with their classes there; transformers is not imported.

Source: transformers 5.23, the mapping behind `AutoBackbone`.
"""

from collections.abc import Mapping
from pathlib import Path

from geocompose.errors import UserError, choices

# Model type -> class of its config, class of the backbone.
TYPES: Mapping[str, tuple[str, str]] = {
    "beit": ("BeitConfig", "BeitBackbone"),
    "bit": ("BitConfig", "BitBackbone"),
    "convnext": ("ConvNextConfig", "ConvNextBackbone"),
    "convnextv2": ("ConvNextV2Config", "ConvNextV2Backbone"),
    "dinat": ("DinatConfig", "DinatBackbone"),
    "dinov2": ("Dinov2Config", "Dinov2Backbone"),
    "dinov2_with_registers": ("Dinov2WithRegistersConfig", "Dinov2WithRegistersBackbone"),
    "dinov3_convnext": ("DINOv3ConvNextConfig", "DINOv3ConvNextBackbone"),
    "dinov3_vit": ("DINOv3ViTConfig", "DINOv3ViTBackbone"),
    "focalnet": ("FocalNetConfig", "FocalNetBackbone"),
    "hgnet_v2": ("HGNetV2Config", "HGNetV2Backbone"),
    "hiera": ("HieraConfig", "HieraBackbone"),
    "lw_detr_vit": ("LwDetrViTConfig", "LwDetrViTBackbone"),
    "maskformer-swin": ("MaskFormerSwinConfig", "MaskFormerSwinBackbone"),
    "pixio": ("PixioConfig", "PixioBackbone"),
    "pp_lcnet": ("PPLCNetConfig", "PPLCNetBackbone"),
    "pp_lcnet_v3": ("PPLCNetV3Config", "PPLCNetV3Backbone"),
    "pvt_v2": ("PvtV2Config", "PvtV2Backbone"),
    "resnet": ("ResNetConfig", "ResNetBackbone"),
    "rf_detr_dinov2": ("RfDetrDinov2Config", "RfDetrDinov2Backbone"),
    "rt_detr_resnet": ("RTDetrResNetConfig", "RTDetrResNetBackbone"),
    "sapiens2": ("Sapiens2Config", "Sapiens2Backbone"),
    "swin": ("SwinConfig", "SwinBackbone"),
    "swinv2": ("Swinv2Config", "Swinv2Backbone"),
    "textnet": ("TextNetConfig", "TextNetBackbone"),
    "tipsv2_vision_model": ("Tipsv2VisionConfig", "Tipsv2VisionBackbone"),
    "uvdoc_backbone": ("UVDocBackboneConfig", "UVDocBackbone"),
    "vitdet": ("VitDetConfig", "VitDetBackbone"),
    "vitpose_backbone": ("VitPoseBackboneConfig", "VitPoseBackbone"),
}

# In that mapping too, but not backbones here, each for its reason.
REFUSED: Mapping[str, str] = {
    "pp_lcnet_v4": "its maps are halved in rows alone, as fits lines of text",
    "timm_backbone": "it is a model of timm: write backbone=timm backbone.name=NAME",
    "tipsv2": "it is a model of images and texts: its part for images is tipsv2_vision_model",
}


def is_folder_or_hub(name: str) -> bool:
    """Return whether a name means a folder or a model of the hub, not a model type."""
    return name not in TYPES and ("/" in name or Path(name).is_dir())


def check_type(model_type: str, where: str) -> None:
    """Refuse a type that is not a backbone of transformers, or not one here; `where` begins the message.

    Raises:
        UserError: says why, or names the nearest.
    """
    if model_type in REFUSED:
        raise UserError(f"{where}: this can't be a backbone, since {REFUSED[model_type]}.")
    if model_type not in TYPES:
        raise UserError(
            f"{where}: transformers has no backbone of this type. {choices(model_type, TYPES, most=len(TYPES))}"
        )
