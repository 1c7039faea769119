"""Finding out what modules return without computing anything: forwards on the meta device, shapes only."""

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.shapes import check_list, observe, shape_of
from geocompose.errors import UserError, first_line
from geocompose.imagery.modalities import Image, modalities_of

DIVISIBLE = 224  # pixels: a whole number of cells of every stride up to 32 and of patches of 7, 8, 14, 16, 28 and 32
# Pixels: no square, in which a stride that doesn't divide it would look like a fraction; its columns are whole cells of
# 64 and 128 too, and as many more than its rows as all strides up to 8, 10, 12, 15, 20, 24, 28, 30, 40 and 48 divide.
LONG_IMAGE = (224, 3584)


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


def probe_image(backbone: nn.Module, size: tuple[int, int], num_frames: int | None = None) -> Image:
    """Return a shape-only image as a backbone itself takes it: a mapping of images where it has several modalities.

    num_frames: as many as the backbone says it takes where null.
    """
    frames = int(getattr(backbone, "num_frames", 1)) if num_frames is None else num_frames
    places = modalities_of(backbone)
    if places is None:
        return meta_image(input_channels(backbone), frames, size)
    return {name: meta_image(len(listed), frames, size) for name, listed in places.items()}


def input_channels(backbone: nn.Module) -> int:
    """Return how many channels a backbone's image has: its `in_chans`, else its `bands`, else its first convolution's.

    Raises:
        UserError: none of them is there.
    """
    declared = getattr(backbone, "in_chans", None)
    if isinstance(declared, int):
        return declared
    bands = getattr(backbone, "bands", None)
    if isinstance(bands, Sequence) and not isinstance(bands, str):
        return len(bands)
    modalities = getattr(backbone, "modalities", None)
    if isinstance(modalities, Mapping):
        return len({band for listed in modalities.values() for band in listed})
    for module in backbone.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return module.in_channels
    raise UserError(
        f"It can't be told how many channels {type(backbone).__name__} takes: give it an attribute in_chans (an int)."
    )


# Of a size, a kind or a number of channels that a forward can't take.
WHAT_A_FORWARD_RAISES = (RuntimeError, AssertionError, ValueError, TypeError, LookupError, AttributeError)


def backbone_specs(backbone: nn.Module, image_size: tuple[int, int]) -> list[FeatureSpec]:
    """Return the features of a backbone: as it declares them (`feature_specs`), else as seen for an image of this size.

    An image is made larger for that, to sizes that all usual patches and strides divide, if the backbone takes them: a
    map's cells then say its stride exactly.

    Raises:
        UserError: it returns no list of features, or not as wide as its `out_channels` says, or can't be tried.
    """
    name = type(backbone).__name__
    declared = getattr(backbone, "feature_specs", None)
    if declared is not None:
        return _declared(name, declared)
    widths = getattr(backbone, "out_channels", None)
    if not isinstance(widths, Sequence) or isinstance(widths, str) or not all(isinstance(c, Integral) for c in widths):
        found = "has no out_channels" if widths is None else f"has out_channels={widths!r}"
        raise UserError(
            f"The backbone {name} {found}: give it a list of its features' widths, such as [64, 128, 256, 512]."
        )
    patch = getattr(backbone, "patch_size", None)
    stopped: Exception | None = None
    refused: UserError | None = (
        None  # at a size that the patch doesn't divide, for example; the last is the image's own
    )
    for size in _sizes(backbone, image_size):
        try:
            features = meta_forward(backbone, probe_image(backbone, size))
        except WHAT_A_FORWARD_RAISES as error:
            stopped = error
            continue
        try:
            check_list(features, name)
            specs = observe(
                features, list(widths), size, part=f"The backbone {name}", patch=patch,
                num_frames=int(getattr(backbone, "num_frames", 1)),
            )  # fmt: skip
            if not patch:
                _confirm_tokens(backbone, name, specs, features, size)
            return specs
        except UserError as error:
            refused = error
    if refused is not None:
        raise refused
    assert stopped is not None
    raise _untriable(backbone, name, image_size, stopped) from stopped


def _confirm_tokens(
    backbone: nn.Module, name: str, specs: Sequence[FeatureSpec], features: Sequence[Tensor], size: tuple[int, int]
) -> None:
    """Refuse a patch and prefix tokens that explain the number of tokens at one size of the image, but not at another.

    A backbone that takes no other size is believed where the grid has no fewer cells than there are tokens before it.

    Raises:
        UserError: says how many tokens there are, and what to declare.
    """
    places = [place for place, spec in enumerate(specs) if spec.layout == "tokens"]
    if not places:
        return
    taller = (2 * size[0], size[1])
    others: Any = None
    if not getattr(backbone, "fixed_size", False):
        with suppress(*WHAT_A_FORWARD_RAISES):  # it takes images of one size alone
            others = meta_forward(backbone, probe_image(backbone, taller))
    for place in places:
        spec, tokens = specs[place], features[place].shape[1]
        if others is not None:
            found = others[place].shape[1]
            if tuple(others[place].shape) == shape_of(spec, taller):
                continue
            seen = f"{tokens} tokens for an image of {size[0]} x {size[1]} pixels and {found} for {taller[0]} x {taller[1]}"
        else:
            if 2 * spec.num_prefix_tokens <= tokens:
                continue
            seen = f"{tokens} tokens for an image of {size[0]} x {size[1]} pixels, the one size that it takes"
        raise UserError(
            f"The backbone {name} returns {seen}, which no grid of patches with prefix tokens before it explains: "
            "tokens are (B, prefix + rows * columns, width). Return all of them, and nothing else behind them; or give "
            "the backbone feature_specs."
        )


def _sizes(backbone: nn.Module, image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the sizes at which a backbone is looked at, the best first."""
    if getattr(backbone, "fixed_size", False):
        own: Any = getattr(backbone, "img_size", image_size)
        return [(own, own) if isinstance(own, int) else (int(own[0]), int(own[1]))]
    patch = getattr(backbone, "patch_size", None)
    patch = patch[-1] if isinstance(patch, list | tuple) and patch else patch
    unit = math.lcm(DIVISIBLE, patch) if isinstance(patch, int) and patch > 0 else DIVISIBLE
    whole = (-(-image_size[0] // unit) * unit, -(-image_size[1] // unit) * unit)
    return list(dict.fromkeys([*([LONG_IMAGE] if unit == DIVISIBLE else []), whole, image_size]))


def _declared(name: str, declared: Any) -> list[FeatureSpec]:
    if not isinstance(declared, Sequence) or not all(isinstance(spec, FeatureSpec) for spec in declared):
        raise UserError(
            f"The backbone {name} has feature_specs={declared!r}; they are a list of FeatureSpec "
            "(geocompose.contracts.features), one for each feature. Mend them, or leave them out: then the features "
            "are looked at."
        )
    return list(declared)


def _untriable(backbone: nn.Module, name: str, image_size: tuple[int, int], error: Exception) -> UserError:
    """Return what to say of a backbone whose forward stopped, as far as it can be told why."""
    said = first_line(error)
    channels = input_channels(backbone)
    given = probe_image(backbone, image_size)
    shape = tuple(given.shape) if isinstance(given, Tensor) else {key: tuple(one.shape) for key, one in given.items()}
    if any(word in said for word in ("meta", "NVIDIA", "CUDA")) or isinstance(error, NotImplementedError):
        advice = (
            "A composition is tried without numbers, so its forward can't ask for any (item(), numpy(), isnan().any(), "
            "a Python if on a tensor's values), nor make tensors of a device that it names itself."
        )
    elif "channel" not in said:
        advice = "Mend its forward, or choose a data.tile_px that it takes."
    elif isinstance(getattr(backbone, "in_chans", None), int):
        advice = f"It was given in_chans={channels} channels; mend in_chans, patch_size or img_size if they are not so."
    else:
        advice = f"Its first convolution has {channels} channels; if its image has others, say so by an attribute in_chans (an int)."
    return UserError(
        f"The backbone {name} can't take an image of {channels} channels and {image_size[0]} x {image_size[1]} pixels, "
        f"of shape {shape}; it stopped with: {said}. {advice}"
    )


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
            f"Batches of one image of {image_size[0]} x {image_size[1]} pixels leave batch norm a single value a "
            f"channel, which has no variance ({error}). Use data.batch_size=2 or more, or a larger data.tile_px."
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
