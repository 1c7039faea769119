"""mmsegmentation's decode heads with few channels, and features that they read."""

from collections.abc import Mapping
from typing import Any

import torch

from geocompose.decoders.mmseg.decoder import MmsegDecoder
from geocompose.decoders.mmseg.heads import HEADS
from tests.kit.small import marks

WIDTHS, STRIDES = [8, 8, 16, 16], [4, 8, 16, 32]


SMALL: Mapping[str, Mapping[str, Any]] = {
    **{name: {"channels": 8} for name, row in HEADS.items() if "channels" in row.required},
    "ANNHead": {"channels": 8, "project_channels": 8},
    "DAHead": {"channels": 8, "pam_channels": 4},
    "DPTHead": {"channels": 8, "post_process_channels": [4, 4, 8, 8]},
    "DepthwiseSeparableASPPHead": {"channels": 8, "c1_channels": 4},
    "EMAHead": {"channels": 8, "ema_channels": 8, "num_bases": 4, "num_stages": 2},
    "ISAHead": {"channels": 8, "isa_channels": 4, "down_factor": [2, 2]},
    "LightHamHead": {"channels": 8, "ham_channels": 8, "ham_kwargs": {"MD_R": 4}},
    "SETRMLAHead": {"mla_channels": 4},
    "SegmenterMaskTransformerHead": {"num_layers": 1, "num_heads": 2, "embed_dims": 8},
}


OF_ONE_WIDTH = ("DPTHead",)
NEEDS_IT = marks("mmseg_fcn")


def needs_mmseg(test: Any) -> Any:
    """Mark a test as `optional`, and skip it where mmsegmentation is not installed."""
    for mark in NEEDS_IT:
        test = mark(test)
    return test


def widths(name: str) -> list[int]:
    return [8] * 4 if name in OF_ONE_WIDTH else WIDTHS


def built(name: str, num_classes: int = 3, /, strides: list[int] | None = STRIDES, **kwargs: Any) -> MmsegDecoder:
    torch.manual_seed(0)
    return MmsegDecoder(widths(name), name, num_classes, {**SMALL[name], **kwargs}, strides)  # type: ignore[arg-type]
