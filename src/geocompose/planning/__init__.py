"""Neck planning: what a user may ask for, and the necks between a backbone's features and what a decoder reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal, get_args

from geocompose.contracts.features import FeatureSpec, common_multiple
from geocompose.contracts.needs import Needs
from geocompose.errors import UserError, choices
from geocompose.planning.automatic import NeckConfig, Pyramid, planned_necks, to_maps

__all__ = ["AutoNecks", "NeckChoice", "NeckConfig", "NeckList", "NoNecks", "neck_choice", "padding_multiple", "plan"]


@dataclass(frozen=True)
class AutoNecks:
    """Necks are planned between the backbone's features and the decoder's needs (`necks="auto"`).

    pyramid: how levels of several resolutions are made of maps of one, wherever a decoder needs that: `learned`
    (enlarged by transposed convolutions and max-pooled: four maps at stride 16 become 4, 8, 16 and 32), `interpolated`
    (the same resolutions without weights) or `pooled` (16, 32, 64 and 128). Maps at a stride below 4 are always pooled.
    """

    pyramid: Literal["learned", "interpolated", "pooled"] = "learned"

    def __post_init__(self) -> None:
        """Refuse what is not a way to make a pyramid.

        Raises:
            UserError: names the nearest.
        """
        if self.pyramid not in get_args(Pyramid):
            raise UserError(f"neck.pyramid has no value {self.pyramid!r}. {choices(self.pyramid, get_args(Pyramid))}")


@dataclass(frozen=True)
class NoNecks:
    """The features go to the decoder as they are (`necks=None`), except that Prithvi's tokens become maps.

    So does what else prepares its features itself (`geocompose.backbones.foreign.prepared`).
    """


@dataclass(frozen=True)
class NeckList:
    """Necks exactly as the user wrote them: mappings with a `name` and the neck's arguments."""

    necks: list[dict[str, object]] = field(default_factory=list)


NeckChoice = AutoNecks | NoNecks | NeckList


def neck_choice(necks: object) -> NeckChoice:
    """Return what `build_model(necks=...)` means.

    Raises:
        UserError: it is neither null, `auto` nor a list of mappings with a name.
    """
    if isinstance(necks, AutoNecks | NoNecks | NeckList):
        return necks if not isinstance(necks, NeckList) else NeckList(_checked(necks.necks))
    if necks is None:
        return NoNecks()
    if isinstance(necks, str):
        if necks == "auto":
            return AutoNecks()
        raise UserError(f"necks must be null, 'auto' or a list of necks; got {necks!r}. {choices(necks, ['auto'])}")
    if isinstance(necks, Sequence):
        return NeckList(_checked(necks))
    raise UserError(
        f"necks must be null, 'auto' or a list of necks such as [{{name: SelectIndices, indices: [-1]}}]; got "
        f"{necks!r}."
    )


def _checked(necks: Sequence[Any]) -> list[Any]:
    for position, neck in enumerate(necks):
        if not callable(neck) and (not hasattr(neck, "keys") or "name" not in neck):
            raise UserError(
                "Each neck must be a mapping with a name, such as {name: ReshapeTokensToImage}, a module or a "
                f"constructor; neck.necks[{position}] is {neck!r}."
            )
    return [neck if callable(neck) else dict(neck) for neck in necks]


def plan(
    choice: NeckChoice,
    specs: list[FeatureSpec],
    needs: Needs,
    *,
    maps_by_default: bool,
    auxiliary: Sequence[Needs] = (),
) -> list[NeckConfig]:
    """Return the necks between features and decoder, as the list that a user could have written by hand.

    maps_by_default: without necks, the backbone's tokens become maps (Prithvi's do). auxiliary: the needs of the
    auxiliary decoders, which read what the main one gets: if one of them reads more than the last feature, all go on.
    """
    if isinstance(choice, NeckList):
        return _checked(choice.necks)
    if isinstance(choice, NoNecks):
        return to_maps(specs[:1]) if maps_by_default else []
    if needs.reads_one and not all(other.reads_one for other in auxiliary):
        needs = replace(needs, reads_one=False)
    return planned_necks(specs, needs, choice.pyramid)


def padding_multiple(before: list[FeatureSpec], after: list[FeatureSpec], needs: Needs) -> int:
    """Return the multiple of pixels that an image is padded to, given the features before and after the necks.

    It is a whole number of cells of every feature, and of every map inside a decoder that goes on to coarser ones.
    """
    inside = [replace(spec, stride=Fraction(spec.stride) * needs.coarser) for spec in after if spec.layout != "vector"]
    return common_multiple([*before, *after, *inside])
