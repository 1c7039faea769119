"""Which run a configuration is: its identity and its folder, with what was hashed for it. Free of torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geocompose.actions.run_inputs import data_hash, weights_hash
from geocompose.configuration.own_code import OwnCode, code_of, foreign_targets
from geocompose.data.declaration import DataSource
from geocompose.data.preflight import data_source
from geocompose.errors import at_least
from geocompose.experiment import Experiment
from geocompose.imagery.bands import check_names
from geocompose.imagery.missing_frames import masks_frames
from geocompose.runs import RunFolder, folder_name, load_rules, run_id
from geocompose.runs.folder import check_study
from geocompose.studies.locating import OUTPUTS
from geocompose.training.settings import check_settings


@dataclass(frozen=True)
class Identity:
    """One run: its folder, which need not exist yet, and the hashes of what it reads. own: code of the user's own."""

    folder: RunFolder
    inputs: Mapping[str, str]
    own: OwnCode | None


class Identifier:
    """Tells which runs configurations are; what several of them read is hashed once."""

    def __init__(self, conf_dir: Path) -> None:
        self._rules = load_rules(conf_dir)
        self._own: dict[frozenset[str], OwnCode | None] = {}
        self._data: dict[str, str | None] = {}
        self._weights: dict[str, str | None] = {}
        self._folders: dict[Path, dict[str, Path]] = {}

    def folder(self, experiment: Experiment) -> RunFolder:
        """Return the folder of an experiment's run; see `identity`."""
        return self.identity(experiment).folder

    def identity(self, experiment: Experiment, source: DataSource | None = None) -> Identity:
        """Return which run an experiment is. source: its data as it was declared, where that is known already.

        Raises:
            UserError: a name or an argument of the data can't be, a file is missing or can't be read.
        """
        config = experiment.config
        check_run_settings(config)
        own = self._own_code(foreign_targets(config, self._rules.volatile))
        inputs = {} if own is None else {"code": own.sha256}
        data, weights = self._data_hash(config["data"], source), self._weights_hash(config["backbone"])
        inputs |= {} if data is None else {"data": data}
        inputs |= {} if weights is None else {"weights": weights}
        return Identity(self._folder(experiment, run_id(config, inputs, self._rules)), inputs, own)

    def _own_code(self, targets: frozenset[str]) -> OwnCode | None:
        if targets not in self._own:
            self._own[targets] = code_of(targets)
        return self._own[targets]

    def _data_hash(self, data: Mapping[str, Any], source: DataSource | None) -> str | None:
        key = json.dumps(data, sort_keys=True, default=str)
        if key not in self._data:
            self._data[key] = data_hash(data, data_source(data) if source is None else source)
        return self._data[key]

    def _weights_hash(self, backbone: Mapping[str, Any]) -> str | None:
        key = json.dumps(backbone, sort_keys=True, default=str)
        if key not in self._weights:
            self._weights[key] = weights_hash(backbone)
        return self._weights[key]

    def _folder(self, experiment: Experiment, identity: str) -> RunFolder:
        """Return the run's folder; one that is there already under another name of the same parts stays the run's."""
        study = OUTPUTS / experiment.config["study"]
        if study not in self._folders:
            there = sorted(study.iterdir(), reverse=True) if study.is_dir() else []
            self._folders[study] = {path.name.rpartition("-")[2]: path for path in there if "-" in path.name}
        if identity in self._folders[study]:
            return RunFolder(self._folders[study][identity])
        backbone, decoder, peft = (str(experiment.choices.get(group)) for group in ("backbone", "decoder", "peft"))
        return RunFolder(study / folder_name(backbone, decoder, peft, identity))


def check_run_settings(config: Mapping[str, Any]) -> None:
    """Refuse names and numbers that can't be, before any file is looked at.

    Raises:
        UserError: says which.
    """
    check_study(config["study"])
    at_least("seed", config["seed"], 0)
    check_settings(config)
    known = config["data"].get("band_names") or []
    for group in ("data", "backbone"):
        check_names(config[group].get("bands") or [], known=known)
    masks_frames(config)  # refuses what can't
