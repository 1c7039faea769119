"""The decode heads of mmsegmentation by name, and why some are not here, so that a wrong name is told without torch."""

from collections.abc import Mapping

from geocompose.errors import UserError, choices

# How each is built and what it needs: `geocompose.decoders.mmseg.heads`.
NAMES = (
    "APCHead", "ASPPHead", "DAHead", "DMHead", "DNLHead", "DepthwiseSeparableFCNHead", "EMAHead", "EncHead",
    "FCNHead", "GCHead", "ISAHead", "NLHead", "PSPHead", "SETRUPHead", "STDCHead", "SegmenterMaskTransformerHead",
    "ANNHead", "DPTHead", "DepthwiseSeparableASPPHead", "FPNHead", "LRASPPHead", "LightHamHead", "SETRMLAHead",
    "SegformerHead", "UPerHead",
)  # fmt: skip

_COMPILED = "is built on a compiled operator of mmcv ({}), which is not installed with mmcv-lite"
_CASCADE = "refines the output of another head, and a model has one decoder"
_BRANCHES = "reads the branches of {} in training, and another number of features than in evaluation"
_QUERIES = "needs the package mmdet and returns masks and their classes apart, for a matching loss of its own"

NOT_HERE: Mapping[str, str] = {
    "CCHead": _COMPILED.format("CrissCrossAttention"),
    "PSAHead": _COMPILED.format("PSAMask"),
    "OCRHead": _CASCADE,
    "PointHead": _CASCADE,
    "DDRHead": _BRANCHES.format("DDRNet"),
    "PIDHead": _BRANCHES.format("PIDNet"),
    "MaskFormerHead": _QUERIES,
    "Mask2FormerHead": _QUERIES,
    "IterativeDecodeHead": (
        "is made of other heads' configurations and returns one output per stage, for a loss of its own"
    ),
    "KernelUpdateHead": "is a stage of IterativeDecodeHead, and not a decoder by itself",
    "KernelUpdator": "is a layer of IterativeDecodeHead, and not a decoder by itself",
    "SideAdapterCLIPHead": "reads the image and CLIP's features of image and text",
    "VPDDepthHead": (
        "reads a diffusion model's features and gives one output between 0 and a greatest depth, whatever the task"
    ),
}


def check_name(name: str) -> None:
    """Refuse a name that is not a decode head's, or a head that can't be a decoder here.

    Raises:
        UserError: names the nearest, or says why the head is not here.
    """
    if name in NOT_HERE:
        raise UserError(
            f"mmseg's {name} can't be a decoder here: it {NOT_HERE[name]}. Use another, such as UPerHead; all: "
            f"{', '.join(NAMES)}."
        )
    if name not in NAMES:
        raise UserError(f"There is no mmseg decode head {name!r} here. {choices(name, NAMES, most=len(NAMES))}")
