"""Batch norm that a batch of one pooled image does not stop."""

from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that takes its running statistics where a batch has one value a channel, which has no variance."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map (B, C, H, W)."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


def accept_single_values(module: nn.Module) -> None:
    """Replace every plain batch norm in `module` by one that accepts a single value a channel; names and values stay."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            tolerant = BatchNorm(child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats)
            tolerant.load_state_dict(child.state_dict())
            setattr(module, name, tolerant)
        else:
            accept_single_values(child)
