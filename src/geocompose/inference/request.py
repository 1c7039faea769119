"""What a prediction is asked for, held against the run that shall answer it; free of torch, so errors come at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geocompose.data.drift import Trained
from geocompose.data.rasters.file import RasterPath, is_local
from geocompose.errors import UserError, counted
from geocompose.imagery.bands import canonical
from geocompose.imagery.samples import Inputs, Target
from geocompose.imagery.units import Values
from geocompose.inference.content import Content
from geocompose.inference.coordinates import CoordinateReader
from geocompose.inference.destination import GEOTIFF, TABLE, check_name
from geocompose.inference.map_record import record_of
from geocompose.inference.offsets import OffsetReader
from geocompose.inference.reading import FurtherRaster, ModelInput, Reading
from geocompose.inference.windows import plan_windows
from geocompose.runs import RecordedRun


def check_arguments(target: Target, overlap_px: int | None, fit: str | None, *, label_values: bool) -> None:
    """Refuse arguments that would change nothing.

    Raises:
        UserError: `fit` for a task of pixels, or `overlap_px` or `label_values` for a task of images.
    """
    if not target.pixel_wise and label_values:
        raise UserError(
            f"action.label_values=true would change nothing: a run of the task {target.kind} writes a table with the "
            "classes' names. Leave it out."
        )
    if target.pixel_wise and fit is not None:
        raise UserError(
            f"action.fit={fit} would change nothing: a run of the task {target.kind} predicts rasters of any size by "
            "windows. Leave it out."
        )
    if not target.pixel_wise and overlap_px is not None:
        raise UserError(
            f"action.overlap_px={overlap_px} would change nothing: a run of the task {target.kind} has one answer for "
            "each image. Leave it out."
        )


def destination_of(output: str, sources: Sequence[RasterPath], target: Target, *, overwrite: bool) -> Path:
    """Return the file to write: a GeoTIFF for a task of pixels, else a table.

    Raises:
        UserError: it is a folder, has another ending, is one of `sources`, or exists already.
    """
    destination = Path(output)
    check_name(destination, GEOTIFF if target.pixel_wise else TABLE, sources)
    if destination.exists() and not overwrite:
        raise UserError(f"action.output={destination} exists already; action.overwrite=true replaces it.")
    record = record_of(destination)
    if any(is_local(source) and Path(source).resolve() == record.resolve() for source in sources) or record.is_dir():
        raise UserError(f"{record} is in the place of the prediction's record. Give action.output another name.")
    if record.exists() and not overwrite:
        raise UserError(
            f"{record} exists already, where the prediction's record would be; action.overwrite=true replaces it."
        )
    return destination


def reading_of(
    run: RecordedRun,
    *,
    band_names: Sequence[str] | None,
    nodata: float | None,
    values: Values,
    offsets: OffsetReader | None = None,
) -> Reading:
    """Return how rasters are read: the bands and normalisation of the training, and what the user says of the files.

    nodata: None is the training data's; what each raster says itself counts beside it. values: what those of the files
        are. offsets: finds what was added to each.
    """
    recorded, data = run.record.data, _data(run)
    return Reading(
        bands=recorded["bands"],
        mean=recorded["normalization"]["mean"],
        std=recorded["normalization"]["std"],
        band_names=band_names,
        training_names=data.get("band_names"),
        nodata=nodata if nodata is not None else data.get("nodata"),
        values=values,
        units=recorded.get("read_as"),
        offsets=offsets,
        trained=Trained.of_record(recorded),
        num_frames=Inputs.from_record(recorded).num_frames,
        masks_frames=data.get("missing_frames") == "mask",
    )


def further_rasters(run: RecordedRun, target: Target, more_inputs: Sequence[str] | None) -> list[FurtherRaster]:
    """Return the rasters beside the input.

    Raises:
        UserError: there are more or fewer than in training, or the task is of images.
    """
    if not more_inputs:
        return []
    if not target.pixel_wise:
        raise UserError(
            f"action.more_inputs is for a map of one raster; a run of the task {target.kind} reads images that have "
            "all bands. Stack the rasters of each image into one file with named bands, and leave it out."
        )
    entries = _data(run).get("more_images") or []
    if len(more_inputs) != len(entries):
        raise UserError(
            f"action.more_inputs has {len(more_inputs)} rasters; the run was trained with {len(entries)} beside the "
            "first (data.more_images). Give as many, in that order."
        )
    return [
        FurtherRaster(path, entry.get("band_names"), entry.get("nodata"))
        for path, entry in zip(more_inputs, entries, strict=True)
    ]


def opened_input(
    run: RecordedRun, target: Target, reading: Reading, source: RasterPath, further: Sequence[FurtherRaster]
) -> ModelInput:
    """Return the model's view of the input; its header is read, no pixel.

    Raises:
        UserError: see `Reading.open`; where bands are missing that came from rasters beside the first in training, it
        says how to name those.
    """
    entries = _data(run).get("more_images") or []
    if entries and not further and target.pixel_wise:
        there = reading.image(source).band_names
        missing = [band for band in reading.bands if canonical(band) not in map(canonical, there)]
        if missing:
            beside = ", ".join(str(entry["images"]) for entry in entries)
            raise UserError(
                f"{source} has no band {', '.join(map(repr, missing))}; it has: {', '.join(there)}. The run was "
                f"trained with rasters beside the first (data.more_images: {beside}): write their files as "
                "'action.more_inputs=[FILE.tif]', in that order."
            )
    return reading.open(source, further)


def cost_in_words(height: int, width: int, tile_px: int, overlap_px: int, content: Content, target: Target) -> str:
    """Return what a map of this size will cost: how often the model runs, and how large the file may become.

    Raises:
        UserError: see `plan_windows`.
    """
    windows = len(plan_windows(height, width, tile_px, overlap_px))
    of_index = 1 if len(target.names) < 256 else 2  # bytes
    gigabytes = height * width * (of_index if content == "classes" else 4 * len(target.names)) / 1e9
    return (
        f"{height:,} x {width:,} pixels are {counted(windows, 'window')} of {tile_px} x {tile_px}; the map is at most "
        f"{gigabytes:,.3g} GB before compression."
    )


def coordinate_reader(
    run: RecordedRun, names: Sequence[str], date: str | list[str] | None, position: str | list[float] | None
) -> CoordinateReader:
    """Return what finds when and where images were taken: as in training, or as the user says.

    Raises:
        UserError: see `CoordinateReader`.
    """
    inputs = Inputs.from_record(run.record.data)
    return CoordinateReader(
        inputs.coordinates, _data(run), names, num_frames=inputs.num_frames, dates=date, position=position
    )


def _data(run: RecordedRun) -> Mapping[str, Any]:
    """Return the data's part of a run's configuration."""
    return run.config.get("data") or {}
