"""A recorded run in Python: its model, its data and its record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from geocompose.actions.data_to_score import data_to_score, open_as_trained
from geocompose.data.module import SceneData
from geocompose.errors import UserError
from geocompose.experiment import Experiment
from geocompose.imagery.missing_frames import masks_frames
from geocompose.imagery.samples import Target
from geocompose.inference.trained import load_trained
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.program import conf_dir
from geocompose.runs import Record, RunFolder, Trust, load_rules, open_run


@dataclass(frozen=True)
class Loaded:
    """What a completed run left.

    folder: where its files lie. record: what record.json holds. config: its configuration. target: what its labels
    are. model: with the weights of the best epoch, in evaluation mode, on the CPU.
    """

    folder: RunFolder
    record: Record
    config: Mapping[str, Any]
    target: Target
    model: EncoderDecoderModel
    _changes: Mapping[str, object] = field(default_factory=dict, repr=False)
    _conf: Path = field(default=Path(), repr=False)

    @cached_property
    def data(self) -> SceneData:
        """The run's data, set up: bands, units and normalization as in its training.

        Raises:
            UserError: the data is not where it was, or is not of the run's kind.
        """
        nothing_typed = Experiment({}, {}, [], self._conf)
        try:
            chosen, source, _ = data_to_score(nothing_typed, self.config, self.record, self._changes)
        except UserError as error:
            error.add_note("In Python, action.data is an argument: geocompose.load(..., data={'root': 'DIR'}).")
            raise
        masks_frames({**self.config, "data": chosen})  # refuses what can't
        return open_as_trained(chosen, source, self.record.data, self.target, "test")


def load_run(
    run: Path | str,
    *,
    trust: Sequence[str] = (),
    data: Mapping[str, object] | None = None,
    base: Path | str | None = None,
    conf: Path | str | None = None,
) -> Loaded:
    """Return a completed run, loaded; see `geocompose.load`, which takes the same.

    Raises:
        UserError: see there.
    """
    if isinstance(trust, str):
        raise UserError(f"trust must be a list of targets, such as ['my_lab.Net']; got {trust!r}.")
    folder = conf_dir() if conf is None else Path(conf).expanduser()
    rules = load_rules(folder)
    try:
        recorded = open_run(run, rules, Trust((folder,), tuple(trust)), base=base)
    except UserError as error:
        if "action.trust" in str(error):
            error.add_note("In Python, action.trust is an argument: geocompose.load(..., trust=[...]).")
        raise
    try:
        trained = load_trained(recorded)
    except UserError as error:
        if "action.base" in str(error):
            error.add_note("In Python, action.base is an argument: geocompose.load(..., base=FILE).")
        raise
    return Loaded(recorded.folder, recorded.record, recorded.config, trained.target, trained.model, data or {}, folder)
