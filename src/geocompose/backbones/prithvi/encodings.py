"""Fixed sine-cosine encodings of token positions, acquisition dates and places.

Source: the masked autoencoder paper (arXiv 2111.06377) for positions, Prithvi-EO-2.0 (arXiv 2412.02732) for
    coordinates.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geocompose.errors import UserError

Grid = tuple[int, int, int]  # frames, rows, columns of tokens


def sine_cosine(positions: Tensor, dim: int) -> Tensor:
    """Return (..., dim) float32: the sines, then the cosines of `positions` times 1 / 10000^(i / (dim / 2)).

    Always float32: in bfloat16 the year 2018 would become 2016.
    """
    half = dim // 2
    omega = 1.0 / 10000 ** (torch.arange(half, dtype=torch.float64, device=positions.device) / half)
    angles = positions.to(torch.float64).unsqueeze(-1) * omega
    return torch.cat([angles.sin(), angles.cos()], dim=-1).to(torch.float32)


def grid_encoding(dim: int, grid: Grid) -> Tensor:
    """Return (1 + frames * rows * columns, dim): positions of a token grid, zeros for the class token first.

    The width is split 6 : 6 : 4 between column, row and frame.

    Raises:
        UserError: `dim` is not a multiple of 16.
    """
    if dim % 16:
        raise UserError(f"embed_dim must be a multiple of 16, for the encoding of column, row and frame; got {dim}.")
    frames, rows, columns = grid
    t, h, w = torch.meshgrid(*(torch.arange(n) for n in (frames, rows, columns)), indexing="ij")
    # As published: sixteen parts of the width, so that each of the three has sines and cosines in equal number.
    space, time = dim // 16 * 6, dim // 16 * 4
    parts = [sine_cosine(w.flatten(), space), sine_cosine(h.flatten(), space), sine_cosine(t.flatten(), time)]
    patches = torch.cat(parts, dim=1)
    return torch.cat([patches.new_zeros(1, dim), patches])


def positions_for(table: Tensor, own: Grid, grid: Grid) -> Tensor:
    """Return the encoding (1, 1 + tokens, dim) of `grid`, given that of the `own` grid, class token first.

    Another number of frames is computed anew; other rows or columns are interpolated bicubically (aligned corners).
    """
    frames, rows, columns = grid
    dim = table.shape[-1]
    if frames != own[0]:
        table = grid_encoding(dim, (frames, own[1], own[2])).to(table).unsqueeze(0)
    if (rows, columns) == own[1:]:
        return table
    maps = table[0, 1:].reshape(frames, own[1], own[2], dim).permute(0, 3, 1, 2)
    # Aligned corners, as Prithvi itself interpolates: the outermost cells keep the positions of their training.
    maps = F.interpolate(maps, size=(rows, columns), mode="bicubic", align_corners=True)
    return torch.cat([table[:, :1], maps.permute(0, 2, 3, 1).reshape(1, -1, dim)], dim=1)


class CoordinateEncoding(nn.Module):
    """Adds what two coordinates say: (year, day of year from 0) of a frame, or (latitude, longitude) of an image."""

    scale: Tensor

    def __init__(self, dim: int, *, learn_scale: bool) -> None:
        super().__init__()
        self.dim = dim
        if learn_scale:
            self.scale = nn.Parameter(torch.full((1,), 0.1))
        else:
            self.register_buffer("scale", torch.ones(1))

    def forward(self, coordinates: Tensor) -> Tensor:
        """Return (..., dim) for coordinates (..., 2), float32; each coordinate takes half of the width.

        Where a coordinate is NaN, because it is not known, this is 0: nothing is added.
        """
        half = self.dim // 2
        known = coordinates.isfinite().all(dim=-1, keepdim=True)
        # Filled before and left out after: a NaN that is only left out would still reach the gradient of `scale`.
        first, second = torch.where(known, coordinates, 0).unbind(-1)
        encoded = torch.cat([sine_cosine(first, half), sine_cosine(second, half)], dim=-1)
        return self.scale * torch.where(known, encoded, 0)


def with_coordinates(
    tokens: Tensor,
    grid: Grid,
    *,
    patch_frames: int = 1,
    time: CoordinateEncoding | None,
    location: CoordinateEncoding | None,
    temporal_coords: Tensor | None,
    location_coords: Tensor | None,
) -> Tensor:
    """Return patch tokens (B, frames * rows * columns, dim) with the encodings of the given coordinates added.

    patch_frames: how many frames of the image a token covers.
    temporal_coords: (B, frames * patch_frames, 2), a date per frame of the image; what is added to a token is the mean
        over the frames that it covers. location_coords: (B, 2), added to all. Where they are NaN, nothing is added to
        that image, and that frame does not count.

    Raises:
        UserError: coordinates are given that are not encoded, are too coarse, or of another shape.
    """
    frames, rows, columns = grid
    for name, given in (("temporal_coords", temporal_coords), ("location_coords", location_coords)):
        if given is not None and given.dtype in (torch.bfloat16, torch.float16):
            raise UserError(
                f"{name} are {given.dtype}, in which the year 2018 is not told from its neighbours; give them as "
                "float32, whatever the precision of the model."
            )
    if temporal_coords is not None:
        if time is None:
            raise UserError("temporal_coords are given, but coords_encoding of this backbone lacks 'time'.")
        dates = frames * patch_frames
        if temporal_coords.shape[1:] != (dates, 2):
            covered = "" if patch_frames == 1 else f", each of which covers {patch_frames} frames of the image"
            raise UserError(
                f"temporal_coords must be (B, {dates}, 2) for {frames} frames of tokens{covered}; got "
                f"{tuple(temporal_coords.shape)}."
            )
        encoded = _of_patches(time(temporal_coords), temporal_coords, patch_frames)
        tokens = tokens + encoded.repeat_interleave(rows * columns, dim=1).to(tokens.dtype)
    if location_coords is not None:
        if location is None:
            raise UserError("location_coords are given, but coords_encoding of this backbone lacks 'location'.")
        if location_coords.ndim != 2 or location_coords.shape[1] != 2:
            raise UserError(
                f"location_coords must be (B, 2), latitude and longitude; got {tuple(location_coords.shape)}."
            )
        tokens = tokens + location(location_coords).unsqueeze(1).to(tokens.dtype)
    return tokens


def _of_patches(encoded: Tensor, dates: Tensor, patch_frames: int) -> Tensor:
    """Return the mean encoding (B, frames of tokens, dim) of the frames that a token covers and whose date is known.

    encoded: (B, frames of the image, dim), 0 where a date is not known. dates: (B, frames of the image, 2).
    """
    if patch_frames == 1:
        return encoded
    # Encodings are averaged and not dates: the mean of 31 December and 1 January would be a day in July.
    known = dates.isfinite().all(dim=-1, keepdim=True).unflatten(1, (-1, patch_frames)).sum(dim=2)
    return encoded.unflatten(1, (-1, patch_frames)).sum(dim=2) / known.clamp(min=1)
