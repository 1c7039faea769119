"""What becomes of each setting of a foreign configuration: an entry for every leaf, whether it was asked for or not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["carried", "not needed", "not carried over"]
Place = tuple[str, ...]

UNKNOWN = "nothing here corresponds to it"


@dataclass(frozen=True)
class Entry:
    """What became of a setting: where it went, or why it went nowhere.

    changes_model: without it the model computes something else, so that weights can't be taken over.
    """

    verdict: Verdict
    note: str
    changes_model: bool = False


class Ledger:
    """A configuration's settings with what became of them.

    Places are the keys from the root on; a list of mappings counts its items, any other list is one setting. A verdict
    on a place holds for all below it that has none yet: so the particular ones come first.
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        """Take a plain configuration, which is not changed."""
        self._leaves = dict(_leaves(tree, ()))
        self._tree = tree
        self._entries: dict[Place, Entry] = {}
        self._remarks: dict[str, bool] = {}

    def get(self, place: Place, default: Any = None) -> Any:
        """Return what stands at a place, `default` where nothing or null does."""
        node: Any = self._tree
        for key in place:
            if isinstance(node, Mapping) and key in node:
                node = node[key]
            elif isinstance(node, list) and key.isdigit() and int(key) < len(node):
                node = node[int(key)]
            else:
                return default
        return default if node is None else node

    def has_verdict(self, place: Place) -> bool:
        """Return whether every setting at or below a place has a verdict already."""
        below = [leaf for leaf in self._leaves if leaf[: len(place)] == place]
        return bool(below) and all(leaf in self._entries for leaf in below)

    def carried(self, place: Place, note: str) -> None:
        """Say where the settings below a place went."""
        self._mark(place, Entry("carried", note))

    def needless(self, place: Place, why: str) -> None:
        """Say why the settings below a place are not needed."""
        self._mark(place, Entry("not needed", why))

    def lost(self, place: Place, why: str, *, changes_model: bool = False) -> None:
        """Say why the settings below a place could not be carried over."""
        self._mark(place, Entry("not carried over", why, changes_model))

    def remark(self, text: str, *, changes_model: bool = False) -> None:
        """Say what the import has decided that no setting of the configuration stands for.

        changes_model: see `Entry`.
        """
        self._remarks[" ".join(text.split())] = changes_model

    @property
    def remarks(self) -> list[str]:
        """What was decided without a setting, in lines."""
        return list(self._remarks)

    @property
    def model_changes(self) -> list[str]:
        """What makes the model another one than TerraTorch's, in lines."""
        lost = [f"{key} ({entry.note})" for key, entry in self.entries().items() if entry.changes_model]
        return [*lost, *(text for text, changes in self._remarks.items() if changes)]

    def entries(self) -> dict[str, Entry]:
        """Return what became of every leaf, by its dotted name, in the order of the configuration."""
        found = {}
        for place, value in self._leaves.items():
            unasked = Entry("not needed", "null") if value is None else Entry("not carried over", UNKNOWN)
            found[".".join(place)] = self._entries.get(place, unasked)
        return found

    def told(self, verdict: Verdict) -> list[str]:
        """Return the settings of a verdict and why, in lines; settings with one reason share a line."""
        by_note: dict[str, list[str]] = {}
        for key, entry in self.entries().items():
            if entry.verdict == verdict:
                by_note.setdefault(" ".join(entry.note.split()), []).append(key)
        return [f"{', '.join(keys)}: {note}" for note, keys in by_note.items()]

    def _mark(self, place: Place, entry: Entry) -> None:
        for leaf, value in self._leaves.items():
            if leaf[: len(place)] == place and leaf not in self._entries and value is not None:
                self._entries[leaf] = entry


def _leaves(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*place, str(key)))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*place, str(index)))
    else:
        yield place, value
