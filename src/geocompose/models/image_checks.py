"""What a model says to an image that it can't take, before a layer somewhere inside does."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from geocompose.contracts.backbone import BackboneContract
from geocompose.contracts.images import Image, check_modalities
from geocompose.errors import UserError


def check_image(image: Image, contract: BackboneContract, places: Mapping[str, Sequence[int]] | None) -> None:
    """Refuse an image of other bands, or of more dimensions, than a model's encoder takes.

    contract: what the encoder says of itself. places: its `places`, None for an encoder of one image.

    Raises:
        UserError: says what is expected, what came, and what to do.
    """
    name, in_chans = contract.name, contract.known_channels
    if isinstance(image, Mapping):
        if places is None:
            bands = _listed(contract)
            count = "C" if in_chans is None else in_chans
            raise UserError(
                f"The backbone {name} takes one image (B, {count}, rows, columns){bands}; got several: "
                f"{', '.join(map(str, image))}. Stack their bands to one image in that order, or put a backbone beside "
                "another for each: backbone=fusion."
            )
        check_modalities(image, places, name)
        return
    if not isinstance(image, Tensor) or image.ndim not in (4, 5):
        found = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise UserError(
            f"An image must be (B, bands, rows, columns), or (B, bands, frames, rows, columns); got {found}."
        )
    if in_chans is not None and image.shape[1] != in_chans:
        raise UserError(
            f"This model takes {in_chans} band{'' if in_chans == 1 else 's'}{_listed(contract)}; the image "
            f"{tuple(image.shape)} has {image.shape[1]}. Give the image these bands in this order, or build the model "
            "for other ones (backbone.bands)."
        )
    if image.ndim == 5 and contract.num_frames is None:
        raise UserError(
            f"The backbone {name} takes one image at a time, (B, bands, rows, columns); got {tuple(image.shape)}, "
            f"{image.shape[2]} frames. Use temporal=mean (backbone_use_temporal=True), which gives it one after the "
            "other."
        )
    frames = contract.num_frames
    if image.ndim == 5 and image.shape[2] != frames and not contract.counts_frames:
        raise UserError(
            f"The backbone {name} takes {frames} frame{'' if frames == 1 else 's'}, got {image.shape[2]}: "
            f"{tuple(image.shape)} is (B, bands, frames, rows, columns). Give it {frames}, or build it for "
            f"{image.shape[2]} (backbone.num_frames={image.shape[2]})."
        )


def _listed(contract: BackboneContract) -> str:
    return "" if contract.bands is None else f" ({', '.join(contract.bands)})"
