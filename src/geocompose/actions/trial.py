"""One composition tried before it is computed: what the doctor does with each cell of its table."""

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

from geocompose.actions.early_agreement import check_early
from geocompose.catalog.checks import check_source_names
from geocompose.configuration.weights import existing_weight_files
from geocompose.data.preflight import data_source, preflight
from geocompose.errors import quiet
from geocompose.imagery.band_choice import check_rasters_read, chosen_bands


def try_composition(config: Mapping[str, Any]) -> None:
    """Try what a configuration composes for its data, in shapes alone: nothing is downloaded, trained or written.

    Data modules of your own are not opened for a trial: a run says itself what it finds.

    Raises:
        UserError: the parts don't fit together, or not to the data.
    """
    check_source_names(config)
    existing_weight_files(config["backbone"])
    with quiet(), warnings.catch_warnings(action="ignore"):  # what is converted or left out, each run says itself
        source = data_source(config["data"])
        if source is None:
            return
        preview = preflight(source, partial(chosen_bands, config))
        check_rasters_read(config, preview.inputs.bands, preview.values.more)
        check_early(config, preview.inputs.bands, preview.values)
        if preview.statistics is not None:
            preview.statistics.plausibility.check()
        from geocompose.from_config import trial_model

        trial_model(config, inputs=preview.inputs, target=preview.target)
