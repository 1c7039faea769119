"""mmsegmentation's decode heads made to take any features; where theirs run, the output is the same."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class WindowOrAll(nn.Module):
    """Average pooling in windows of 49 x 49, and over all rows or columns where there are fewer."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the means (B, C, h', w')."""
        # Kernel and stride are those of mmseg's LRASPPHead.
        return F.avg_pool2d(x, (min(49, x.shape[2]), min(49, x.shape[3])), stride=(16, 20))


def accept_few_cells(head: nn.Module, width: int, build_conv: Any) -> None:
    """Let an LRASPP head pool maps of fewer than 49 rows or columns, and read any number of levels.

    width: that of its last feature. build_conv: mmcv's `ConvModule`.
    """
    head.image_pool = nn.Sequential(
        WindowOrAll(), build_conv(width, head.channels, 1, act_cfg={"type": "Sigmoid"}, bias=False)
    )


def draw_bases(head: Any) -> None:
    """Give a ham head its bases when it is built, unless it draws them at each call.

    mmseg draws them with the first image, so that they would not be in the state dict of a model that saw none.
    """
    ham = head.hamburger.ham
    if ham.rand_init:
        return
    device = torch.empty(0).device
    ham.register_buffer("bases", ham._build_bases(1, ham.S, head.ham_channels // ham.S, ham.R, device=device))
