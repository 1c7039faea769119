"""Norms that a batch of one pooled image does not stop."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that takes its running statistics where a batch has one value a channel, which has no variance."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map (B, C, H, W)."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


class GroupNorm(nn.GroupNorm):
    """Group norm that gives its bias where each group has one value of one image, which is its own mean; torch refuses that."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map (B, C, H, W)."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def accept_single_values(module: nn.Module) -> None:
    """Replace every plain batch and group norm in `module` by one that accepts a single value; names and weights stay."""
    for name, child in module.named_children():
        tolerant: nn.Module | None = None
        if type(child) is nn.BatchNorm2d:
            tolerant = BatchNorm(child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats)
        elif type(child) is nn.GroupNorm:
            tolerant = GroupNorm(child.num_groups, child.num_channels, child.eps, child.affine)
        if tolerant is None:
            accept_single_values(child)
        else:
            tolerant.load_state_dict(child.state_dict())
            setattr(module, name, tolerant)
