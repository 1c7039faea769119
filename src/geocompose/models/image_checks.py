"""What a model says to an image that it can't take, before a layer somewhere inside does."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from geocompose.contracts.meta import input_channels
from geocompose.errors import UserError
from geocompose.imagery.modalities import Image, check_modalities


def known_channels(encoder: nn.Module) -> int | None:
    """Return how many channels an encoder's image has, or None where nothing says it."""
    try:
        return input_channels(encoder)
    except UserError:
        return None


def check_image(
    image: Image, encoder: nn.Module, in_chans: int | None, places: Mapping[str, Sequence[int]] | None
) -> None:
    """Refuse an image of other bands, or of more dimensions, than a model's encoder takes.

    in_chans: of a stacked image; None where it isn't known. places: see `geocompose.imagery.modalities`; None for an
        encoder of one image.

    Raises:
        UserError: says what is expected, what came, and what to do.
    """
    name = _name(encoder)
    if isinstance(image, Mapping):
        if places is None:
            bands = _listed(encoder)
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
        raise UserError(f"An image is (B, bands, rows, columns), or (B, bands, frames, rows, columns); got {found}.")
    if in_chans is not None and image.shape[1] != in_chans:
        raise UserError(
            f"This model takes {in_chans} band{'' if in_chans == 1 else 's'}{_listed(encoder)}; the image "
            f"{tuple(image.shape)} has {image.shape[1]}. Give the image these bands in this order, or build the model "
            "for other ones (backbone.bands)."
        )
    if image.ndim == 5 and not hasattr(encoder, "num_frames"):
        raise UserError(
            f"The backbone {name} takes one image at a time, (B, bands, rows, columns); got {tuple(image.shape)}, "
            f"{image.shape[2]} frames. Use temporal=mean (backbone_use_temporal=True), which gives it one after the "
            "other."
        )
    frames = getattr(encoder, "num_frames", None)
    through_time = hasattr(encoder, "n_timestamps")  # it is given one at a time, and counts them itself
    if image.ndim == 5 and isinstance(frames, int) and image.shape[2] != frames and not through_time:
        raise UserError(
            f"The backbone {name} takes {frames} frame{'' if frames == 1 else 's'}, got {image.shape[2]}: "
            f"{tuple(image.shape)} is (B, bands, frames, rows, columns). Give it {frames}, or build it for "
            f"{image.shape[2]} (backbone.num_frames={image.shape[2]})."
        )


def _name(encoder: nn.Module) -> str:
    base = getattr(encoder, "get_base_model", None)  # PEFT's model around a backbone
    return type(base() if callable(base) else encoder).__name__


def _listed(encoder: nn.Module) -> str:
    bands = getattr(encoder, "bands", None)
    return f" ({', '.join(map(str, bands))})" if isinstance(bands, Sequence) and not isinstance(bands, str) else ""
