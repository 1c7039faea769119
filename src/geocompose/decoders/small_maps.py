"""A convolution over maps of several sizes, computed where the maps are small instead of where they were enlarged.

Enlarging a map and convolving it are both linear, so they can change places: each tap of the kernel is a product at the
map's own size, and what the taps give is enlarged, shifted and summed. A map of half the rows and columns has a quarter
of the cells, so this takes a fraction of the operations, and the large maps in between never exist. The numbers are
those of the plain order but for rounding.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.decoders.layers import resized


def convolved_at_first(conv: nn.Conv2d, maps: list[Tensor], *, align_corners: bool) -> Tensor:
    """Return `conv(joined_at_first(maps))`, (B, out_channels, h_0, w_0), without making the joined map.

    conv: of an odd square kernel, stride 1, dilation 1, no groups, that keeps rows and columns; it reads the maps'
    channels one map after the other. maps: (B, C_i, h_i, w_i), each resized bilinearly to the first.
    """
    size = maps[0].shape[2:]
    weights = conv.weight.split([x.shape[1] for x in maps], dim=1)
    large = [place for place, x in enumerate(maps) if x.shape[2:] == size or not _pays(x, size, conv)]
    small = [place for place in range(len(maps)) if place not in large]
    alike = [
        maps[place] if maps[place].shape[2:] == size else resized(maps[place], maps[0], align_corners=align_corners)
        for place in large
    ]
    weight = torch.cat([weights[place] for place in large], dim=1)
    output = F.conv2d(torch.cat(alike, dim=1), weight, conv.bias, padding=conv.padding)
    if not small:
        return output
    pairs = {(cells, wanted) for place in small for cells, wanted in zip(maps[place].shape[2:], size, strict=True)}
    taps = {pair: _taps(*pair, conv, align_corners).to(output) for pair in pairs}
    rows = [taps[maps[place].shape[2], size[0]] for place in small]
    columns = [taps[maps[place].shape[3], size[1]] for place in small]
    wide = [
        _widened(maps[place], weights[place], operator) for place, operator in zip(small, columns, strict=True)
    ]  # (B, h_i * k, W, O) each
    # One product enlarges all maps by rows, and sums over the maps and over the taps of a column.
    enlarged = torch.cat(rows, dim=1) @ torch.cat(wide, dim=1).flatten(2)
    return output + enlarged.unflatten(2, (size[1], conv.out_channels)).permute(0, 3, 1, 2)


def _widened(x: Tensor, weight: Tensor, columns: Tensor) -> Tensor:
    """Return (B, h * k, W, O): each row of a map (B, C, h, w) by each row of the kernel (O, C, k, k), W cells wide."""
    kernel = weight.shape[2]
    taps = x.permute(0, 2, 3, 1) @ weight.permute(1, 3, 2, 0).flatten(1)  # (B, h, w, k by columns * k by rows * O)
    by_cell = taps.unflatten(3, (kernel, -1)).flatten(2, 3)  # (B, h, w * k, k * O)
    wide = (columns @ by_cell).unflatten(3, (kernel, -1))  # (B, h, W, k, O)
    return wide.transpose(2, 3).flatten(1, 2)


def _taps(cells: int, wanted: int, conv: nn.Conv2d, align_corners: bool) -> Tensor:
    """Return (wanted, cells * k): what an enlarged cell gets from each small one through each tap of one dimension."""
    kernel = conv.kernel_size[0]
    each = torch.eye(cells, device=conv.weight.device).view(1, cells, cells, 1)
    enlarging = F.interpolate(each, size=(wanted, 1), mode="bilinear", align_corners=align_corners)[0, :, :, 0]
    # Cells beyond the border are 0, as the convolution pads them.
    return F.pad(enlarging, (kernel // 2, kernel // 2)).unfold(1, kernel, 1).permute(1, 0, 2).flatten(1)


def _pays(x: Tensor, size: torch.Size, conv: nn.Conv2d) -> bool:
    """Return whether this order takes fewer multiplications: always but for very large maps."""
    (rows, columns), (channels, height, width), kernel = size, x.shape[1:], conv.kernel_size[0]
    plain = rows * columns * kernel**2 * channels
    small = height * width * kernel**2 * channels
    widening, enlarging = height * columns * width * kernel**2, rows * height * kernel * columns
    return bool(small + widening + enlarging < plain)
