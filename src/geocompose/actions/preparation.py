"""A run prepared: all that can be wrong is tried, before anything of it is written."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from geocompose.actions.collector import collector_paused
from geocompose.data.declaration import DataSource
from geocompose.data.preflight import preflight
from geocompose.imagery.band_choice import check_rasters_read, chosen_bands
from geocompose.runs import RunFolder
from geocompose.training.early_agreement import check_early
from geocompose.training.processes import Processes

if TYPE_CHECKING:
    from geocompose.training.session import Session


def prepared(
    config: Mapping[str, Any], source: DataSource | None, folder: RunFolder, processes: Processes
) -> "Session":
    """Return the session of a configuration: build and check all, the model before the training loop's libraries load.

    source: the data, where it is of our own kinds.

    Raises:
        UserError: something can't be as it is configured.
    """
    # Our own kinds of data are checked before torch is loaded.
    preview = None if source is None else preflight(source, partial(chosen_bands, config))
    if preview is not None:
        check_rasters_read(config, preview.inputs.bands, preview.values.more)
        check_early(config, preview.inputs.bands, preview.values)
        if preview.statistics is not None:
            preview.statistics.plausibility.check()
    built = None
    with collector_paused():
        from geocompose.from_config import build_model, seed_weights
        from geocompose.inference.trained import with_plain_weights

        if preview is not None:
            seed_weights(config["seed"])
            built = build_model(with_plain_weights(config), inputs=preview.inputs, target=preview.target)
        from geocompose.training.session import prepare

    return prepare(config, preview, built, folder, processes)
