"""The shapes of features, and the specs that explain them."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError

# Class and register tokens: DINOv2 and DINOv3 have up to five; more would let nearly any patch explain a count.
MOST_PREFIX_TOKENS = 16
# Columns beyond the rows from which the stride is read where a border is lost: fewer would round to a wrong stride.
LONG = 16
# Of a map's rows or columns at its borders, by convolutions without padding: Inception's and Xception's lose up to 3.
MOST_LOST_CELLS = 4


def check_list(features: Any, backbone: str) -> None:
    """Refuse what a backbone returns if it is not a list of tensors.

    Raises:
        UserError: says what came, and what to return.
    """
    if isinstance(features, list | tuple) and all(isinstance(feature, Tensor) for feature in features):
        return
    names = modalities_of(features)
    if names is not None:
        raise UserError(
            f"The backbone {backbone} returns features by modality ({', '.join(names)}), and decoders read one list of "
            "features. Say how they become one: backbone_merge_modalities='concat' (all channels side by side), 'mean' "
            "or 'max', or an attribute merge_modalities of its class with one of these."
        )
    if isinstance(features, dict):
        keys = ", ".join(map(repr, features))
        given = ", ".join(f"features[{key!r}]" for key in list(features)[:3])
        raise UserError(
            f"The backbone {backbone} returns a dict with the keys {keys}; a backbone returns a list of tensors, the "
            f"finest map first. Return such a list, for example [{given}{', ...' if len(features) > 3 else ''}]."
        )
    if isinstance(features, Tensor):
        raise UserError(
            f"The backbone {backbone} returns one tensor of shape {tuple(features.shape)}; a backbone returns a list "
            "of tensors. Return [features] and set out_channels to a list of one width."
        )
    kinds = ""
    if isinstance(features, list | tuple):
        kinds = " of " + ", ".join(dict.fromkeys(type(feature).__name__ for feature in features))
    raise UserError(
        f"The backbone {backbone} returns {type(features).__name__}{kinds}; a backbone returns a list of tensors."
    )


def modalities_of(features: Any) -> list[str] | None:
    """Return the names of the modalities by which a backbone returns its features; None where it returns others.

    Such features are a mapping of names to lists of tensors, or a list of mappings of names to tensors.
    """
    if isinstance(features, Mapping) and features:
        listed = all(isinstance(each, list | tuple) and _tensors(each) for each in features.values())
        return list(map(str, features)) if listed else None
    if isinstance(features, list | tuple) and features and isinstance(features[0], Mapping) and features[0]:
        alike = all(isinstance(each, Mapping) and each.keys() == features[0].keys() for each in features)
        return list(map(str, features[0])) if alike and all(_tensors(each.values()) for each in features) else None
    return None


def by_modality(features: Any) -> dict[str, list[Tensor]]:
    """Return features that `modalities_of` knows as a mapping of modalities to lists."""
    if isinstance(features, Mapping):
        return {str(name): list(each) for name, each in features.items()}
    return {str(name): [each[name] for each in features] for name in features[0]}


def _tensors(values: Iterable[object]) -> bool:
    return all(isinstance(each, Tensor) for each in values)


def check_declared(
    features: Any, specs: Sequence[FeatureSpec], image_size: tuple[int, int], backbone: str, *, exact: bool
) -> None:
    """Refuse features that are not as their backbone declares them.

    exact: whether the image is a whole number of cells of every feature; if not, rows and columns are not looked at.

    Raises:
        UserError: says which feature, how it is declared, and what it is.
    """
    check_list(features, backbone)
    cure = "Fix feature_specs, or leave them out: then the features are looked at."
    if len(features) != len(specs):
        raise UserError(
            f"The backbone {backbone} declares {len(specs)} features (feature_specs) and returns {len(features)}. "
            f"{cure}"
        )
    for place, (feature, spec) in enumerate(zip(features, specs, strict=True)):
        wanted, found = shape_of(spec, image_size), tuple(feature.shape)
        same = len(found) == len(wanted) and found[channel_dim(spec)] == spec.channels
        if not same or (exact and not _alike(found, wanted, spec)):
            raise UserError(
                f"The backbone {backbone} declares its feature {place} (feature_specs) as {spec}, which is "
                f"{wanted[1:]} beside the batch for {image_size[0]} x {image_size[1]} pixels, but returns {found[1:]}. "
                f"{cure}"
            )


def _alike(found: tuple[int, ...], wanted: tuple[int, ...], spec: FeatureSpec) -> bool:
    """Return whether a feature has as many cells as declared, but for a border lost by convolutions without padding."""
    if spec.layout not in ("NCHW", "NHWC"):
        return found[1:] == wanted[1:]
    first = 2 if spec.layout == "NCHW" else 1
    pairs = zip(found[first : first + 2], wanted[first : first + 2], strict=True)
    return all(cells - MOST_LOST_CELLS <= there <= cells + 1 for there, cells in pairs)


def channel_dim(spec: FeatureSpec) -> int:
    """Return the dimension of a feature's channels."""
    return 1 if spec.layout in ("NCHW", "vector") else -1


def map_to_tokens(feature: Tensor) -> Tensor:
    """Return tokens (B, cells, C) of a map (B, C, [frames,] rows, columns), frame by frame and row by row."""
    return feature.flatten(2).transpose(1, 2)


def observe(
    features: Sequence[Tensor],
    widths: list[int],
    image_size: tuple[int, int],
    *,
    part: str,
    patch: int | None = None,
    num_frames: int = 1,
) -> list[FeatureSpec]:
    """Return the specs of features by their shapes, for an image of this size and so many frames.

    widths: as the part declares them. part: whose features they are, for messages. patch: pixels per token, where the
    backbone says it.

    Raises:
        UserError: a feature is not as wide as `widths` says, or no layout fits its shape.
    """
    if len(features) != len(widths):
        raise UserError(f"{part} declares {len(widths)} features ({widths}) and returns {len(features)}.")
    change = "Set out_channels=[{}]." if len(widths) == 1 else "Set its width in out_channels to {}."
    return [
        _spec(tuple(feature.shape), width, image_size, part, patch, num_frames, change)
        for feature, width in zip(features, widths, strict=True)
    ]


def _spec(
    shape: tuple[int, ...],
    width: int,
    image_size: tuple[int, int],
    part: str,
    patch: int | None,
    num_frames: int,
    change: str,
) -> FeatureSpec:
    if len(shape) == 4:
        strides_first = _stride(shape[2:], image_size) if shape[1] == width else None
        strides_last = _stride(shape[1:3], image_size) if shape[3] == width else None
        if strides_first is not None:
            return FeatureSpec(width, strides_first, "NCHW")
        if strides_last is not None:
            return FeatureSpec(width, strides_last, "NHWC")
    if len(shape) == 2 and shape[1] == width:
        return FeatureSpec(width, 1, "vector")
    if len(shape) == 3 and shape[2] == width:
        if num_frames > 1 and patch is None:
            raise UserError(
                f"{part} returns tokens {shape} for {num_frames} frames, which several patches could explain: give the "
                "backbone an attribute patch_size (pixels), or feature_specs."
            )
        # The smallest patch that leaves few enough tokens before the grid; whether it holds is seen at another size.
        sizes = range(1, min(image_size) + 1) if patch is None else [patch]
        for size in sizes:
            if image_size[0] % size or image_size[1] % size:
                continue
            cells = (image_size[0] // size) * (image_size[1] // size)
            # Frames may be held apart, put together by a tubelet, or pooled.
            for frames in (count for count in range(num_frames, 0, -1) if num_frames % count == 0):
                prefix = shape[1] - frames * cells
                if 0 <= prefix <= MOST_PREFIX_TOKENS:
                    return FeatureSpec(width, size, "tokens", num_prefix_tokens=prefix, num_frames=frames)
    if len(shape) == 4:
        square = [_stride(cells, image_size) is not None for cells in (shape[2:], shape[1:3])]
        widths = [w for w, fits in zip((shape[1], shape[3]), square, strict=True) if fits]
        if len(widths) == 1:
            raise UserError(
                f"{part} returns a feature of shape {shape} for an image of {image_size[0]} x {image_size[1]} pixels, "
                f"declared {width} wide (out_channels): as a map it is {widths[0]} wide. {change.format(widths[0])}"
            )
    raise UserError(
        f"{part} returns a feature of shape {shape} for an image of {image_size[0]} x {image_size[1]} pixels, declared "
        f"{width} wide (out_channels): neither tokens (B, prefix + rows * columns, width), nor a map (B, width, rows, "
        "columns) or (B, rows, columns, width), nor a vector (B, width)."
    )


def _stride(cells: tuple[int, ...], image_size: tuple[int, int]) -> int | Fraction | None:
    """Return the stride that explains a map's rows and columns, or None where the two directions disagree.

    It is exact where both directions agree exactly, or where the columns are whole cells. Where a border is lost, rows
    and columns lose the same number of cells, so that their difference is that of an image without a border.
    """
    if not all(cells):
        return None
    by_row, by_column = (Fraction(pixels, count) for pixels, count in zip(image_size, cells, strict=True))
    if by_row == by_column:
        return int(by_row) if by_row.denominator == 1 else by_row
    whole = by_column.denominator == 1 and cells[0] == image_size[0] // by_column > 0  # a row of cells is cut short
    # A lost border makes the shorter side's cells look larger, but by less than two thirds; beyond, it is not a map.
    if not whole and not 0.6 < by_row / by_column < 1.67:
        return None
    further = cells[1] - cells[0]
    if by_column.denominator > 1 and further >= LONG:
        return max(1, round(Fraction(image_size[1] - image_size[0], further)))
    return max(1, round(by_column))


def features_like(specs: Sequence[FeatureSpec], image_size: tuple[int, int]) -> list[Tensor]:
    """Return shape-only features as `specs` describe them, for one image of a size that every stride divides."""
    return [torch.empty(shape_of(spec, image_size), device="meta") for spec in specs]


def shape_of(spec: FeatureSpec, image_size: tuple[int, int]) -> tuple[int, ...]:
    """Return the shape of a feature as its spec says, for one image of this size."""
    rows, columns = (int(pixels / Fraction(spec.stride)) for pixels in image_size)
    if spec.layout == "vector":
        return (1, spec.channels)
    if spec.layout == "tokens":
        return (1, spec.num_prefix_tokens + spec.num_frames * rows * columns, spec.channels)
    return (1, spec.channels, rows, columns) if spec.layout == "NCHW" else (1, rows, columns, spec.channels)
