"""A declared data set opened, and all of it checked that can be checked without torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from geocompose.configuration.instantiation import instantiate, located
from geocompose.data.baselines import rules as baselines
from geocompose.data.conversion import convert
from geocompose.data.declaration import DataSource
from geocompose.data.left_out import check_frames
from geocompose.data.normalization_rule import NormalizationRule
from geocompose.data.overlap import MEANT, check_ground, check_pixels
from geocompose.data.statistics import Statistics, scan
from geocompose.errors import UserError, quiet
from geocompose.imagery.samples import Inputs, Target
from geocompose.imagery.units import Values

_MOST_SCANNED_BYTES = 200 * 2**20  # about two seconds of reading


def data_source(data: Mapping[str, Any]) -> DataSource | None:
    """Return what a configuration declares; None where its `_target_` is not a declaration but a `SceneData` itself.

    data: the resolved, plain mapping of a `conf/data` option.

    Raises:
        UserError: an argument is out of range, or the target is neither.
    """
    declared = located(str(data["_target_"]))
    if not (isinstance(declared, type) and issubclass(declared, DataSource)):
        if isinstance(declared, type) and not hasattr(declared, "use_bands"):
            hint = (
                f" Write data=module data.module._target_={data['_target_']}."
                if hasattr(declared, "train_dataloader")
                else " A class of your own derives from it, or is a Lightning data module in data=module."
            )
            raise UserError(
                f"data._target_={data['_target_']} is no declaration of data (geocompose.data.declaration.DataSource)."
                f"{hint}"
            )
        return None
    source: DataSource = instantiate(data)
    return source


@dataclass(frozen=True)
class Preview:
    """What a composition needs to know of data before it is read for training.

    values: what the data states of its files' values. source: what was opened; None where that is unknown.
    statistics: of the values in their own unit (see `geocompose.data.conversion.convert`), where all were read already.
    """

    inputs: Inputs
    target: Target
    values: Values = field(default_factory=Values)
    source: DataSource | None = None
    statistics: Statistics | None = None


def preflight(source: DataSource, choose: Callable[[Sequence[str]], list[str]]) -> Preview:
    """Return what can be known of data in a second or two; raises now what would else come after torch is loaded.

    Rasters are opened, and all pixels checked where that takes only a moment; else `setup` checks them.
    choose: takes the data's bands, and returns those to read.

    Raises:
        UserError: see `DataSource.open` and `geocompose.data.statistics.scan`.
    """
    opened = source.collection
    baselines.check(source.baselines, opened.labels.target, opened.band_names, opened.num_frames)
    bands = opened.chosen(choose)
    NormalizationRule(source.normalize).check_bands(bands, opened.num_frames)
    places = opened.places(bands)
    convert(opened.scenes, places, bands, source.known_values, [None] * len(bands))
    excuse = MEANT if source.allows_overlap else None
    with quiet():  # what is allowed is said in `setup`
        check_ground(opened.scenes, opened.regions, excuse=excuse)
    found = None
    if 0 < opened.decoded_bytes(len(bands)) <= _MOST_SCANNED_BYTES:
        opened.keep_decoded(len(bands), source.cache_bytes)
        if source.refuses_missing_frames:
            check_frames(opened.scenes, places)
        found = scan(opened.scenes, places, opened.regions, opened.labels, opened.tiling, source.known_values)
        opened.labels.check_training(found.labels["train"])
        with quiet():
            check_pixels(opened.scenes, opened.regions, found.hashes, excuse=excuse)
    return Preview(opened.inputs(bands), opened.labels.target.of_bands(bands), source.known_values, source, found)
