"""What methods can't do, with the reason: the one table.

Those of the library PEFT (0.21.2) stand by method and kind of layer: the build refuses a cell of it, and a test holds
each row against the library: what it has learned to do leaves the table. Methods are named as PEFT names them; LoRA's
variants by their option's name (dora). Our own methods stand by their option's name and what a backbone is like. Free
of torch.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

Layer = Literal[
    "linear layer",
    "linear layer over maps",
    "1x1 convolution",
    "convolution",
    "convolution in groups",
    "depthwise convolution",
    "padding convolution",
    "statically padding convolution",
    "standardising convolution",
    "3D convolution",
    "norm",
    "multi-head attention",
    "other layer",
]
"""Kinds of layers.

A convolution is one of two dimensions with a kernel above 1x1, unless the kind says otherwise. A linear layer over maps
gets (B, H, W, C), as in ConvNeXt and torchvision's Swin, which is seen when it is called. Some libraries' convolutions
compute otherwise than torch's: padding ones pad the image themselves to its size (timm's Conv2dSame), statically
padding ones by numbers of their own (smp's EfficientNet), and standardising ones compute with other weights than those
that they hold (timm's StdConv2d and ScaledStdConv2d: BiT, NFNet), as any other forward of a library's own may.
"""

_LINEAR: Layer = "linear layer"
OVER_MAPS: Layer = "linear layer over maps"
_POINTWISE: Layer = "1x1 convolution"
_CONVOLUTION: Layer = "convolution"
_GROUPS: Layer = "convolution in groups"
_DEPTHWISE: Layer = "depthwise convolution"
_PADDING: Layer = "padding convolution"
_STATIC: Layer = "statically padding convolution"
_STANDARDISING: Layer = "standardising convolution"
_3D: Layer = "3D convolution"
_NORM: Layer = "norm"
_ATTENTION: Layer = "multi-head attention"
OF_LIBRARIES: tuple[Layer, ...] = (_PADDING, _STATIC, _STANDARDISING)
CONVOLUTIONS: tuple[Layer, ...] = (_POINTWISE, _CONVOLUTION, _GROUPS, _DEPTHWISE, *OF_LIBRARIES, _3D)
# Convolutions that are not adapted unless they are named.
PASSED_OVER: tuple[Layer, ...] = (_DEPTHWISE, _STATIC)

# Methods that PEFT has for linear layers alone.
LINEAR_ONLY = (
    *("BEFT", "C3A", "DEFT", "DELORA", "FOURIERFT", "GLORA", "GRALORA", "LILY", "MISS", "PEANUT", "PSOFT", "PVERA"),
    *("RANDLORA", "ROAD", "SUPERTUNING", "TINYLORA", "VBLORA", "VERA"),
)
# Methods of PEFT that adapt convolutions too.
WITH_CONVOLUTIONS = ("ADALORA", "HIRA", "HRA", "IA3", "LOHA", "LOKR", "LORA", "DORA", "OFT")

_NO_CONVOLUTION = "PEFT has this method for linear layers alone"
_NO_3D = "PEFT has this method for convolutions of two dimensions alone"
_NO_GROUPS = "PEFT has this method for convolutions without groups alone"
_RANK_GROUPS = (
    "the rank would have to be a multiple of the groups, of which a depthwise convolution has one per channel: the "
    "matrices would be larger than the layer"
)
_OFT_KERNEL = "PEFT's OFT doesn't start as the layer where the kernel is above 1x1: it rotates pixels of other places"
_OWN_PADDING = "what PEFT computes beside it, or in its place, is not padded as it pads its image"
_OWN_WEIGHTS = "PEFT would compute with the weights that it holds, which are not those that it computes with"
_NOT_A_LAYER = "PEFT has this method for linear layers and convolutions, not for norms"

REFUSALS: Mapping[tuple[str, Layer], str] = {
    **{(method, kind): _NO_CONVOLUTION for method in LINEAR_ONLY for kind in CONVOLUTIONS},
    **{(method, _NORM): _NOT_A_LAYER for method in (*LINEAR_ONLY, *WITH_CONVOLUTIONS)},
    **{(method, _3D): _NO_3D for method in ("ADALORA", "HRA", "LOHA", "LOKR", "OFT")},
    **{(method, kind): _NO_GROUPS for method in ("ADALORA", "HIRA", "HRA") for kind in (_GROUPS, _DEPTHWISE)},
    **{(method, _PADDING): _OWN_PADDING for method in ("ADALORA", "HIRA", "HRA", "LOHA", "LOKR", "OFT")},
    **{(method, _STATIC): _OWN_PADDING for method in WITH_CONVOLUTIONS if method != "IA3"},
    **{(method, _STANDARDISING): _OWN_WEIGHTS for method in ("HRA", "OFT")},
    ("OFT", OVER_MAPS): "PEFT's OFT takes what a linear layer gets in four dimensions for an image of another layout",
    ("LORA", _DEPTHWISE): _RANK_GROUPS,
    ("DORA", _DEPTHWISE): _RANK_GROUPS,
    **{("OFT", kind): _OFT_KERNEL for kind in (_CONVOLUTION, _GROUPS, _DEPTHWISE)},
    **{
        (method, _ATTENTION): "PEFT has this method for layers of torch.nn.MultiheadAttention not at all"
        for method in (*LINEAR_ONLY, *WITH_CONVOLUTIONS)
        if method != "LORA"
    },
}

NOT_MERGED: Mapping[tuple[str, Layer], str] = {
    ("LORA", _GROUPS): "PEFT doesn't merge LoRA into convolutions in groups",
    ("DORA", _GROUPS): "PEFT doesn't merge DoRA into convolutions in groups",
    ("LILY", _LINEAR): "PEFT doesn't merge Lily",
    **{
        (
            method,
            _STANDARDISING,
        ): "what was learned is added to other weights than those that it holds"
        for method in ("ADALORA", "HIRA", "IA3", "LOHA", "LOKR", "LORA", "DORA")
    },
}
"""What is adapted and can't be merged into its layer afterwards: PEFT says so, or would return another layer."""

_WITHOUT_MEMORY = "PEFT can't build it on the meta device, where every composition is tried before it is computed"
UNUSABLE: Mapping[str, str] = {
    **dict.fromkeys(("ADAMSS", "BOFT", "FROD", "SHIRA", "UNILORA", "WAVEFT"), _WITHOUT_MEMORY),
    "OSF": "a model with it can't be pickled",
}
"""Methods of PEFT that can't be used here with any layer."""

# Methods that begin with random numbers unless init_weights is true, which VB-LoRA has not.
STARTS_ELSEWHERE = ("C3A", "FOURIERFT", "VBLORA")

Backbone = Literal[
    "maps", "several sequences", "counted tokens", "no blocks", "no biases", "no norms", "no layers", "no parameters"
]
"""What a backbone is like. Maps: its blocks take them. Several sequences: windows, or stages of fewer tokens each."""

_MAPS = "its blocks take maps, in which learned tokens have no place beside those of an image"
_SEQUENCES = "its blocks take tokens of windows, or fewer from stage to stage, and no single sequence of an image's"
_COUNTED = "its attention is for the tokens of an image alone, by their number or their places"
_NO_BLOCKS = "it has no blocks"

_OF_PROMPTS: Mapping[Backbone, str] = {
    "maps": _MAPS, "several sequences": _SEQUENCES, "counted tokens": _COUNTED, "no blocks": _NO_BLOCKS
}  # fmt: skip

OF_BACKBONES: Mapping[tuple[str, Backbone], str] = {
    **{(method, kind): reason for method in ("vpt_deep", "vpt_shallow") for kind, reason in _OF_PROMPTS.items()},
    ("last_k_blocks", "no blocks"): _NO_BLOCKS,
    ("bitfit", "no biases"): "it has no biases that its features depend on",
    ("norm_tuning", "no norms"): "it has no normalisation layers with parameters that its features depend on",
    ("ssf", "no layers"): "it has no linear layers, convolutions or norms with weights that its features depend on",
    ("lp_ft", "no parameters"): "it has no parameters that could learn later",
}
"""What our own methods can't do with a backbone."""

OF_LANGUAGE_MODELS = (
    *("ADAPTION_PROMPT", "CARTRIDGE", "CPT", "MULTITASK_PROMPT_TUNING", "PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING"),
    *("POLY", "SHADOW", "TRAINABLE_TOKENS", "XLORA"),
)
"""Methods of PEFT that change the prompts, the embeddings or the whole of a language model."""


def refusal(method: str, backbone: str, kind: Backbone, instead: str) -> str:
    """Return what to say where one of our own methods can't adapt a backbone.

    backbone: its class. instead: what to do.
    """
    return f"peft={method} can't adapt {backbone}: {OF_BACKBONES[method, kind]}. {instead}"


def why_not(method: str, kinds: Sequence[Layer]) -> tuple[Layer, str] | None:
    """Return the first kind of layer that a method can't adapt, with the reason; None where it can adapt all."""
    return next(((kind, REFUSALS[method, kind]) for kind in kinds if (method, kind) in REFUSALS), None)


def why_not_merged(method: str, kinds: Sequence[Layer]) -> tuple[Layer, str] | None:
    """Return the first kind of adapted layer that a method can't merge, with the reason; None where it merges all."""
    return next(((kind, NOT_MERGED[method, kind]) for kind in kinds if (method, kind) in NOT_MERGED), None)
