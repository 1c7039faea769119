"""What a backbone takes and returns, seen without numbers: images in shapes alone, and the features of a forward."""

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.contracts.backbone import BackboneContract, contract_of
from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.images import Image
from geocompose.contracts.meta import meta_forward, meta_image
from geocompose.contracts.shapes import check_list, observe, shape_of
from geocompose.errors import FOREIGN_ERRORS, UserError, first_line

# Pixels: a whole number of cells of every stride up to 32 and of patches of 7, 8, 14, 16, 28 and 32.
DIVISIBLE = 224
# Pixels: not a square, in which a stride that doesn't divide it would look like a fraction. Its columns are whole cells
# of 64 and 128 too. They exceed its rows by 3360, which all strides up to 8 divide, and 10, 12, 15, 20, 24, 28, 30, 40
# and 48.
LONG_IMAGE = (224, 3584)

# In what Python and torch say of a tensor that is taken for a mapping.
OF_MAPPINGS = (
    "attribute 'items'",
    "attribute 'keys'",
    "attribute 'values'",
    "attribute 'get'",
    "too many indices for tensor",  # image["optical"]: each letter is an index
    "are valid indices",
    "<class 'str'>",
    "invalid data type 'str'",
    "is not a mapping",
    "dictionary update sequence",
)


def probe_image(contract: BackboneContract, size: tuple[int, int], num_frames: int | None = None) -> Image:
    """Return a shape-only image as a backbone itself takes it: a mapping of images where it has several modalities.

    num_frames: as many as the backbone says it takes where null.
    """
    frames = contract.frames if num_frames is None else num_frames
    places = contract.places
    if places is None:
        return meta_image(contract.channels, frames, size)
    return {name: meta_image(len(listed), frames, size) for name, listed in places.items()}


def meta_coordinates(
    contract: BackboneContract, num_frames: int, given: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Return shape-only coordinates of one image: those that a backbone takes (`coords_encoding`), of those `given`."""
    # A date is year and day of the year, for each frame; a place is latitude and longitude.
    shapes = {"time": ("temporal_coords", (1, num_frames, 2)), "location": ("location_coords", (1, 2))}
    wanted = [shapes[name] for name in contract.coordinates if given is None or name in given]
    return {name: torch.empty(shape, device="meta") for name, shape in wanted}


def backbone_specs(backbone: nn.Module, image_size: tuple[int, int]) -> list[FeatureSpec]:
    """Return the features of a backbone: as it declares them (`feature_specs`), else as seen for an image of this size.

    An image is made larger for that, to sizes that all usual patches and strides divide, if the backbone takes them: a
    map's cells then say its stride exactly.

    Raises:
        UserError: it returns no list of features, or not as wide as its `out_channels` says, or can't be tried.
    """
    contract = contract_of(backbone)
    if contract.feature_specs is not None:
        return list(contract.feature_specs)
    widths = contract.widths
    stopped: Exception | None = None
    # At a size that the patch doesn't divide, for example; the last refusal is about the image's own size.
    refused: UserError | None = None
    for size in _sizes(contract, image_size):
        try:
            features = meta_forward(backbone, probe_image(contract, size))
        except FOREIGN_ERRORS as error:
            stopped = error
            continue
        try:
            return _observed(backbone, contract, features, widths, size)
        except UserError as error:
            refused = error
    if refused is not None:
        raise refused
    assert stopped is not None
    raise _untriable(contract, image_size, stopped) from stopped


def returned_by(backbone: nn.Module, image_size: tuple[int, int]) -> Any:
    """Return what a backbone's forward returns for an image of shapes alone, at the first size that it takes.

    Raises:
        UserError: it can't be tried.
    """
    contract = contract_of(backbone)
    stopped: Exception | None = None
    for size in _sizes(contract, image_size):
        try:
            return meta_forward(backbone, probe_image(contract, size))
        except FOREIGN_ERRORS as error:
            stopped = error
    assert stopped is not None
    raise _untriable(contract, image_size, stopped) from stopped


def _observed(
    backbone: nn.Module,
    contract: BackboneContract,
    features: Sequence[Tensor],
    widths: list[int],
    size: tuple[int, int],
) -> list[FeatureSpec]:
    """Return the specs of features that came for an image of this size.

    Raises:
        UserError: they are not a list of features, or not of these widths.
    """
    check_list(features, contract.name)
    part = f"The backbone {contract.name}"
    specs = observe(features, widths, size, part=part, patch=contract.patch_size, num_frames=contract.frames)
    if contract.patch_size is None:
        _confirm_tokens(backbone, contract, specs, features, size)
    return specs


def _confirm_tokens(
    backbone: nn.Module,
    contract: BackboneContract,
    specs: Sequence[FeatureSpec],
    features: Sequence[Tensor],
    size: tuple[int, int],
) -> None:
    """Refuse a patch and prefix tokens that explain the number of tokens at one size of the image, but not at another.

    A backbone that takes no other size is believed where the grid has no fewer cells than there are tokens before it.

    Raises:
        UserError: says how many tokens there are, and what to declare.
    """
    places = [place for place, spec in enumerate(specs) if spec.layout == "tokens"]
    if not places:
        return
    # Twice the rows double the grid's cells, and leave the prefix as it is.
    taller = (2 * size[0], size[1])
    others: Sequence[Tensor] | None = None
    if not contract.fixed_size:
        with suppress(*FOREIGN_ERRORS):  # it takes images of one size alone
            others = meta_forward(backbone, probe_image(contract, taller))
    for place in places:
        spec, tokens = specs[place], features[place].shape[1]
        if others is not None:
            found = others[place].shape[1]
            if tuple(others[place].shape) == shape_of(spec, taller):
                continue
            seen = (
                f"{tokens} tokens for an image of {size[0]} x {size[1]} pixels and {found} for {taller[0]} x "
                f"{taller[1]}"
            )
        else:
            if 2 * spec.num_prefix_tokens <= tokens:
                continue
            seen = f"{tokens} tokens for an image of {size[0]} x {size[1]} pixels, the one size that it takes"
        raise UserError(
            f"The backbone {contract.name} returns {seen}, which no grid of patches with prefix tokens before it "
            "explains: tokens are (B, prefix + rows * columns, width). Return all of them, and nothing else behind "
            "them; or give the backbone feature_specs."
        )


def _sizes(contract: BackboneContract, image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the sizes at which a backbone is looked at, the best first."""
    if contract.fixed_size:
        return [contract.img_size or image_size]
    unit = math.lcm(DIVISIBLE, contract.patch_size or 1)
    whole = (-(-image_size[0] // unit) * unit, -(-image_size[1] // unit) * unit)
    return list(dict.fromkeys([*([LONG_IMAGE] if unit == DIVISIBLE else []), whole, image_size]))


def _untriable(contract: BackboneContract, image_size: tuple[int, int], error: Exception) -> UserError:
    """Return what to say of a backbone whose forward stopped, as far as it can be told why."""
    said, channels = first_line(error), contract.channels
    given = probe_image(contract, image_size)
    shape = tuple(given.shape) if isinstance(given, Tensor) else {key: tuple(one.shape) for key, one in given.items()}
    # Torch has no type of error of its own for these; its words are all there is.
    if any(word in said for word in ("meta", "NVIDIA", "CUDA")) or isinstance(error, NotImplementedError):
        advice = (
            "A composition is tried without numbers, so its forward can't ask for any (item(), numpy(), isnan().any(), "
            "a Python if on a tensor's values), nor make tensors on a device that it names itself."
        )
    elif isinstance(given, Tensor) and any(word in said for word in OF_MAPPINGS):
        advice = (
            "If its forward takes a mapping of images, one for each modality, say so by an attribute modalities, such "
            "as {'optical': ['RED', 'NIR_NARROW'], 'sar': ['VV', 'VH']}."
        )
    elif "channel" not in said:
        advice = "Fix its forward, or choose a data.tile_px that it takes."
    elif contract.in_chans is not None:
        advice = f"It says in_chans={channels}; if that is wrong, fix in_chans, patch_size or img_size."
    else:
        advice = (
            f"Its first convolution has {channels} channels; if its image has others, say so by an attribute in_chans "
            "(an int)."
        )
    return UserError(
        f"The backbone {contract.name} can't take an image of {channels} channels and {image_size[0]} x "
        f"{image_size[1]} pixels, of shape {shape}; it stopped with: {said}. {advice}"
    )
