"""The space of a search: what the command line says may vary, in Hydra's own syntax. Optuna is imported when asked."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from geocompose.errors import UserError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = str | int | float
Point = Mapping[str, Value]

_DIGITS = 4  # of a number drawn from an interval: more would be noise, and hard to type
_TAGS = {"log", "int"}
# Keys whose values no search may choose among, each for its reason.
_FIXED = {
    "seed": "a seed that scores well is luck; search.seeds=5 computes what was chosen with five seeds",
    **dict.fromkeys(("data", "data.root", "data.table", "data.labels", "data.seed", "data.groups", "data.split",
                     "data.split_files", "data.split_rename", "data.split_buffer_px", "data.num_scenes",
                     "data.scene_px", "data.landscape", "data.missing_frames", "data.variables", "data.class_names",
                     "data.label_column", "data.label_values", "data.unlisted_labels", "data.label_nodata",
                     "data.ignore_index", "data.min_share", "task"),
                    "scores on other data or of another task can't be compared"),
    **dict.fromkeys(("data.fold", "data.folds"),
                    "a fold that scores well is luck; a sweep without a search (-m data.fold=0,1,2,3,4) computes a "
                    "composition in all of them"),
    "data.fraction": "more labels nearly always score higher, which says nothing of a setting; a sweep without a "
                     "search shows what each share of them gives",
    **dict.fromkeys(("experiment", "protocol"),
                    "it sets many keys at once, also what scores are compared by: give it one value, and search single "
                    "keys"),
    **dict.fromkeys(("action", "debug", "launcher", "logger", "rerun", "retry", "search", "study"),
                    "it changes no score"),
}  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """One of several values, as they are written; their order says nothing. key: with its override's plus signs."""

    key: str
    texts: tuple[str, ...]

    def distribution(self) -> "BaseDistribution":
        """Return what Optuna knows it as."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.texts)

    def value(self, drawn: Any) -> Value:
        """Return the value for what Optuna has drawn."""
        return str(drawn)

    def values(self) -> Sequence[Value]:
        """Return all values in their order."""
        return self.texts

    def ends(self) -> Sequence[Value]:
        """Return values that are checked before the search begins."""
        return self.texts

    def holds(self, value: object) -> bool:
        """Return whether a value is one of its own."""
        return value in self.texts

    def described(self) -> dict[str, Any]:
        """Return what a record says of it."""
        return {"choice": list(self.texts)}


@dataclass(frozen=True)
class Numbers:
    """Numbers from low to high, both included. whole: integers. step: between two; None, of others than integers: any.

    log: drawn by their logarithms. key: with its override's plus signs.
    """

    key: str
    low: float
    high: float
    whole: bool
    step: float | None = None
    log: bool = False

    def distribution(self) -> "BaseDistribution":
        """Return what Optuna knows it as."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def value(self, drawn: Any) -> Value:
        """Return the value for what Optuna has drawn."""
        if self.whole:
            return int(drawn)
        if self.step is not None:
            return min((float(each) for each in self._steps()), key=lambda each: abs(each - float(drawn)))
        return min(max(float(f"{float(drawn):.{_DIGITS}g}"), self.low), self.high)

    def values(self) -> Sequence[Value] | None:
        """Return all values in their order; None where there is no end of them."""
        if self.whole:
            return range(int(self.low), int(self.high) + 1, int(self.step or 1))
        return None if self.step is None else self._steps()

    def ends(self) -> Sequence[Value]:
        """Return values that are checked before the search begins."""
        return [self.value(self.low), self.value(self.high)]

    def holds(self, value: object) -> bool:
        """Return whether a value is one of its own."""
        return isinstance(value, int if self.whole else int | float) and self.low <= value <= self.high

    def described(self) -> dict[str, Any]:
        """Return what a record says of it."""
        kind = int if self.whole else float
        step = {} if self.step is None else {"step": kind(self.step)}
        return {"from": kind(self.low), "to": kind(self.high), "log": self.log, "whole": self.whole, **step}

    def _steps(self) -> list[float]:
        assert self.step is not None
        number = round((self.high - self.low) / self.step) + 1
        # As decimals have it: 0.1 + 2 * 0.1 is 0.3.
        return [float(f"{self.low + place * self.step:.12g}") for place in range(number)]


Dimension = Choice | Numbers


@dataclass(frozen=True)
class Space:
    """What varies, and what does not. fixed: the overrides of every point."""

    dimensions: tuple[Dimension, ...]
    fixed: tuple[str, ...]

    @property
    def size(self) -> int | None:
        """How many points there are; None where there is no end of them."""
        values = [dimension.values() for dimension in self.dimensions]
        return None if None in values else math.prod(len(each) for each in values if each is not None)

    def overrides(self, point: Point) -> list[str]:
        """Return a point as overrides of the command line."""
        return [*self.fixed, *(f"{each.key}={point[each.key]}" for each in self.dimensions)]

    def holds(self, point: Mapping[str, object]) -> bool:
        """Return whether a point is one of the space."""
        return all(each.key in point and each.holds(point[each.key]) for each in self.dimensions)

    def title(self, point: Point) -> str:
        """Return what tells a point from the others."""
        return " ".join(f"{each.key.lstrip('+')}={point[each.key]}" for each in self.dimensions)

    def point(self, drawn: Mapping[str, Any]) -> dict[str, Value]:
        """Return the point that Optuna has drawn."""
        return {each.key: each.value(drawn[each.key]) for each in self.dimensions}

    def points(self) -> Iterator[dict[str, Value]]:
        """Yield all points of a finite space; the last dimension varies first."""
        keys = [each.key for each in self.dimensions]
        for values in product(*(each.values() or () for each in self.dimensions)):
            yield dict(zip(keys, values, strict=True))

    def checks(self) -> Iterator[dict[str, Value]]:
        """Yield points in which each dimension has its ends in turn, beside the first values of the others."""
        first = {each.key: each.ends()[0] for each in self.dimensions}
        yield first
        for each in self.dimensions:
            yield from ({**first, each.key: value} for value in each.ends()[1:])

    def distributions(self) -> dict[str, "BaseDistribution"]:
        """Return what Optuna knows the dimensions as."""
        return {each.key: each.distribution() for each in self.dimensions}

    def described(self) -> dict[str, Any]:
        """Return what a record says of the space."""
        return {each.key.lstrip("+"): each.described() for each in self.dimensions}


def space_of(overrides: Iterable[Override]) -> Space:
    """Return the space of a command line, without what it says of the search itself.

    Raises:
        UserError: nothing varies, or something that can't be searched.
    """
    dimensions: dict[str, Dimension] = {}
    fixed: dict[str, str] = {}
    for each in overrides:
        key = each.get_key_element()
        dimensions.pop(key, None)
        fixed.pop(key, None)
        if each.is_sweep_override():
            dimensions[key] = _dimension(key, each)
        elif each.key_or_group.partition(".")[0] != "search":
            fixed[key] = f"{key}={each.get_value_element_as_str()}" if not each.is_delete() else str(each.input_line)
    if not dimensions:
        raise UserError(
            "A search needs something to vary: write several values (decoder=upernet,fcn), range(1,5), or an interval, "
            "such as 'optimizer.lr=tag(log, interval(1e-5,1e-2))'."
        )
    return Space(tuple(dimensions.values()), tuple(fixed.values()))


def _dimension(key: str, override: Override) -> Dimension:
    line, value = override.input_line, override.value()
    name = override.key_or_group
    if (reason := _why_fixed(name)) is not None:
        raise UserError(f"{line}: {name} can't be searched, because {reason}.")
    tags: set[str] = getattr(value, "tags", set())
    if unknown := tags - _TAGS:
        raise UserError(f"{line}: a search knows the tags log and int; got {', '.join(sorted(unknown))}.")
    if getattr(value, "shuffle", False):
        raise UserError(f"{line}: leave shuffle(...) out; the order of values means nothing to a search.")
    if isinstance(value, IntervalSweep):
        return _interval(key, line, value)
    if isinstance(value, RangeSweep) and (numbers := sorted(set(value.range()))):
        return _range(key, line, numbers, tags)
    if tags:
        raise UserError(f"{line}: log and int are for interval(...) and range(...), not for listed values.")
    texts = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if not texts:
        raise UserError(f"{line} has no values. Check its pattern or its range.")
    assert isinstance(value, ChoiceSweep) or override.is_choice_sweep()
    return Choice(key, texts)


def _why_fixed(name: str) -> str | None:
    """Return why a key can't be searched, or None where it can: most keys of data and task can."""
    if name in _FIXED:
        return _FIXED[name]
    above = name.rpartition(".")[0]
    return None if above in ("", "data", "task") else _why_fixed(above)


def _interval(key: str, line: str | None, interval: IntervalSweep) -> Numbers:
    low, high = interval.start, interval.end
    assert low is not None
    assert high is not None
    log = "log" in interval.tags
    # Hydra's int(interval(...)) makes the ends integers.
    whole = "int" in interval.tags or (isinstance(low, int) and isinstance(high, int))
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(f"{line}: an interval is from a smaller to a larger number; got {low:g} and {high:g}.")
    if whole and (low != int(low) or high != int(high)):
        raise UserError(f"{line}: an interval of integers has integers as its ends; got {low:g} and {high:g}.")
    _check_log(line, low, log=log)
    return Numbers(key, low, high, whole, log=log)


def _range(key: str, line: str | None, numbers: Sequence[float], tags: set[str]) -> Dimension:
    if len(numbers) == 1:
        return Choice(key, (str(numbers[0]),))
    whole = all(isinstance(number, int) for number in numbers)
    step = numbers[1] - numbers[0]
    if "log" in tags and not (whole and step == 1):
        raise UserError(f"{line}: log is for an interval(...), or a range(...) of integers in steps of 1.")
    _check_log(line, numbers[0], log="log" in tags)
    step = step if whole else float(f"{step:.12g}")
    return Numbers(key, numbers[0], numbers[-1], whole, step, "log" in tags)


def _check_log(line: str | None, low: float, *, log: bool) -> None:
    if log and low <= 0:
        raise UserError(f"{line}: numbers that are drawn by their logarithms are above 0; got {low:g}.")
