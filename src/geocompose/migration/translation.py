"""A configuration of ours in the making: options of groups, values of keys, and the ledger of where they come from."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from geocompose.migration.ledger import Ledger, Place

MODEL: Place = ("model", "init_args")
MODEL_ARGS: Place = (*MODEL, "model_args")
DATA: Place = ("data", "init_args")
TRAINER: Place = ("trainer",)
MISSING = "???"  # a value that only the user knows: the command asks for it


class Options:
    """The options under conf/, with their keys and defaults."""

    def __init__(self, conf_dir: Path) -> None:
        self._conf_dir = conf_dir

    def content(self, group: str, option: str) -> dict[str, Any]:
        """Return the keys of an option with their defaults."""
        content: dict[str, Any] = yaml.safe_load((self._conf_dir / group / f"{option}.yaml").read_text("utf-8"))
        return {key: value for key, value in content.items() if key != "defaults"}

    def by_target(self, group: str, name: str) -> list[str]:
        """Return the options of a group that build the class or call the function `name`."""
        files = sorted((self._conf_dir / group).glob("*.yaml"))
        return [file.stem for file in files if self._target(group, file.stem).rpartition(".")[2] == name]

    def _target(self, group: str, option: str) -> str:
        return str(self.content(group, option).get("_target_", ""))


@dataclass
class Translation:
    """What a foreign configuration becomes.

    kind: of task. names: classes or variables. choices: the option of each group. values: keys of groups and of the
        root.
    mean, std: what images are normalised with, one number per band, or for each band one per frame; None where it is
        not known. bands: those that the model reads, in their order; None where they have no names.
    model_bands: what the backbone's arguments call these bands, a number where that is no name; None where they don't.
        model_bands_place: where that stands. num_outputs: how many classes the model's arguments name, and where.
    model_frames: how many time steps the backbone's arguments name; None where they don't.
    beside: the folder of the configuration's file, for files that it names; None where there is none.
    asked: required keys that the configuration says nothing of, known once it is composed.
    here: overrides that a command on this machine needs, as where it has no accelerator.
    split_lists: image names of splits, to be written to files that the data can be split by.
    """

    ledger: Ledger
    options: Options
    kind: str
    choices: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    model_bands: list[str | int] | None = None
    model_bands_place: Place | None = None
    num_outputs: tuple[Any, Place | None] = (None, None)
    model_frames: int | None = None
    bands: list[str] | None = None
    mean: list[float] | list[list[float]] | None = None
    std: list[float] | list[list[float]] | None = None
    beside: Path | None = None
    tile_px: int | None = None
    split_lists: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    here: list[str] = field(default_factory=list)

    def choose(self, group: str, option: str) -> dict[str, Any]:
        """Choose the option of a group and return its keys with their defaults."""
        self.choices[group] = option
        return self.options.content(group, option)

    def set(self, key: str, value: Any) -> None:
        """Set the value of a dotted key."""
        *groups, last = key.split(".")
        node = self.values
        for group in groups:
            node = node.setdefault(group, {})
        node[last] = value

    def carry(self, place: Place | None, key: str, value: Any, note: str = "") -> None:
        """Set the value of a dotted key, which stands for the setting at `place`; None: for no setting.

        note: what is otherwise than in TerraTorch; it is told with what is decided here.
        """
        self.set(key, value)
        if place is not None:
            self.ledger.carried(place, key + (f" ({note})" if note else ""))
        if note:
            self.ledger.remark(f"{key}: {note}.")

    def lose(self, place: Place, why: str, *keys: str) -> None:
        """Say why the settings below a place could not be carried over, and which values of ours hold in their place.

        keys: of these values; nothing more may set them.
        """
        self.ledger.lost(place, f"{why}; here {', '.join(f'{key}={shown(self.value(key))}' for key in keys)}")

    def value(self, key: str) -> Any:
        """Return the value that a dotted key has: the one set, else its option's default; of a group its option."""
        group, *names = key.split(".")
        if not names:
            return self.choices[group]
        node: Any = {**self.options.content(group, self.choices[group]), **self.values.get(group, {})}
        for name in names:
            node = node[name]
        return node

    @property
    def num_frames(self) -> int:
        """How many time steps an image of the data has."""
        return int(self.values.get("data", {}).get("num_frames", 1))


def shown(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    return value if isinstance(value, str) else json.dumps(value)
