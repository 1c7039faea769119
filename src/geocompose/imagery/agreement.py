"""Whether data is what pretrained weights have seen: unit, level and bands."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from geocompose.errors import UserError
from geocompose.imagery.bands import canonical
from geocompose.imagery.pretraining import Pretraining
from geocompose.imagery.units import LEVELS, UNITS, Values, number_in_words

# What the weights of a backbone have seen, None for random ones, and which bands of the data it reads.
Seen = tuple[Pretraining | None, list[str]]


def units_read(known: Sequence[Seen], bands: Sequence[str]) -> list[str | None]:
    """Return the unit of each band that a backbone reads; None where it has none, as random weights of most do.

    known: of each of its parts, what its weights have seen or, where they are random, what the published ones have.

    Raises:
        UserError: two backbones side by side read a band in different units.
    """
    units: dict[str, str | None] = {}
    for seen, read in known:
        for band in map(canonical, read):
            unit = None if seen is None else seen.unit
            if None not in (unit, units.get(band)) and unit != units[band]:
                raise UserError(
                    f"Parts of the backbone read the band {band} in {units[band]} and in {unit}: data can't be both. "
                    "Give one of them other weights, or other bands."
                )
            units[band] = units.get(band) or unit
    return [units.get(canonical(band)) for band in bands]


def with_consent(backbone: Mapping[str, Any], *, consented: bool) -> dict[str, Any]:
    """Return a backbone's arguments, its parts' too, told whether bands that the weights lack may start randomly."""
    told = dict(backbone)
    if "allow_random_bands" in told:
        told["allow_random_bands"] = consented or told["allow_random_bands"]
    if isinstance(told.get("parts"), Mapping):
        told["parts"] = {
            name: with_consent(part, consented=consented) if isinstance(part, Mapping) else part
            for name, part in told["parts"].items()
        }
    return told


def consents(config: Mapping[str, Any]) -> set[str]:
    """Return which mismatches a configuration states as intended; `backbone.allow_random_bands` is `band`."""
    stated = set((config.get("data") or {}).get("allow_mismatch") or ())
    return stated | ({"band"} if config["backbone"].get("allow_random_bands") else set())


def mismatches(weights: Sequence[Seen], values: Values, *, allowed: set[str]) -> list[str]:
    """Return what differs between a backbone's weights and the data and is intended, one sentence per difference.

    weights: of each of its parts. values: what the data states of the bands. allowed: which of unit, level and band may
    differ. Random weights have neither, and nothing is asked of the data.

    Raises:
        UserError: something else differs, or is not stated where the weights have it; says what to write.
    """
    found: dict[str, list[_Difference]] = {}
    for seen, read in weights:
        if seen is None:
            continue
        lacking = seen.lacking(read)
        stated = {id(each): each for each in (values.band(name) for name in read if name not in lacking)}.values()
        differences = [("unit", _of_unit(seen, each)) for each in stated]
        differences += [("level", _of_level(seen, each)) for each in stated]
        for name, difference in [*differences, ("band", _of_bands(seen, read))]:
            if difference is not None and difference not in found.get(name, []):
                found.setdefault(name, []).append(difference)
    refused = [name for name in found if name not in allowed]
    if refused:
        said = " ".join(f"{name}: {one.text} {one.change}" for name in refused for one in found[name])
        raise UserError(
            f"The data is not what the pretrained weights have seen. {said} If the difference is intended, state it: "
            f"'data.allow_mismatch=[{','.join(found)}]'."
        )
    return [f"{name}: {one.text}" for name, several in found.items() for one in several]


class _Difference(NamedTuple):
    """What differs, and the smallest change that fixes it."""

    text: str
    change: str


def check_convertible(values: Values, bands: Sequence[str], units: Sequence[str | None]) -> None:
    """Refuse data whose stated unit can't be turned into the units that a model reads, one per band.

    Raises:
        UserError: names both units.
    """
    if "unit" in (values.allow_mismatch or ()):
        return
    for band, unit in zip(bands, units, strict=True):
        stated = values.band(band)
        if unit is None or stated.unit is None or stated.becomes(unit):
            continue
        raise UserError(
            f"The model reads {band} in {unit} ({UNITS[unit]}); the data is {_words(stated)}, and {_why_not(stated)}. "
            f"{_change(stated)} If that is intended, state it: 'data.allow_mismatch=[unit]'."
        )


def taken_for(values: Values, bands: Sequence[str], units: Sequence[str | None]) -> dict[str, str | None]:
    """Return what data that states no unit has to be where published numbers normalise it, by the keys that are null.

    units: those that a model reads, one per band; None where unknown.
    """
    stated = [values.band(band) for band in bands]
    return {f"{own.group}.unit": unit for own, unit in zip(stated, units, strict=True) if own.unit is None}


def check_counted_alike(values: Values, recorded: Mapping[str, Any]) -> None:
    """Refuse digital numbers with another offset or scale than the training's, for a model that reads them as they are.

    recorded: the data of a run's record.

    Raises:
        UserError: names what differs; nothing could take it into account.
    """
    if values.unit != "dn" or "dn" not in (recorded.get("read_as") or ()) or recorded.get("unit") != "dn":
        return
    for name, given in (("offset", values.offset), ("scale", values.scale)):
        if given != recorded.get(name):
            trained = number_in_words(recorded.get(name))
            raise UserError(
                f"{values.group}.{name}={number_in_words(given)}, and the run was trained with data.{name}={trained}: "
                "its model reads digital numbers as they are in the files, so that the difference would change "
                f"nothing. Write {values.group}.{name}={trained}, and convert the values first if they are counted "
                "otherwise."
            )


def _of_unit(seen: Pretraining, values: Values) -> _Difference | None:
    if seen.unit is None or values.becomes(seen.unit):
        return None
    saw = f"{_they(seen)} saw {seen.unit} ({UNITS[seen.unit]})"
    if values.unit is None:
        others = ", ".join(unit for unit in UNITS if unit != seen.unit)
        return _Difference(
            f"{saw}, and {values.group}.unit is null.",
            f"Write what the files hold: {values.group}.unit={seen.unit}, or {others}.{_own_file(seen, 'unit', '...')}",
        )
    return _Difference(
        f"{saw}, the data is {_words(values)}, and {_why_not(values)}.",
        _change(values) + _own_file(seen, "unit", values.unit),
    )


def _they(seen: Pretraining) -> str:
    return "they" if seen.taken_for is None else f"the published weights of {seen.taken_for}"


def _own_file(seen: Pretraining, key: str, value: str) -> str:
    """Return how to say what a file of your own has seen, where it was taken for published weights."""
    if seen.taken_for is None:
        return ""
    return f" If the file in backbone.ckpt_path saw other data, write 'backbone.pretrained_on={{{key}: {value}}}'."


def _words(values: Values) -> str:
    assert values.unit is not None
    return f"{values.unit} ({UNITS[values.unit]})"


def _why_not(values: Values) -> str:
    return f"its {values.group}.offset is null" if values.unit == "dn" else "no rule turns one into the other"


def _change(values: Values) -> str:
    """Return the smallest change of data whose unit leads nowhere."""
    if values.unit == "dn":
        return (
            f"Write {values.group}.offset=0, or what was added: 1000 in Sentinel-2 images since processing baseline "
            "04.00."
        )
    return "Take other data or weights."


def _of_level(seen: Pretraining, values: Values) -> _Difference | None:
    if seen.level is None or seen.level == values.level:
        return None
    saw = f"{_they(seen)} saw {seen.level} ({LEVELS[seen.level]})"
    if values.level is None:
        return _Difference(
            f"{saw}, and {values.group}.level is null.",
            f"Write what the files hold: {values.group}.level={' or '.join(LEVELS)}.{_own_file(seen, 'level', '...')}",
        )
    return _Difference(
        f"{saw}, and the data is {values.level} ({LEVELS[values.level]}).",
        f"Take data of the level {seen.level}.{_own_file(seen, 'level', values.level)}",
    )


def _of_bands(seen: Pretraining, bands: Sequence[str]) -> _Difference | None:
    lacking = seen.lacking(bands)
    if not lacking:
        return None
    both = [name for name in bands if name not in lacking]
    text = f"they have no {', '.join(lacking)}; they have {', '.join(seen.names) or 'bands without names'}."
    there = {canonical(name) for name in seen.names}
    if "NIR_BROAD" in map(canonical, lacking) and "NIR_NARROW" in there:
        text += " B8 (NIR_BROAD) is not B8A (NIR_NARROW)."
    return _Difference(text, f"Write 'data.bands=[{','.join(both)}]'." if both else "Take other data or weights.")
