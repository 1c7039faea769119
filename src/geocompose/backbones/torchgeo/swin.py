"""torchvision's Swin transformers, v1 and v2, as backbones: what torchgeo's Swin weights are for."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from geocompose.backbones.foreign.arguments import levels
from geocompose.backbones.layer_numbers import LayerNumbers
from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError

STRIDES = (4, 8, 16, 32)


class SwinPyramid(nn.Module):
    """Returns the chosen stages' maps (B, rows, columns, channels), strides 4 to 32, of images of any size."""

    fixed_size = False

    def __init__(
        self, features: nn.Sequential, width: int, chosen: Sequence[int], in_chans: int, img_size: tuple[int, int]
    ) -> None:
        """Take torchvision's `features`: the patch embedding, then stages with patch merging between them."""
        super().__init__()
        self.features = features[: 2 * max(chosen) + 2]
        self.levels = list(chosen)
        self.out_indices = LayerNumbers(chosen, len(STRIDES))
        self.in_chans, self.img_size = in_chans, img_size
        self.feature_specs = [FeatureSpec(width * 2**level, STRIDES[level], "NHWC") for level in chosen]
        self.out_channels = [spec.channels for spec in self.feature_specs]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the chosen levels, finest first."""
        maps, x = [], image
        for index, stage in enumerate(self.features):
            x = stage(x)
            if index % 2 and index // 2 in self.levels:
                maps.append(x)
        return maps


def build_swin(
    arguments: Mapping[str, Any], in_chans: int, img_size: tuple[int, int], out_indices: list[int] | None
) -> tuple[SwinPyramid, nn.Module]:
    """Return the backbone and the whole model that it is part of.

    Raises:
        UserError: a level is not there.
    """
    from torchvision.models.swin_transformer import (
        PatchMerging,
        PatchMergingV2,
        SwinTransformer,
        SwinTransformerBlock,
        SwinTransformerBlockV2,
    )

    given = dict(arguments)
    block, merging = (
        (SwinTransformerBlock, PatchMerging) if given.pop("version") == 1 else (SwinTransformerBlockV2, PatchMergingV2)
    )
    model = SwinTransformer([4, 4], **given, block=block, downsample_layer=merging)
    if len(model.features) != 2 * len(STRIDES):
        raise UserError(f"backbone.kwargs.depths has four numbers, one per stage; got {list(given['depths'])}.")
    first = model.features[0][0]
    if in_chans != first.in_channels:
        model.features[0][0] = nn.Conv2d(in_chans, first.out_channels, first.kernel_size, first.stride)
    every = range(len(STRIDES))
    chosen = list(every) if out_indices is None else levels("a Swin transformer", every, out_indices)
    return SwinPyramid(model.features, given["embed_dim"], chosen, in_chans, img_size), model
