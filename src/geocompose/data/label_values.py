"""Which values in a label file or table mean which class, where they are not 0, 1, 2, ... or the classes' names."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from geocompose.errors import UserError, choices, counted

Unlisted = Literal["refuse", "ignore"]
Value = TypeVar("Value", bound=int | str)


class UnlistedValueError(UserError):
    """A label has a value that means no class."""


class LabelCodes:
    """What the whole numbers in a raster of classes mean.

    class_names: the classes. label_values: for each of them its value in the files, or a list of several; None means
        0, 1, 2, ...
    ignore_index: the value of pixels without a label, in the files and in what is read.
    unlisted: whether another value than these is refused, or read as no label (`ignore`).

    Raises:
        UserError: not one entry per class, a value that is not a whole number or stands twice, or that is also
            `ignore_index`; `unlisted` without `label_values`.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        ignore_index: int = -1,
        label_values: Sequence[int | Sequence[int]] | None = None,
        unlisted: Unlisted = "refuse",
    ) -> None:
        check_unlisted(label_values, unlisted)
        self.class_names = list(class_names)
        self.ignore_index = ignore_index
        self.ignores_unlisted = unlisted == "ignore"
        self.is_given = label_values is not None
        places = (
            {i: i for i in range(len(class_names))}
            if label_values is None
            else places_of_values(label_values, class_names, (int,))
        )
        if label_values is not None and ignore_index in places:
            free = next(value for value in (-1, 255, -(2**31)) if value not in places)
            raise UserError(
                f"data.ignore_index={ignore_index} is also in data.label_values, as the class "
                f"{class_names[places[ignore_index]]!r}. Set data.ignore_index={free}, or take the value out."
            )
        self.names: Mapping[int, str] = {value: self.class_names[place] for value, place in places.items()}
        order = sorted(places)
        self._values = np.array(order, np.int64)
        self._places = np.array([places[value] for value in order], np.int64)

    def classes(self, values: np.ndarray) -> np.ndarray:
        """Return the places of the classes, int64, of values in a file, with `ignore_index` where they mean none."""
        if not self.is_given:
            return values
        at = np.minimum(np.searchsorted(self._values, values), len(self._values) - 1)
        return np.where(self._values[at] == values, self._places[at], self.ignore_index)

    def unlisted(self, values: np.ndarray) -> np.ndarray:
        """Return where values are neither a class's nor `ignore_index`."""
        return ~np.isin(values, self._values) & (values != self.ignore_index)

    @property
    def in_words(self) -> str:
        """Return which values there may be, with their classes."""
        return ", ".join(f"{value} ({name})" for value, name in self.names.items())

    def advice(self, found: Mapping[int, int], where: str) -> str:
        """Return what to write where labels hold these values, each with its count of pixels.

        where: in which files they were found.
        """
        most = 24
        shown = ", ".join(f"{value} ({counted(count, 'pixel')})" for value, count in sorted(found.items())[:most])
        more = f", ... ({len(found)} values)" if len(found) > most else ""
        codes = sorted(value for value in found if value != self.ignore_index)
        exactly = len(codes) == len(self.class_names)
        listed = f"[{','.join(map(str, codes))}]" if exactly else "[VALUE,VALUE,...]"
        advice = (
            f"{where} hold {shown}{more}. Where these are codes of the classes, say which, in the order of "
            f"data.class_names ({', '.join(self.class_names)}): data.label_values={listed}"
        )
        return f"{advice}, with several values of one class in a list, and data.unlisted_labels=ignore for the rest."


def places_of_values(
    label_values: Sequence[Any], class_names: Sequence[str], kinds: tuple[type[Value], ...]
) -> dict[Value, int]:
    """Return for each value the place of its class.

    kinds: the types that a value may have.

    Raises:
        UserError: not one entry per class, an entry without or of another value, or a value that stands twice.
    """
    if len(label_values) != len(class_names):
        raise UserError(
            f"data.label_values must have one entry per class ({len(class_names)}: {', '.join(class_names)}); got "
            f"{len(label_values)}: {list(label_values)}. Write several values of one class as a list: [10,[20,30]]."
        )
    places: dict[Value, int] = {}
    for place, entry in enumerate(label_values):
        values: list[Value] = list(entry) if isinstance(entry, list | tuple) else [entry]
        wrong = [value for value in values if not isinstance(value, kinds) or isinstance(value, bool)]
        if wrong or not values:
            what = "whole numbers" if str not in kinds else "whole numbers or texts"
            raise UserError(f"data.label_values[{place}] must be {what}, one or a list of them; got {entry!r}.")
        for value in values:
            if value in places:
                raise UserError(
                    f"data.label_values has {value!r} twice, as {class_names[places[value]]!r} and as "
                    f"{class_names[place]!r}. Each value means one class."
                )
            places[value] = place
    return places


def check_unlisted(label_values: object, unlisted: str) -> None:
    """Refuse what becomes of unlisted values where none are listed.

    Raises:
        UserError: an unknown choice, or `ignore` without `data.label_values`.
    """
    if unlisted not in get_args(Unlisted):
        raise UserError(f"data.unlisted_labels has no {unlisted!r}. {choices(unlisted, get_args(Unlisted))}")
    if unlisted == "ignore" and label_values is None:
        raise UserError(
            "data.unlisted_labels=ignore leaves out what data.label_values does not list, which is null. Set "
            "data.label_values, or data.unlisted_labels=refuse."
        )


class TextValues:
    """What the class texts of a table or of folders mean.

    class_names: the classes; without `label_values`, the texts are their names. The other arguments: see `LabelCodes`;
    values may be texts as well as whole numbers.

    Raises:
        UserError: as `LabelCodes`; also `label_values` without `class_names`.
    """

    def __init__(
        self,
        class_names: Sequence[str] | None,
        label_values: Sequence[int | str | Sequence[int | str]] | None = None,
        unlisted: Unlisted = "refuse",
    ) -> None:
        check_unlisted(label_values, unlisted)
        if class_names is None:
            raise UserError(
                "data.label_values says what stands for each class, in the order of data.class_names, which is null. "
                "Name the classes there."
            )
        given = class_names if label_values is None else _as_texts(label_values, class_names)
        self.known: Mapping[str, int] = places_of_values(given, class_names, (str,))
        self.key = "data.class_names" if label_values is None else "data.label_values"
        self._unlisted = unlisted

    def place(self, text: str) -> int | None:
        """Return the place of a text's class; -1 for one that is left without a label, None for a wrong one."""
        return self.known.get(text, -1 if self._unlisted == "ignore" else None)

    @property
    def ignores_unlisted(self) -> bool:
        """Whether a text that is not listed, an empty one included, leaves its image without a label."""
        return self._unlisted == "ignore"

    @property
    def advice(self) -> str:
        """Return what to write where other texts than the classes' names stand for them."""
        if self.key == "data.label_values":
            return " Set data.unlisted_labels=ignore to leave such images without a label."
        return " Where the texts are codes, say which class each is: data.label_values=[CODE,CODE,...]."


def text_values(
    class_names: Sequence[str] | None,
    label_values: Sequence[int | str | Sequence[int | str]] | None,
    unlisted: Unlisted,
) -> TextValues | None:
    """Return what texts mean where `label_values` says it; None where they are the classes' names.

    Raises:
        UserError: see `TextValues`.
    """
    check_unlisted(label_values, unlisted)
    return None if label_values is None else TextValues(class_names, label_values, unlisted)


def _as_texts(label_values: Sequence[int | str | Sequence[int | str]], class_names: Sequence[str]) -> list[list[str]]:
    """Return the values of each class as a table has them."""
    places = places_of_values(label_values, class_names, (int, str))
    return [[str(value) for value, at in places.items() if at == place] for place in range(len(class_names))]
