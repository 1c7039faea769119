"""One composition tried before it is computed: what the doctor does with each cell of its table."""

import json
import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from geocompose.catalog.checks import check_source_names
from geocompose.configuration.weights import existing_weight_files
from geocompose.data.declaration import DataSource
from geocompose.data.preflight import Preview, data_source, preflight
from geocompose.errors import quiet
from geocompose.imagery.band_choice import check_rasters_read, chosen_bands
from geocompose.training.early_agreement import check_early

if TYPE_CHECKING:
    from geocompose.doctor.kept import KeptBackbones


class Trials:
    """Tries compositions one after the other; keeps the data and the backbones that it has met, in shapes alone."""

    def __init__(self) -> None:
        self._data: tuple[str, DataSource | None] | None = None
        self._previews: dict[tuple[str, ...], Preview] = {}
        self._backbones: KeptBackbones | None = None

    def try_composition(self, config: Mapping[str, Any]) -> None:
        """Try what a configuration composes for its data: nothing is downloaded, trained or written.

        Data modules of your own are not opened for a trial: a run says itself what it finds.

        Raises:
            UserError: the parts don't fit together, or not to the data.
        """
        check_source_names(config)
        existing_weight_files(config["backbone"])
        with quiet(), warnings.catch_warnings(action="ignore"):  # what is converted or left out, each run says itself
            preview = self._preview(config)
            if preview is None:
                return
            check_rasters_read(config, preview.inputs.bands, preview.values.more)
            check_early(config, preview.inputs.bands, preview.values)
            if preview.statistics is not None:
                preview.statistics.plausibility.check()
            from geocompose.doctor.kept import KeptBackbones
            from geocompose.from_config import trial_model

            self._backbones = self._backbones or KeptBackbones()
            trial_model(config, inputs=preview.inputs, target=preview.target, keeping=self._backbones.keeping)

    def _preview(self, config: Mapping[str, Any]) -> Preview | None:
        """Return what the data gives, read once for compositions that read the same bands; None for a data module."""
        key = json.dumps(config["data"], sort_keys=True, default=str)
        if self._data is None or self._data[0] != key:
            self._data, self._previews = (key, data_source(config["data"])), {}
        source = self._data[1]
        if source is None:
            return None
        choose = partial(chosen_bands, config)
        bands = tuple(source.collection.chosen(choose))
        if bands not in self._previews:
            self._previews[bands] = preflight(source, choose)
        return self._previews[bands]


_TRIALS = Trials()


def try_composition(config: Mapping[str, Any]) -> None:
    """Try a composition in this process, which keeps what it has met; see `Trials.try_composition`.

    Raises:
        UserError: the parts don't fit together, or not to the data.
    """
    _TRIALS.try_composition(config)
