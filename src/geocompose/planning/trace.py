"""A list of necks tried one after the other, so that an error says which of them it is and what that one got."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor

from geocompose.arguments import as_written
from geocompose.contracts.features import FeatureSpec, common_multiple
from geocompose.contracts.meta import meta_forward
from geocompose.contracts.shapes import features_like, observe
from geocompose.errors import UserError, first_line
from geocompose.necks.base import NeckSequence
from geocompose.planning.automatic import to_maps
from geocompose.registry import NECK_REGISTRY

CELLS = (64, 96)  # of the coarsest feature in the trial: every level that necks may add divides them

Known = list[FeatureSpec | None]  # None: of a shape between necks that no layout explains


def neck_name(neck: Any) -> str:
    """Return the name of a neck as its user wrote it, or of the class that they gave."""
    if isinstance(neck, Mapping):
        return str(neck["name"])
    return getattr(neck, "__name__", type(neck).__name__)


@contextmanager
def at_neck(position: int, name: str, *, written: bool) -> Iterator[None]:
    """Begin any message to the user with the neck that it is about, such as `neck.necks[1] (SelectIndices)`.

    written: whether a user wrote the list, so that the position says something.
    """
    try:
        yield
    except UserError as error:
        if not written:
            raise
        place, message = f"neck.necks[{position}] ({name})", str(error)
        raise UserError(
            place + message.removeprefix(name) if message.startswith(name) else f"{place}: {message}"
        ) from error


def listed(specs: Sequence[FeatureSpec | None]) -> str:
    """Return features as a message shows them, those alike once: `192 ch, 1/16, tokens (4 times)`."""
    counts: dict[str, int] = {}
    for spec in specs:
        shown = str(spec or "a shape that no layout explains")
        counts[shown] = counts.get(shown, 0) + 1
    return "; ".join(f"{shown} ({count} times)" if count > 1 else shown for shown, count in counts.items())


def check_order(necks: Sequence[Any], specs: Sequence[FeatureSpec]) -> None:
    """Refuse a pyramid made of tokens, before its widths are looked at: they say nothing of where the fault lies.

    Raises:
        UserError: names the neck, and what has to stand before it.
    """
    if not specs or any(spec.layout != "tokens" for spec in specs):
        return
    for position, neck in enumerate(necks):
        name, declared = neck_name(neck), _class_of(neck)
        if getattr(declared, "reads_maps", False):
            raise UserError(
                f"neck.necks[{position}] ({name}) can't read what it gets: {listed(specs)}. Tokens are not maps yet: "
                f"write {as_written(to_maps(specs[:1]))[1:-1]} before it, or use neck=auto."
            )
        if not getattr(declared, "keeps_tokens", False):
            return


def _class_of(neck: Any) -> object:
    """Return what says of a neck what it reads: the class of its name, the constructor, or the finished module."""
    if isinstance(neck, Mapping):
        name = str(neck["name"])
        if name not in NECK_REGISTRY:
            return None  # refused where it is built, with the nearest name
        return NECK_REGISTRY[name]
    return neck.func if isinstance(neck, partial) else neck


def traced(
    neck: NeckSequence, names: Sequence[str], specs: Sequence[FeatureSpec], *, written: bool
) -> list[FeatureSpec]:
    """Return the specs of the features after the last neck.

    names: those of the necks. written: see `at_neck`. The necks run on the meta device, for an image that every level
    divides, whatever the data's size: strides are then exact.

    Raises:
        UserError: a neck can't read what it gets, or doesn't return what it says.
    """
    multiple = common_multiple(specs)
    size = (CELLS[0] * multiple, CELLS[1] * multiple)
    features: list[Tensor] = features_like(specs, size)
    widths, known = [spec.channels for spec in specs], Known(specs)
    for position, (step, name) in enumerate(zip(neck, names, strict=True)):
        with at_neck(position, name, written=written):
            returned = _called(NeckSequence([step]), features, known, size, name)
            widths = list(step.process_channel_list(widths))  # type: ignore[operator]
            before, known = (
                known,
                _specs(returned, widths, dict(zip(map(id, features), known, strict=True)), size, name),
            )
            features = list(returned)
            if position == len(neck) - 1 and None in known:
                raise UserError(
                    f"{name} makes of {listed(before)} what no decoder reads, neither tokens nor maps nor vectors of "
                    f"the widths {widths}: {', '.join(str(tuple(feature.shape)) for feature in features[:1])}. Leave "
                    "it out, or correct its arguments."
                )
    assert None not in known
    return known  # type: ignore[return-value]


def _called(neck: NeckSequence, features: list[Tensor], known: Known, size: tuple[int, int], name: str) -> list[Tensor]:
    found = [spec for spec in known if spec is not None]
    layouts = {spec.layout for spec in found}
    gets = listed(known)
    try:
        return meta_forward(neck, features, size)
    except UserError as error:
        cure = ""
        if name == "ReshapeTokensToImage" and "tokens" in layouts:
            cure = f" Write {as_written(to_maps(found))[1:-1]} instead."
        raise UserError(f"{error} It gets: {gets}.{cure}") from error
    except (RuntimeError, ValueError, NotImplementedError) as error:
        # Torch's own, of a shape that a layer can't take.
        said = first_line(error)
        maps = to_maps(found)
        cure = f"Write {as_written(maps)[1:-1]} before it" if maps else "Put what makes its input before it"
        raise UserError(
            f"{name} can't read what it gets: {gets}. {cure}, or use neck=auto. It stopped with: {said}."
        ) from error


def _specs(
    features: Sequence[Tensor],
    widths: list[int],
    before: dict[int, FeatureSpec | None],
    size: tuple[int, int],
    name: str,
) -> Known:
    """Return the specs of features; one that a neck only hands on stays what it was."""
    if len(features) != len(widths):
        raise UserError(f"{name} says that it gives {len(widths)} features ({widths}), and gives {len(features)}.")
    specs: Known = []
    for feature, width in zip(features, widths, strict=True):
        if id(feature) in before:
            specs.append(before[id(feature)])
            continue
        try:
            specs += observe([feature], [width], size, part=name)
        except UserError:
            specs.append(None)  # refused by the caller if it is what the decoder gets
    return specs
