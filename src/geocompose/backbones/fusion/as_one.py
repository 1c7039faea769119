"""What backbones side by side say of themselves as one: frames, image size, bands, and what their weights have seen."""

from collections.abc import Mapping, Sequence

from geocompose.contracts.backbone import USUAL_SIZE, BackboneContract
from geocompose.errors import UserError
from geocompose.imagery.bands import canonical
from geocompose.imagery.pretraining import Pretraining


def common_frames(contracts: Mapping[str, BackboneContract]) -> int:
    """Return how many frames every part takes.

    Raises:
        UserError: they take different numbers.
    """
    frames = {name: said.frames for name, said in contracts.items()}
    if len(set(frames.values())) > 1:
        shown = ", ".join(f"{name} {count}" for name, count in frames.items())
        raise UserError(
            f"The parts of the backbone take different numbers of frames: {shown}. Give each num_frames=1, and let "
            "temporal=mean hand a time series on one by one."
        )
    return next(iter(frames.values()))


def common_size(contracts: Mapping[str, BackboneContract]) -> tuple[bool, tuple[int, int]]:
    """Return whether a part takes images of one size only, and that size, else one that suits.

    Raises:
        UserError: two parts take images of one size only, and not of the same.
    """
    fixed = {name: said.own_size for name, said in contracts.items() if said.fixed_size}
    if len(set(fixed.values())) > 1:
        shown = ", ".join(f"{name} {rows} x {columns}" for name, (rows, columns) in fixed.items())
        raise UserError(f"Parts of the backbone take images of one size only, and not the same: {shown} pixels.")
    if fixed:
        return True, next(iter(fixed.values()))
    sizes = [said.img_size for said in contracts.values() if said.img_size is not None]
    return False, sizes[0] if sizes else USUAL_SIZE


def merged_pretraining(seen: Sequence[tuple[Pretraining | None, list[str]]]) -> Pretraining | None:
    """Return what several weights have seen as one; of a band that several read, what the first one has seen.

    Unit and level are those on which all agree; numbers are there where all bands have them.
    """
    known = [(each, bands) for each, bands in seen if each is not None]
    if not known:
        return None
    numbers: dict[str, tuple[float, float] | None] = {}
    for each, bands in known:
        for band in bands:
            if not each.lacking([band]):
                found = each.statistics([band])
                numbers.setdefault(canonical(band), None if found is None else (found[0][0], found[1][0]))
    units, levels = {each.unit for each, _ in known}, {each.level for each, _ in known}
    pairs = [pair for pair in numbers.values() if pair is not None]
    whole = len(pairs) == len(numbers)
    return Pretraining(
        tuple(numbers),
        unit=units.pop() if len(units) == 1 else None,
        level=levels.pop() if len(levels) == 1 else None,
        mean=tuple(mean for mean, _ in pairs) if whole else None,
        std=tuple(std for _, std in pairs) if whole else None,
    )


def bands_of(name: str, said: BackboneContract) -> list[str]:
    """Return the bands that a part says it reads, or made-up names, as many as it has channels."""
    own = said.bands or [band for listed in (said.modalities or {}).values() for band in listed]
    return list(own) if own else [f"{name}_{channel}" for channel in range(said.channels)]
