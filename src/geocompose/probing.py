"""Finding out what modules return without computing anything: forwards on the meta device, shapes only."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from geocompose.errors import UserError
from geocompose.features import FeatureSpec


@contextmanager
def _mode(module: nn.Module, training: bool) -> Iterator[None]:
    # A probe must leave every submodule's mode as it was.
    modes = [(child, child.training) for child in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for child, mode in modes:
            child.training = mode


def meta_forward(module: nn.Module, *args: Any, training: bool = False, **kwargs: Any) -> Any:
    """Return what `module` returns for meta tensors; its own weights are neither read nor copied nor changed."""
    with torch.no_grad(), torch.device("meta"), _mode(module, training):
        return torch.func.functional_call(module, _shells(module), args, kwargs, tie_weights=False)


def _shells(module: nn.Module) -> dict[str, Tensor]:
    """Return a shape-only tensor for each parameter and buffer; those of tied ones are tied.

    A module that stands in two places is named once: `functional_call` gives back what it replaced name by name, and
    would leave such a module with shapes for weights.
    """
    shells: dict[int, Tensor] = {}
    named = {}
    for place, part in module.named_modules():
        for name, value in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
            shell = shells.setdefault(id(value), torch.empty_like(value, device="meta"))
            named[f"{place}.{name}" if place else name] = shell
    return named


def on_meta(module: nn.Module) -> nn.Module:
    """Return a copy of `module` without its numbers, on the meta device; the module itself is left alone."""
    shells: dict[int, Any] = {}
    for parameter in module.parameters():
        shells[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
    for buffer in module.buffers():
        shells[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, shells)


def meta_image(channels: int, num_frames: int, size: tuple[int, int]) -> Tensor:
    """Return a shape-only image (1, C, H, W), or (1, C, T, H, W) for several frames."""
    shape = (1, channels, *size) if num_frames == 1 else (1, channels, num_frames, *size)
    return torch.empty(shape, device="meta")


def input_channels(backbone: nn.Module) -> int:
    """Return how many channels a backbone's image has: its `in_chans`, else its first convolution's.

    Raises:
        UserError: neither is there.
    """
    declared = getattr(backbone, "in_chans", None)
    if isinstance(declared, int):
        return declared
    for module in backbone.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return module.in_channels
    raise UserError(
        f"It can't be told how many channels {type(backbone).__name__} takes: give it an attribute in_chans (an int)."
    )


def backbone_specs(backbone: nn.Module, image_size: tuple[int, int]) -> list[FeatureSpec]:
    """Return the features of a backbone: as it declares them (`feature_specs`), else as seen for an image of this size.

    Raises:
        UserError: it returns no list of features, or not as wide as its `out_channels` says.
    """
    name = type(backbone).__name__
    declared = getattr(backbone, "feature_specs", None)
    if declared is not None:
        return list(declared)
    widths = getattr(backbone, "out_channels", None)
    if not isinstance(widths, Sequence) or isinstance(widths, str):
        found = "has no out_channels" if widths is None else f"has out_channels={widths!r}"
        raise UserError(
            f"The backbone {name} {found}: give it a list of its features' widths, such as [64, 128, 256, 512]."
        )
    features = meta_forward(
        backbone, meta_image(input_channels(backbone), getattr(backbone, "num_frames", 1), image_size)
    )
    if not isinstance(features, list | tuple) or not all(isinstance(feature, Tensor) for feature in features):
        raise UserError(f"The backbone {name} returns {type(features).__name__}; a backbone returns a list of tensors.")
    return observe(
        features, list(widths), image_size, part=f"the backbone {name}", patch=getattr(backbone, "patch_size", None)
    )


def observe(
    features: Sequence[Tensor], widths: list[int], image_size: tuple[int, int], *, part: str, patch: object = None
) -> list[FeatureSpec]:
    """Return the specs of features by their shapes, for an image of this size.

    Raises:
        UserError: a feature is not as wide as `widths` says, or no layout fits its shape.
    """
    if len(features) != len(widths):
        raise UserError(f"{part} declares {len(widths)} features ({widths}) and returns {len(features)}.")
    return [
        _spec(tuple(feature.shape), width, image_size, part, patch)
        for feature, width in zip(features, widths, strict=True)
    ]


def _spec(shape: tuple[int, ...], width: int, image_size: tuple[int, int], part: str, patch: object) -> FeatureSpec:
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
        sizes = [patch[-1] if isinstance(patch, list | tuple) else patch] if patch else range(1, min(image_size) + 1)
        for size in sizes:
            if isinstance(size, int) and not (image_size[0] % size or image_size[1] % size):
                prefix = shape[1] - (image_size[0] // size) * (image_size[1] // size)
                if 0 <= prefix <= 16:
                    return FeatureSpec(width, size, "tokens", num_prefix_tokens=prefix)
    raise UserError(
        f"{part} returns a feature of shape {shape} for an image of {image_size[0]} x {image_size[1]} pixels, declared {width} wide: "
        "neither tokens (B, prefix + rows * columns, width), nor a map (B, width, rows, columns) or (B, rows, columns, width), nor "
        "a vector (B, width)."
    )


def _stride(cells: tuple[int, ...], image_size: tuple[int, int]) -> int | Fraction | None:
    """Return the stride that explains a map's rows and columns, or None where the two directions disagree.

    It is exact where both directions agree exactly; convolutions that lose a border are rounded.
    """
    if not all(cells):
        return None
    by_row, by_column = (Fraction(pixels, count) for pixels, count in zip(image_size, cells, strict=True))
    if by_row == by_column:
        return int(by_row) if by_row.denominator == 1 else by_row
    return max(1, round(by_column)) if 0.6 < by_row / by_column < 1.67 else None


def features_like(specs: Sequence[FeatureSpec], image_size: tuple[int, int]) -> list[Tensor]:
    """Return shape-only features as `specs` describe them, for one image of a size that every stride divides."""
    return [torch.empty(_shape(spec, image_size), device="meta") for spec in specs]


def _shape(spec: FeatureSpec, image_size: tuple[int, int]) -> tuple[int, ...]:
    rows, columns = (int(pixels / Fraction(spec.stride)) for pixels in image_size)
    if spec.layout == "vector":
        return (1, spec.channels)
    if spec.layout == "tokens":
        return (1, spec.num_prefix_tokens + spec.num_frames * rows * columns, spec.channels)
    return (1, spec.channels, rows, columns) if spec.layout == "NCHW" else (1, rows, columns, spec.channels)


def unreached_parameters(module: nn.Module, *args: Any, **kwargs: Any) -> list[str]:
    """Return the names of the parameters on which the module's output does not depend, from a forward on the meta device.

    The module returns a `ModelOutput`; widths are checked at every convolution, since torch checks few on that device.

    Raises:
        RuntimeError: shapes don't fit.
    """
    shells = _shells(module)
    weights = {name: shells[name] for name, _ in module.named_parameters()}
    for value in weights.values():
        value.requires_grad_(value.is_floating_point())
    hooks = [part.register_forward_pre_hook(_check_width) for part in module.modules() if isinstance(part, _ConvNd)]
    try:
        with torch.enable_grad(), torch.device("meta"), _mode(module, False):
            returned = torch.func.functional_call(module, shells, args, kwargs, tie_weights=False)
    finally:
        for hook in hooks:
            hook.remove()
    return unused([returned.output, *returned.auxiliary_heads.values()], weights)


def meta_coordinates(encoder: nn.Module, num_frames: int, given: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Return shape-only coordinates of one image: those that the encoder takes (`coords_encoding`), of those `given`."""
    shapes = {"time": ("temporal_coords", (1, num_frames, 2)), "location": ("location_coords", (1, 2))}
    wanted = [shapes[name] for name in getattr(encoder, "coords_encoding", ()) if given is None or name in given]
    return {name: torch.empty(shape, device="meta") for name, shape in wanted}


def check_training_batch(model: nn.Module, *, image_size: tuple[int, int], num_frames: int) -> None:
    """Refuse batches of one image where the model's batch norm then has a single value a channel.

    Raises:
        UserError: says which settings help.
    """
    image = meta_image(input_channels(model.encoder), num_frames, image_size)  # type: ignore[arg-type]
    try:
        meta_forward(model, image, training=True)
    except ValueError as error:
        raise UserError(
            f"Batches of one image of {image_size[0]} x {image_size[1]} pixels leave batch norm a single value a channel, "
            f"which has no variance ({error}). Use data.batch_size=2 or more, or a larger data.tile_px."
        ) from error


def _check_width(module: nn.Module, args: tuple[Any, ...]) -> None:
    assert isinstance(module, _ConvNd)
    given = args[0].shape[1]
    if given != module.in_channels:
        raise RuntimeError(f"{type(module).__name__} takes {module.in_channels} channels and gets {given}.")


def unused(outputs: Iterable[Tensor], parameters: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the parameters that the outputs' autograd graph does not reach."""
    reached: set[int] = set()
    seen: set[Any] = set()
    waiting: list[Any] = [output.grad_fn for output in outputs]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            reached.add(id(node.variable))
        waiting.extend(before for before, _ in node.next_functions)
    return [name for name, parameter in parameters.items() if id(parameter) not in reached]
