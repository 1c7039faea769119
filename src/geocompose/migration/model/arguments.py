"""The arguments of a model factory of TerraTorch under the names that `EncoderDecoderFactory` has for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from geocompose.migration.ledger import Place


@dataclass(frozen=True)
class Argument:
    """A value, and where it stands in the configuration; a place of None: it follows from the factory alone."""

    value: Any
    place: Place | None = None


class ModelArguments:
    """What describes a model: `backbone`, `decoder`, `necks`, and arguments of parts by their prefix.

    head_as_built: whether heads end as TerraTorch's own do, by a convolution of one pixel; else as those of the
    decoder's library.
    """

    def __init__(self, given: Mapping[str, Argument], *, head_as_built: bool = True) -> None:
        self._given = dict(given)
        self.head_as_built = head_as_built

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def items(self) -> Iterator[tuple[str, Argument]]:
        """Yield all arguments by their names."""
        yield from self._given.items()

    def get(self, name: str, default: Any = None) -> Any:
        """Return an argument's value, `default` where it is missing or null."""
        found = self._given.get(name)
        return default if found is None or found.value is None else found.value

    def place(self, name: str) -> Place | None:
        """Return where an argument stands in the configuration; None where it does not."""
        found = self._given.get(name)
        return None if found is None else found.place

    def of_part(self, part: str) -> Iterator[tuple[str, Argument]]:
        """Yield the arguments of a part without its prefix: those with it, and those in `PART_kwargs`."""
        for name, argument in self._given.items():
            if name == f"{part}_kwargs":
                for inner, value in (argument.value or {}).items():
                    yield str(inner), Argument(value, None if argument.place is None else (*argument.place, str(inner)))
            elif name.startswith(f"{part}_"):
                yield name.removeprefix(f"{part}_"), argument
