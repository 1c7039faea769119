"""What each attribute of a backbone has to be: a value as it stands on the module becomes one of a known type.

An attribute that often means something else in other classes is passed over (None) where it is of another type; one
that only a backbone would have is refused, with what to write.
"""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TypeGuard

from torch import nn

from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError, choices
from geocompose.imagery.pretraining import Pretraining

# How the features of several modalities become one list: channels side by side, their mean, or the largest value.
MERGING = ("concat", "mean", "max")


def class_name(module: nn.Module) -> str:
    """Return the name of a backbone's class, of the one inside where PEFT has wrapped it."""
    base = getattr(module, "get_base_model", None)
    return type(base() if callable(base) else module).__name__


def first_convolution(module: nn.Module) -> int | None:
    """Return how many channels a module's first convolution takes, or None where it has none."""
    convolutions = (part for part in module.modules() if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d))
    first = next(convolutions, None)
    return None if first is None else first.in_channels


def number(value: object) -> int | None:
    """Return a whole number of any kind as an int, or None for anything else."""
    return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None


def numbers(value: object) -> tuple[int, ...] | None:
    """Return a list of whole numbers, or None for anything else."""
    if not _is_list(value):
        return None
    found = [number(each) for each in value]
    whole = tuple(each for each in found if each is not None)
    return whole if len(whole) == len(found) else None


def texts(value: object) -> tuple[str, ...] | None:
    """Return a list's items as texts, or None for anything but a list."""
    return tuple(map(str, value)) if _is_list(value) else None


def parameters(backbone: str, value: object) -> tuple[str, ...]:
    """Return names of a backbone's own parameters (`random_inputs`).

    Raises:
        UserError: it is not a list.
    """
    named = () if value is None else texts(value)
    if named is None:
        raise UserError(
            f"The backbone {backbone} has random_inputs={value!r}; it is a list of names of its parameters, such as "
            "['conv1.weight']."
        )
    return named


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def count(backbone: str, attribute: str, value: object) -> int | None:
    """Return a number of frames or pixels.

    Raises:
        UserError: it is not a whole number, 1 or more.
    """
    found = number(value)
    if value is not None and (found is None or found < 1):
        raise UserError(f"The backbone {backbone} has {attribute}={value!r}; it is a whole number, 1 or more.")
    return found


def widths(backbone: str, value: object) -> tuple[int, ...] | None:
    """Return the widths of features (`out_channels`).

    Raises:
        UserError: it is not a list of whole numbers.
    """
    found = numbers(value)
    if value is not None and found is None:
        raise no_widths(backbone, value)
    return found


def widths_by_modality(backbone: str, value: object) -> Mapping[str, tuple[int, ...]] | None:
    """Return the widths of each modality's features, where `out_channels` is a mapping of them; None where it isn't.

    Raises:
        UserError: a modality has no list of widths.
    """
    if not isinstance(value, Mapping):
        return None
    found = {str(name): widths(f"{backbone} (its {name})", each) for name, each in value.items()}
    known = {name: each for name, each in found.items() if each}
    if not known or len(known) < len(found):
        raise no_widths(backbone, value)
    return known


def merging(backbone: str, value: object) -> str | None:
    """Return how features by modality become one list (`merge_modalities`).

    Raises:
        UserError: it is not a way that there is.
    """
    if value is None or (isinstance(value, str) and value in MERGING):
        return value
    raise UserError(f"The backbone {backbone} has merge_modalities={value!r}. {choices(str(value), MERGING)}")


def no_widths(backbone: str, value: object) -> UserError:
    """Return what to say of a backbone without a list of widths. value: its `out_channels`, None where it has none."""
    found = "has no out_channels" if value is None else f"has out_channels={value!r}"
    return UserError(
        f"The backbone {backbone} {found}: give it a list of its features' widths, such as [64, 128, 256, 512]."
    )


def specs(backbone: str, value: object) -> tuple[FeatureSpec, ...] | None:
    """Return what a backbone declares of its features (`feature_specs`).

    Raises:
        UserError: it is not a list of `FeatureSpec`.
    """
    if value is None:
        return None
    if not isinstance(value, Sequence) or not all(isinstance(spec, FeatureSpec) for spec in value):
        raise UserError(
            f"The backbone {backbone} has feature_specs={value!r}; they are a list of FeatureSpec "
            "(geocompose.contracts.features), one per feature. Fix them, or leave them out: then the features are "
            "looked at."
        )
    return tuple(value)


def patch(value: object) -> int | None:
    """Return the side of a patch in pixels (`patch_size`), or None for anything else."""
    # A list may be (frames, rows, columns); patches are square, so that the last side stands for both.
    side = number(value[-1] if isinstance(value, list | tuple) and value else value)
    return side if side is not None and side > 0 else None


def size(backbone: str, value: object) -> tuple[int, int] | None:
    """Return rows and columns (`img_size`); one number is both.

    Raises:
        UserError: it is neither a number of pixels nor two.
    """
    if value is None:
        return None
    side = number(value)
    sides = numbers(value) if side is None else (side, side)
    if sides is None or len(sides) != 2 or min(sides) < 1:
        raise UserError(
            f"The backbone {backbone} has img_size={value!r}; it is a number of pixels, or rows and columns, such as "
            "(224, 224)."
        )
    return sides[0], sides[1]


def coordinates(backbone: str, value: object) -> tuple[str, ...] | None:
    """Return what a backbone takes beside its image (`coords_encoding`).

    Raises:
        UserError: it is not a list of texts.
    """
    if value is None:
        return None
    if not _is_list(value) or not all(isinstance(each, str) for each in value):
        raise UserError(
            f"The backbone {backbone} has coords_encoding={value!r}; it is a list of 'time', 'location', or both."
        )
    return tuple(map(str, value))


def pretraining(value: object) -> Pretraining | None:
    """Return what weights have seen (`pretraining`, `published`), or None for anything else."""
    return value if isinstance(value, Pretraining) else None


def weights(value: object) -> Mapping[str, object] | None:
    """Return where weights come from (`weights`), or None for an empty mapping and for anything else."""
    return {str(key): each for key, each in value.items()} if isinstance(value, Mapping) and value else None


def modalities(backbone: str, value: object) -> Mapping[str, tuple[str, ...]] | None:
    """Return the bands of each modality (`modalities`).

    Raises:
        UserError: it is not a mapping of names to lists of bands.
    """
    if value is None:
        return None
    listed = {} if not isinstance(value, Mapping) else {str(name): texts(bands) for name, bands in value.items()}
    found = {name: bands for name, bands in listed.items() if bands is not None}
    if not found or len(found) < len(listed):
        raise UserError(
            f"The backbone {backbone} has modalities={value!r}; they are a mapping of names to lists of bands, such as "
            "{'optical': ['RED', 'NIR_NARROW'], 'sar': ['VV', 'VH']}."
        )
    return found
