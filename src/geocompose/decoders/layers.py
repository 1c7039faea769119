"""Layers that several decoders are made of: norms that take a single value, convolution blocks, and resizing."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that uses its running statistics where a batch has one value per channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map (B, C, H, W)."""
        # One value has no variance, and torch refuses it in training. One image pooled to one cell is such a batch.
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


class GroupNorm(nn.GroupNorm):
    """Group norm that returns its bias where each group has one value of one image."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map (B, C, H, W)."""
        # A single value is its own mean, so the bias is left. nn.GroupNorm refuses this case; the operator doesn't.
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def accept_single_values(module: nn.Module) -> None:
    """Replace each plain batch and group norm in `module` by one that takes a single value; names and weights stay."""
    for name, child in module.named_children():
        tolerant: nn.Module | None = None
        # `type(...) is`: a subclass has a forward of its own, which a replacement would lose.
        if type(child) is nn.BatchNorm2d:
            tolerant = BatchNorm(child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats)
        elif type(child) is nn.GroupNorm:
            tolerant = GroupNorm(child.num_groups, child.num_channels, child.eps, child.affine)
        if tolerant is None:
            accept_single_values(child)
        else:
            tolerant.load_state_dict(child.state_dict())
            setattr(module, name, tolerant)


class ConvNormRelu(nn.Module):
    """Convolution without bias, batch norm and ReLU; rows and columns stay as they are."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__()
        # An odd kernel of dilation d reaches d * (kernel_size // 2) cells to each side; padded so, the size stays.
        padding = dilation * (kernel_size // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False)
        self.norm = BatchNorm(out_channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (B, out_channels, H, W)."""
        return self.act(self.norm(self.conv(x)))


def resized(x: Tensor, like: Tensor, *, align_corners: bool | None = None, mode: str = "bilinear") -> Tensor:
    """Return the map `x` (B, C, h, w) with the rows and columns of the map `like`.

    mode: of `torch.nn.functional.interpolate`; it takes `align_corners` for the modes that are linear or cubic.
    """
    return F.interpolate(x, size=like.shape[2:], mode=mode, align_corners=align_corners)


def joined_at_first(maps: list[Tensor], *, align_corners: bool | None = None) -> Tensor:
    """Return maps (B, C_i, h_i, w_i), each resized bilinearly to the first, as one map (B, sum of C_i, h_0, w_0)."""
    first = maps[0]
    alike = [x if x.shape[2:] == first.shape[2:] else resized(x, first, align_corners=align_corners) for x in maps]
    return torch.cat(alike, dim=1)
