"""A backbone of the user's own with attention: layers named as many people do, and a batch norm."""

import torch
from torch import Tensor, nn


class OwnBlock(nn.Module):
    """One head of attention and a feed-forward part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out_proj = nn.Linear(width, width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 2 * width), "fc2": nn.Linear(2 * width, width)})

    def forward(self, x_bnd: Tensor) -> Tensor:
        x = self.norm1(x_bnd)
        x = x_bnd + self.out_proj(nn.functional.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x)))
        return x + self.mlp["fc2"](torch.relu(self.mlp["fc1"](self.norm2(x))))


class OwnAttention(nn.Module):
    """Patches of 16 pixels through two blocks, as maps."""

    out_channels = [16, 16]

    def __init__(self, in_chans: int = 6) -> None:
        super().__init__()
        self.in_chans = in_chans
        self.stem = nn.Conv2d(in_chans, 16, 16, 16)
        self.bn = nn.BatchNorm2d(16)
        self.blocks = nn.ModuleList(OwnBlock(16) for _ in range(2))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.bn(self.stem(image))
        size, features = x.shape[-2:], []
        x = x.flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
            features.append(x.transpose(1, 2).unflatten(2, size))
        return features
