"""Vision transformers whose first layer is made from wavelengths: DOFA, Copernicus-FM and Panopticon.

Each takes the parts of torchgeo's model, whose own forward returns one vector per image.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.backbones.prithvi.encodings import sine_cosine
from geocompose.backbones.torchgeo.tokens import BlockTokens, own_grid, plane_encoding, resampled, with_class_token
from geocompose.catalog.torchgeo_spectra import RADAR
from geocompose.errors import UserError
from geocompose.imagery.bands import canonical

# What Copernicus-FM's encodings reach.
LEAST_AREA_KM2 = 0.001
MOST_UM = 1e6


class Dofa(BlockTokens):
    """DOFA: the patch embedding's filters are generated from the wavelengths; position encodings stay fixed.

    Source: Neural Plasticity-Inspired Foundation Model (arXiv 2403.15356).
    """

    def __init__(
        self,
        model: Any,
        patch_size: int,
        img_size: tuple[int, int],
        bands: list[str] | None,
        wavelengths_um: list[float],
    ) -> None:
        """Take torchgeo's DOFA and the wavelength of each channel."""
        width = model.embed_dim
        super().__init__(model.blocks, None, patch_size, len(wavelengths_um), img_size, bands, width)
        self.wavelengths_um = wavelengths_um
        self.patch_embed = model.patch_embed
        self.cls_token = model.cls_token
        self.grid = own_grid(img_size, patch_size)
        # torchgeo leaves zeros here for weights to fill.
        self.pos_embed = nn.Parameter(plane_encoding(width, self.grid), requires_grad=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the selected layers' tokens for an image (B, bands, H, W); H and W multiples of the patch."""
        grid = self.grid_of(image)
        waves = torch.tensor(self.wavelengths_um, dtype=torch.float32, device=image.device)
        patches, _ = self.patch_embed(image, waves)
        return self.run_blocks(with_class_token(self.cls_token, resampled(self.pos_embed, self.grid, grid), patches))


class CopernicusFm(BlockTokens):
    """Copernicus-FM: as DOFA, and with where, when and how large a patch is added to the tokens.

    What is unknown is a learned token of its own: a coordinate that is not given or NaN, the patch's area without
    `gsd_m`.

    Source: Towards a Unified Copernicus Foundation Model (arXiv 2503.11849).
    """

    coords_encoding = ("time", "location")

    def __init__(
        self,
        model: Any,
        patch_size: int,
        img_size: tuple[int, int],
        bands: list[str] | None,
        wavelengths_um: list[float],
        bandwidths_um: list[float],
        gsd_m: float | None,
    ) -> None:
        """Take torchgeo's Copernicus-FM, wavelength and width of each channel, and the ground sampling distance."""
        width = model.cls_token.shape[-1]
        super().__init__(model.blocks, None, patch_size, len(wavelengths_um), img_size, bands, width)
        self.wavelengths_um, self.bandwidths_um, self.gsd_m = wavelengths_um, bandwidths_um, gsd_m
        self.patch_embed_spectral = model.patch_embed_spectral
        self.cls_token = model.cls_token
        self.grid = own_grid(img_size, patch_size)
        self.pos_embed = nn.Parameter(plane_encoding(width, self.grid), requires_grad=False)
        self.coord_expansion, self.coord_fc, self.coord_token = model.coord_expansion, model.coord_fc, model.coord_token
        self.scale_expansion, self.scale_fc, self.scale_token = model.scale_expansion, model.scale_fc, model.scale_token
        self.time_expansion, self.time_fc, self.time_token = model.time_expansion, model.time_fc, model.time_token
        if gsd_m is not None:
            self._check_area(gsd_m)
            self.scale_token.requires_grad_(False)
        for name, values, least in (("wavelengths_um", wavelengths_um, 0.1), ("bandwidths_um", bandwidths_um, 0.001)):
            if not all(least <= value <= MOST_UM for value in values):
                raise UserError(
                    f"backbone.kwargs.{name}: Copernicus-FM knows {least:g} to {MOST_UM:g} um; got {values}."
                )
        # Their checks read values, which neither the meta device nor an exported graph has; arguments are checked
        # before.
        spectral = self.patch_embed_spectral
        for expansion in (
            *(self.coord_expansion, self.scale_expansion, self.time_expansion),
            *(spectral.spectrum_central_expansion, spectral.spectrum_bandwidth_expansion),
        ):
            expansion.assert_range = False

    def _check_area(self, gsd_m: float) -> None:
        least = 1000 * math.sqrt(LEAST_AREA_KM2) / self.patch_size
        if gsd_m < least:
            raise UserError(
                f"backbone.gsd_m={gsd_m:g}: Copernicus-FM knows patches of {LEAST_AREA_KM2:g} km2 or more, "
                f"{least:.3g} m per pixel here. Write null: then the area is unknown to it."
            )

    def forward(
        self, image: Tensor, temporal_coords: Tensor | None = None, location_coords: Tensor | None = None
    ) -> list[Tensor]:
        """Return the selected layers' tokens.

        image: (B, bands, H, W), H and W multiples of the patch. temporal_coords: (B, 1, 2), year and day of year from
            0.
        location_coords: (B, 2), latitude and longitude in degrees. NaN is unknown.

        Raises:
            UserError: sizes or coordinates don't fit.
        """
        grid = self.grid_of(image)
        waves, widths = (
            torch.tensor(values, dtype=torch.float32, device=image.device) * 1000  # in nm
            for values in (self.wavelengths_um, self.bandwidths_um)
        )
        patches = self.patch_embed_spectral(image, wavelengths=waves, bandwidths=widths)
        positions = resampled(self.pos_embed, self.grid, grid)
        positions = positions + self._place(location_coords) + self._date(temporal_coords) + self._area(image.device)
        return self.run_blocks(with_class_token(self.cls_token, positions, patches))

    def _place(self, location_coords: Tensor | None) -> Tensor:
        if location_coords is None:
            return self.coord_fc(self.coord_token)
        if location_coords.ndim != 2 or location_coords.shape[1] != 2:
            raise UserError(
                f"location_coords must be (B, 2), latitude and longitude; got {tuple(location_coords.shape)}."
            )
        # In float32 as in pretraining: the finest waves are 0.0001 degrees long.
        latitude, longitude = torch.nan_to_num(location_coords.float()).unbind(-1)
        half = self.embed_dim // 2
        code = torch.cat(
            [self.coord_expansion(longitude + 180, half), self.coord_expansion(latitude + 90, half)], dim=-1
        )
        return self.coord_fc(_where_known(location_coords, code, self.coord_token))

    def _date(self, temporal_coords: Tensor | None) -> Tensor:
        if temporal_coords is None:
            return self.time_fc(self.time_token)
        if temporal_coords.shape[1:] != (1, 2):
            raise UserError(
                "temporal_coords must be (B, 1, 2), year and day of year of one image; got "
                f"{tuple(temporal_coords.shape)}. For a series of images use the temporal wrapper."
            )
        coordinates = temporal_coords[:, 0]
        code = self.time_expansion(days_since_1970(torch.nan_to_num(coordinates.double(), nan=1970.0)), self.embed_dim)
        return self.time_fc(_where_known(coordinates, code, self.time_token))

    def _area(self, device: torch.device) -> Tensor:
        if self.gsd_m is None:
            return self.scale_fc(self.scale_token)
        side_km = self.gsd_m * self.patch_size / 1000
        area = torch.tensor([side_km**2], dtype=torch.float64, device=device)
        return self.scale_fc(self.scale_expansion(area, self.embed_dim).unsqueeze(1).to(self.scale_token.dtype))


def _where_known(coordinates: Tensor, code: Tensor, token: Tensor) -> Tensor:
    """Return (B, 1, width): codes (B, width) of samples whose coordinates (B, 2) are known, else the learned token."""
    known = coordinates.isfinite().all(dim=-1)[:, None, None]
    return torch.where(known, code.unsqueeze(1).to(token.dtype), token)


def days_since_1970(coordinates: Tensor) -> Tensor:
    """Return the days from 1 January 1970 to the dates (..., 2), each a year and a day of the year from 0."""
    year, day = coordinates.unbind(-1)
    before = year - 1  # this year's leap day is in its days already
    leap = torch.floor(before / 4) - torch.floor(before / 100) + torch.floor(before / 400)
    return 365 * (year - 1970) + leap - (1969 // 4 - 1969 // 100 + 1969 // 400) + day


class Panopticon(BlockTokens):
    """Panopticon: each channel becomes tokens, joined by attention over the channels; then DINOv2's vision transformer.

    Source: Panopticon (arXiv 2503.10845).
    """

    def __init__(
        self, model: Any, img_size: tuple[int, int], bands: list[str] | None, wavelengths_um: list[float]
    ) -> None:
        """Take torchgeo's Panopticon and the wavelength of each channel; a radar band is known by its name."""
        vit = model.model
        patch = vit.patch_embed.patch_size[0]
        super().__init__(vit.blocks, vit.norm, patch, len(wavelengths_um), img_size, bands, vit.cls_token.shape[-1])
        self.wavelengths_um = wavelengths_um
        self.patch_embed, self.cls_token = vit.patch_embed, vit.cls_token
        self.grid = own_grid(img_size, patch)
        side = math.isqrt(vit.pos_embed.shape[1] - 1)
        with torch.no_grad():
            self.pos_embed = nn.Parameter(resampled(vit.pos_embed, (side, side), self.grid).contiguous())
        names = [canonical(name) for name in bands or []]
        self.radar = [RADAR.index(name) if name in RADAR else None for name in names] or [None] * self.in_chans
        codes = self.patch_embed.chnfus.chnemb
        if all(polarisation is None for polarisation in self.radar):
            codes.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the selected layers' tokens for an image (B, bands, H, W); H and W multiples of the patch."""
        grid = self.grid_of(image)
        patches, _, _ = self.patch_embed.conv3d(image)  # (B, bands, tokens, width)
        fusion = self.patch_embed.chnfus
        patches = patches + self._channel_codes(patches)[:, None]
        batch, _, count, width = patches.shape
        each = patches.transpose(1, 2).flatten(0, 1)
        joined = fusion.xattn(fusion.query.expand(len(each), -1, -1), each, each).reshape(batch, count, width)
        patches = self.patch_embed.proj(joined)
        return self.run_blocks(with_class_token(self.cls_token, resampled(self.pos_embed, self.grid, grid), patches))

    def _channel_codes(self, patches: Tensor) -> Tensor:
        """Return (bands, width): the code of a wavelength in whole nm, or of what a radar sends and receives."""
        codes = self.patch_embed.chnfus.chnemb
        nm = torch.tensor([math.floor(um * 1000) for um in self.wavelengths_um], device=patches.device)
        optical = sine_cosine(nm, codes.embed_dim).to(patches.dtype)
        rows = []
        for channel, polarisation in enumerate(self.radar):
            if polarisation is None:
                rows.append(optical[channel])
                continue
            sent, received = ("VV", "VH", "HH", "HV")[polarisation]
            # Without the orbit's direction, which data doesn't tell.
            parts = [
                codes.embed_transmit["VH".index(sent)],
                codes.embed_receive["VH".index(received)],
                codes.embed_orbit.mean(0),
            ]
            rows.append(torch.cat(parts).to(patches.dtype))
        return torch.stack(rows)
