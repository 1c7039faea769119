"""What a TerraTorch run normalises images with: numbers, or a file of them, and a scale of the values."""

import math
from pathlib import Path
from typing import Any

import yaml

from geocompose.errors import UserError
from geocompose.migration.data.modalities import of_data, of_several
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.translation import DATA, Translation, shown
from geocompose.runs.bounded_yaml import bounded_text

# Scales that lead from a file's unit to that of Prithvi's published numbers, which is reflectance x 10000.
_UNITS = {1.0: "reflectance_1e4", 1e4: "reflectance"}


def translate_statistics(to: Translation, *, generic: bool) -> None:
    """Translate means, deviations and scale, as far as they are numbers.

    generic: whether the data module takes images as they are where it has no means.

    Raises:
        UserError: there are more or fewer numbers than bands.
    """
    ledger = to.ledger
    given = {key: of_data(ledger, key) for key in ("means", "stds")}
    scale = of_data(ledger, "constant_scale", 1.0)
    if None in given.values():
        _without(to, scale, generic=generic)
        return
    found = {key: _read(to, value) if isinstance(value, str) else value for key, value in given.items()}
    if not _is_scale(scale) or not all(map(_are_numbers, found.values())):
        for key in (*given, "constant_scale"):
            _lose(to, key, _why_unread([*given.values(), scale]))
        return
    mean, std = found["means"], found["stds"]
    count = len(to.bands) if to.bands is not None else len(mean)
    if not len(mean) == len(std) == count:
        raise UserError(
            f"There are {count} bands, but {len(mean)} means and {len(std)} stds in the TerraTorch configuration."
        )
    scale = float(scale)
    # (x * scale - mean) / std of TerraTorch is (x - mean / scale) / (std / scale).
    to.mean, to.std = _divided(mean, scale), _divided(std, scale)
    # Of integers in YAML, 0.5 times a deviation of 0 is still none.
    if any(value <= 0 for value in _flat(to.std)):
        for key in given:
            _lose(to, key, "deviations must be above 0")
        return
    if _are_published(to, mean, std) and scale in _UNITS:
        to.set("data.normalize", "pretraining")
        to.set("data.unit", _UNITS[scale])
        note = f"data.normalize=pretraining, data.unit={_UNITS[scale]}"
        ledger.remark(f"{note}: means and stds of the file are the published ones of the backbone's weights.")
    else:
        to.set("data.normalize", {"mean": to.mean, "std": to.std})
        note = "data.normalize"
        if scale != 1:
            ledger.remark(
                f"data.normalize: means and stds are divided by constant_scale={shown(scale)}; values stay as they are."
            )
    for key, value in given.items():
        ledger.carried((*DATA, key), note)
        if isinstance(value, str):
            ledger.remark(f"data.normalize: {key} are the numbers that {value} has now.")
    ledger.carried((*DATA, "constant_scale"), note if "pretraining" in note else "in data.normalize")


def _without(to: Translation, scale: Any, *, generic: bool) -> None:
    """Settle what images are normalised with where the configuration has no numbers."""
    if generic and scale != 1 and to.bands is not None:
        to.mean, to.std = [0.0] * len(to.bands), [1 / scale] * len(to.bands)
        to.carry((*DATA, "constant_scale"), "data.normalize", {"mean": to.mean, "std": to.std})
    elif generic:
        to.set("data.normalize", "none")  # TerraTorch then takes images as they are
        if to.bands is not None:
            to.mean, to.std = [0.0] * len(to.bands), [1.0] * len(to.bands)
    elif (module := class_name(to.ledger.get(("data",)))) is not None:
        to.ledger.remark(
            f"data.normalize={shown(to.value('data.normalize'))}, as the data has no means and stds; {module} may have "
            "some of its own."
        )


def _lose(to: Translation, key: str, why: str) -> None:
    advice = "write 'data.normalize={mean: [...], std: [...]}'"
    to.lose((*DATA, key), f"{why}; {advice}", "data.normalize")


def _why_unread(given: list[Any]) -> str:
    if any(map(of_several, given)):
        return "there are several modalities, each with numbers of its own"
    if any(isinstance(value, str) for value in given):
        return "it names a file that is not here, or that holds no numbers"
    return "it is neither numbers nor a file of them"


def _read(to: Translation, name: str) -> Any:
    """Return the numbers in a file that the configuration names; None where it is not here or holds others.

    It is looked for where TerraTorch would, and beside the configuration.
    """
    folders = [Path(), *([] if to.beside is None else [to.beside])]
    file = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if file is None:
        return None
    try:
        text = bounded_text(file)
        content = yaml.safe_load(text) if file.suffix in (".yaml", ".yml") else [float(one) for one in text.split()]
    except (yaml.YAMLError, ValueError, OSError):
        return None
    return content


def _is_scale(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf


def _are_numbers(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    rows = [row if isinstance(row, list) else [row] for row in value]
    same = len({(isinstance(row, list), len(inner)) for row, inner in zip(value, rows, strict=True)}) == 1
    return same and all(
        isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
        for row in rows
        for number in row
    )


def _divided(value: Any, scale: float) -> Any:
    return [[float(one) / scale for one in row] if isinstance(row, list) else float(row) / scale for row in value]


def _flat(value: Any) -> list[float]:
    return [one for row in value for one in (row if isinstance(row, list) else [row])]


def _are_published(to: Translation, mean: Any, std: Any) -> bool:
    from geocompose.catalog.prithvi import VARIANTS, published_pretraining

    variant = to.values.get("backbone", {}).get("variant")
    if variant is None or to.bands is None or isinstance(mean[0], list):
        return False
    published = published_pretraining(VARIANTS[variant]).statistics(to.bands)
    return published is not None and all(
        math.isclose(ours, theirs, rel_tol=1e-6)
        for ours, theirs in zip([*mean, *std], [*published[0], *published[1]], strict=True)
    )
