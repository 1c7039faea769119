"""Which patches of images are hidden, and what a model's prediction of them is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.errors import UserError, counted
from geocompose.imagery.coordinates import coordinates_of
from geocompose.imagery.samples import Target
from geocompose.models.output import ModelOutput
from geocompose.models.padding import crop_centre, pad_to_multiple
from geocompose.models.prithvi_mae.masking import num_kept
from geocompose.models.prithvi_mae.model import MaskedAutoencoderModel

USUAL_PX = 16  # the patch of most vision transformers
_SCORED = 20_240  # the first of the seeds by which patches of validation and test tiles are hidden, whatever the run's
_LEAST_VARIANCE = 1e-6  # in a patch's deviation, as in the masked autoencoder's code


@dataclass(frozen=True)
class Masking:
    """How a task hides patches.

    ratio: the share that is hidden, above 0 and below 1. patch_px: side of a patch; None is the backbone's of a masked
    autoencoder, else 16. norm_pix: whether patches are predicted in their own deviations from their own mean.

    Raises:
        UserError: a number that can't be.
    """

    ratio: float
    patch_px: int | None = None
    norm_pix: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise UserError(
                f"task.mask_ratio is the share of the patches that are hidden, above 0 and below 1; got {self.ratio}."
            )
        if self.patch_px is not None and self.patch_px < 1:
            raise UserError(f"task.mask_px is the side of a patch in pixels, 1 or more; got {self.patch_px}.")

    @classmethod
    def of_task(cls, task: Mapping[str, Any]) -> "Masking":
        """Return what the configuration of a task says."""
        return cls(task["mask_ratio"], task["mask_px"], task["norm_pix_loss"])

    def patch_of(self, model: nn.Module) -> int:
        """Return the side of a patch for a model.

        Raises:
            UserError: a masked autoencoder's backbone has other patches.
        """
        if not isinstance(model, MaskedAutoencoderModel):
            return self.patch_px or USUAL_PX
        own = model.pad_multiple
        if self.patch_px not in (None, own):
            raise UserError(
                f"task.mask_px={self.patch_px}, but what a masked autoencoder hides are its backbone's patches, of "
                f"{own} pixels. Write task.mask_px=null, or backbone.patch_size={self.patch_px}."
            )
        return own

    def num_patches(self, model: nn.Module, size: Sequence[int]) -> int:
        """Return how many patches an image of these rows and columns has."""
        rows, columns = (-(-pixels // self.patch_of(model)) for pixels in size)
        return rows * columns

    def check(self, model: nn.Module, tile_px: int) -> None:
        """Refuse tiles of which all patches would be hidden.

        Raises:
            UserError: says how many patches there are.
        """
        count = self.num_patches(model, (tile_px, tile_px))
        if not num_kept(count, self.ratio):
            raise UserError(
                f"Tiles of {tile_px} pixels have {counted(count, 'patch', 'patches')} of {self.patch_of(model)}, and "
                f"task.mask_ratio={self.ratio} hides all of them. Write a larger data.tile_px, smaller patches "
                "(backbone.patch_size, task.mask_px), or another ratio."
            )

    def scored(self, target: Target) -> Target:
        """Return the target that a model's output is read by: of normalised patches, numbers without a unit."""
        if not self.norm_pix:
            return target
        count = len(target.names)
        return replace(target, mean=(0.0,) * count, std=(1.0,) * count, deviation=None)


def training_noise(masking: Masking, model: nn.Module, image: Tensor) -> Tensor:
    """Return numbers (B, patches) that hide patches at random; a step's seed decides, whatever the device."""
    return torch.rand(len(image), masking.num_patches(model, image.shape[-2:])).to(image.device)


def fixed_noise(masking: Masking, model: nn.Module, image: Tensor, tiles: Tensor) -> Tensor:
    """Return numbers (B, patches) that hide the same patches of a tile each time; tiles: (B), the tiles' numbers."""
    count = masking.num_patches(model, image.shape[-2:])
    seeds = [_SCORED + int(tile) for tile in tiles]
    drawn = [torch.rand(count, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(drawn).to(image.device)


def reconstruct(
    model: nn.Module, batch: Mapping[str, Tensor], target: Target, masking: Masking, noise: Tensor
) -> tuple[ModelOutput, Tensor]:
    """Return a model's output for images of which patches are hidden, and the truth (B, bands, H, W) in their place.

    The truth of one band is (B, H, W), as its output is. It is NaN where the model was shown the image, or the image
    has no data; else in the image's unit, or in deviations of its patch.

    batch: image (B, bands, H, W), normalised, and mask (B, H, W), NaN without data. target: of `Masking.scored`.
    noise: (B, patches): those with the smallest numbers are shown.
    """
    image, there = batch["image"], ~batch["mask"].isnan()
    if isinstance(model, MaskedAutoencoderModel):
        returned: ModelOutput = model(image, noise=noise, **coordinates_of(batch))
        hidden = returned.hidden  # type: ignore[attr-defined]
    else:
        hidden = hidden_pixels(noise, image.shape[-2:], masking.patch_of(model), masking.ratio)
        # 0 is each band's mean.
        returned = model(image.masked_fill(hidden.unsqueeze(1), 0), **coordinates_of(batch))
    truth = in_units(image, there, target, masking, masking.patch_of(model))
    truth = torch.where((hidden & there).unsqueeze(1), truth, torch.nan)
    return returned, truth[:, 0] if len(target.names) == 1 else truth


def in_units(image: Tensor, there: Tensor, target: Target, masking: Masking, patch_px: int) -> Tensor:
    """Return normalised images (B, bands, H, W) as predictions are read: in their unit, or in a patch's deviations."""
    image = image.float()
    if masking.norm_pix:
        return normalised_patches(image, there, patch_px)
    assert target.mean is not None, "the target's mean and std are known after the data's setup"
    assert target.std is not None
    mean, std = (image.new_tensor(numbers).view(-1, 1, 1) for numbers in (target.mean, target.std))
    return image * std + mean


def hidden_pixels(noise: Tensor, size: Sequence[int], patch_px: int, ratio: float) -> Tensor:
    """Return which pixels are hidden, (B, H, W) bool: those of the patches with the largest noise."""
    rows, columns = (-(-pixels // patch_px) for pixels in size)
    places = noise.argsort(dim=1).argsort(dim=1)
    hidden = (places >= num_kept(rows * columns, ratio)).view(-1, rows, columns)
    return crop_centre(hidden.repeat_interleave(patch_px, 1).repeat_interleave(patch_px, 2), (size[0], size[1]))


def normalised_patches(image: Tensor, there: Tensor, patch_px: int) -> Tensor:
    """Return an image (B, bands, H, W) of which each patch has mean 0 and deviation 1 over all its bands.

    there: (B, H, W) bool, the pixels that have data; a patch's mean and deviation are theirs.
    """
    padded = pad_to_multiple(image, patch_px)
    known = pad_to_multiple(there.to(image.dtype).unsqueeze(1), patch_px, "constant").expand_as(padded)
    cells, known = (
        value.unflatten(3, (-1, patch_px)).unflatten(2, (-1, patch_px)) for value in (padded, known)
    )  # (B, bands, rows, patch, columns, patch)
    within = (1, 3, 5)
    count = known.sum(within, keepdim=True)
    mean = (cells * known).sum(within, keepdim=True) / count.clamp(min=1)
    squares = ((cells - mean) * known).square().sum(within, keepdim=True)
    normalised = (cells - mean) / (squares / (count - 1).clamp(min=1) + _LEAST_VARIANCE).sqrt()
    return crop_centre(normalised.flatten(4, 5).flatten(2, 3), (image.shape[-2], image.shape[-1]))
