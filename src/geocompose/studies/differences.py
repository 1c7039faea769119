"""What differs between two recorded runs: configuration, environment, metrics. Free of torch."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from geocompose.arguments import as_written
from geocompose.runs import IdentityRules, Record, RunFolder
from geocompose.runs.identity import counted
from geocompose.scores import better, stem

_ABSENT = "-"
_DERIVED = ("data.", "model.")
_WITH_UNIT = ("RMSE", "nRMSE", "MAE", "loss")  # metrics that may be of any size


@dataclass(frozen=True)
class Difference:
    """A field and its values, as text, in the first and in the second run; `-` where one has none."""

    field: str
    first: str
    second: str


@dataclass
class ConfigDifferences:
    """How two configurations differ.

    counted: keys that are part of a run's identity. following: keys that only one of two different parts has, a text
    per part and run, such as `decoder of the first alone: channels=8`. volatile: keys that change no result.
    """

    counted: list[Difference] = field(default_factory=list)
    following: list[str] = field(default_factory=list)
    volatile: list[Difference] = field(default_factory=list)


def config_differences(first: Mapping[str, Any], second: Mapping[str, Any], rules: IdentityRules) -> ConfigDifferences:
    """Return how two resolved configurations differ; a key that one lacks is none where the other has its default."""
    configs = first, second
    whole = [_flat(config) for config in configs]
    part = [_flat(rules.now_named(counted(config, rules))) for config in configs]
    found = ConfigDifferences()
    exchanged = _exchanged(whole[0], whole[1])
    followers: dict[tuple[str, str], list[str]] = {}
    for key in dict.fromkeys([*part[0], *part[1]]):
        # What is left out of an identity, being the default, stands in the whole configuration.
        values = [one.get(key, of_all.get(key, _ABSENT)) for one, of_all in zip(part, whole, strict=True)]
        if values[0] == values[1]:
            continue
        node = _node(key, exchanged)
        if node is not None and _ABSENT in values:
            which = "first" if values[1] == _ABSENT else "second"
            followers.setdefault((node, which), []).append(f"{key.removeprefix(f'{node}.')}={_present(values)}")
        else:
            found.counted.append(Difference(key, values[0], values[1]))
    found.following = [f"{node} of the {which} alone: {', '.join(keys)}" for (node, which), keys in followers.items()]
    for key in whole[0]:
        if key in whole[1] and key not in part[0] and key not in part[1] and whole[0][key] != whole[1][key]:
            found.volatile.append(Difference(key, whole[0][key], whole[1][key]))
    return found


def _exchanged(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """Return the nodes whose `_target_` differs: parts that were exchanged."""
    ends = "._target_"
    return [
        key.removesuffix(ends) for key in first if key.endswith(ends) and key in second and first[key] != second[key]
    ]


def _node(key: str, exchanged: list[str]) -> str | None:
    return next((node for node in exchanged if key.startswith(f"{node}.")), None)


def _present(values: list[str]) -> str:
    return next(value for value in values if value != _ABSENT)


def _flat(value: Any, key: str = "") -> dict[str, str]:
    """Return values as text by their dotted keys; a list without mappings is one value."""
    if isinstance(value, Mapping) and value:
        items: Iterator[tuple[Any, Any]] = iter(value.items())
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = iter(enumerate(value))
    else:
        return {key: as_written(value)}
    return {
        inner: text
        for name, item in items
        for inner, text in _flat(item, f"{key}.{name}" if key else str(name)).items()
    }


def environment_differences(
    first: tuple[RunFolder, Record], second: tuple[RunFolder, Record], *, derived: bool = True
) -> list[Difference]:
    """Return what else could make results of one configuration differ: code, versions, data, weights, hardware.

    derived: what data and model are like, too, which of one configuration should be alike.
    """
    one, other = _environment(first[1]), _environment(second[1])
    found = [
        Difference(key, one.get(key, _ABSENT), other.get(key, _ABSENT))
        for key in dict.fromkeys([*one, *other])
        if one.get(key) != other.get(key) and _is_shown(key, one, other, derived=derived)
    ]
    changes = [_kept(run.code_diff) for run, _ in (first, second)]
    if changes[0] != changes[1]:
        found.append(Difference("code.diff", *_told_apart(*changes)))
    return found + _of_own_code(first[0], second[0])


def _is_shown(key: str, one: Mapping[str, str], other: Mapping[str, str], *, derived: bool) -> bool:
    if key == "hardware.threads" and not (key in one and key in other):
        return False  # an older record only says less
    if not key.startswith(_DERIVED) or key.startswith("data.fingerprint"):
        return True
    return derived and key in one and key in other


def _told_apart(first: bytes, second: bytes) -> tuple[str, str]:
    return ("one text", "another") if first and second else ("there", _ABSENT) if first else (_ABSENT, "there")


def _environment(record: Record) -> dict[str, str]:
    parts = {
        "git": record.git or {},
        "versions": record.versions,
        "hardware": {key: value for key, value in record.hardware.items() if "peak" not in key},  # is a result
        "weights": record.weights,
        "code": {key: value for key, value in record.code.items() if key != "files"},
        "seeds": record.seeds,
        "model": record.model,
    }
    flat = {key: value for name, part in parts.items() for key, value in _flat(part, name).items() if part}
    data = {key: value for key, value in _flat(record.data, "data").items() if record.data}
    return flat | data


def _kept(path: Path) -> bytes:
    """Return what a run keeps in a file; nothing where there is none, or where it leads out of the run's folder."""
    return path.read_bytes() if path.is_file() and not path.is_symlink() else b""


def _of_own_code(first: RunFolder, second: RunFolder) -> list[Difference]:
    """Return which of the user's own source files, as the two runs keep them, differ."""
    texts = [
        {
            str(path.relative_to(run.code)): _kept(path)
            for path in sorted(run.code.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }
        for run in (first, second)
    ]
    return [
        Difference(f"code/{name}", *_told_apart(texts[0].get(name, b""), texts[1].get(name, b"")))
        for name in dict.fromkeys([*texts[0], *texts[1]])
        if texts[0].get(name) != texts[1].get(name)
    ]


@dataclass(frozen=True)
class MetricDifference:
    """A metric in two runs; NaN where it is not defined, None where a run does not have it."""

    name: str
    first: float | None
    second: float | None

    @property
    def change(self) -> float:
        """The second less the first; NaN where one of them is missing or not defined."""
        return math.nan if self.first is None or self.second is None else self.second - self.first

    @property
    def ahead(self) -> Literal["first", "second"] | None:
        """Which run is the better one by this metric; None where neither is, or where it has no direction."""
        direction = better(self.name)
        if direction is None or math.isnan(self.change) or self.change == 0:
            return None
        return "second" if (self.change > 0) == (direction == "higher") else "first"

    def within(self, tolerance: float) -> bool:
        """Return whether the second is the first within a tolerance.

        tolerance: of shares (mIoU, F1, accuracy, R2, ECE, ...) the difference itself; of errors and losses, which may
            have a unit, the difference as a part of the first. Counts must be equal. Not defined agrees with not
            defined alone.
        """
        if self.first is None or self.second is None:
            return False
        if math.isnan(self.first) or math.isnan(self.second):
            return math.isnan(self.first) and math.isnan(self.second)
        if better(self.name) is None:
            return self.first == self.second
        return abs(self.change) <= tolerance * (abs(self.first) if stem(self.name) in _WITH_UNIT else 1.0)


def metric_differences(first: Mapping[str, float], second: Mapping[str, float]) -> list[MetricDifference]:
    """Return the metrics of two runs side by side, in the order of the first."""
    names = dict.fromkeys([*first, *second])
    return [MetricDifference(name, first.get(name), second.get(name)) for name in names]
