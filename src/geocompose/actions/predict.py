"""A map of a raster of any size, or a table of many images, by a recorded run's best checkpoint."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from geocompose.cli import Experiment, refuse_other_overrides
from geocompose.console import console
from geocompose.errors import UserError, counted
from geocompose.imagery.agreement import check_counted_alike
from geocompose.imagery.bands import canonical
from geocompose.imagery.samples import Inputs, Target
from geocompose.imagery.units import UNITS, Conversion, Values
from geocompose.inference.content import choose_content
from geocompose.inference.destination import GEOTIFF, TABLE, check_name
from geocompose.inference.listing import list_images
from geocompose.inference.source import available_bands, is_local, open_raster, ungeoreferenced_is_fine
from geocompose.inference.tally import Spread
from geocompose.runs import RecordedRun, load_rules, open_run

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from torch import Tensor

    from geocompose.inference.stacked import FurtherRaster
    from geocompose.inference.trained import TrainedModel


def predict(
    experiment: Experiment,
    run: str,
    input: str,
    output: str,
    kind: Literal["classes", "probabilities", "values"] | None = None,
    overlap_px: int | None = None,
    fit: Literal["refuse", "crop", "resize"] | None = None,
    batch_size: int = 8,
    more_inputs: list[str] | None = None,
    nodata: float | None = None,
    band_names: list[str] | None = None,
    date: str | list[str] | None = None,
    position: str | list[float] | None = None,
    unit: Literal["reflectance", "reflectance_1e4", "dn", "db", "power", "uint8"] | None = None,
    offset: float | None = None,
    scale: float | None = None,
    overwrite: bool = False,
) -> None:
    """Predict `input` with the run in the folder `run` and write `output`.

    For a task of pixels (segmentation, regression) `input` is a raster, and `output` a GeoTIFF on its grid. For a task
    of images (classification, multilabel, scalar_regression) `input` is a raster, a folder of rasters or a pattern, and
    `output` a CSV with a row an image.

    kind: `classes` or `probabilities` where the run knows classes, `values` where it predicts numbers; None is the
        first that fits.
    overlap_px: context that neighbouring windows of a raster share; None is a quarter of the tile.
    fit: how an image larger than those of the training comes to their size: by its centre (`crop`), scaled (`resize`)
        or not at all (`refuse`); None is as in training.
    batch_size: windows or images at a time.
    more_inputs: further rasters on the input's grid, for a run that was trained with data.more_images, in that order.
        They may be left out where `input` has all bands.
    nodata: the value of pixels without data; None is as in training, else what the raster declares.
    band_names: names of the bands in file order; None is the training data's where their number fits, else those that
        the file carries.
    date: when the input was taken, for a run that was trained with dates: a date such as 2022-01-15 (a list where an
        image has several frames), `file_name`, `tags`, a CSV file with the columns `file` and `date`, or `none` where
        it is not known; None finds it as the training data's.
    position: where it was taken, for a run that was trained with positions: [latitude, longitude] in degrees,
        `georeference`, a CSV file with `file`, `latitude` and `longitude`, or `none`; None finds it as in training.
    unit, offset, scale: what the input's values are (see `Values`); None is as the training data's. They are converted
        to what the model reads.
    overwrite: replace `output`.

    Raises:
        UserError: the run, the input or the output can't be used as asked.
    """
    refuse_other_overrides(experiment, [])
    recorded = open_run(run, load_rules(experiment.conf_dir))
    target = Target.from_record(recorded.record.data.get("target"))
    content = choose_content(kind, target)
    _check_arguments(target, overlap_px, fit)
    images = [] if target.pixel_wise else list_images(input)
    further = _further(recorded, target, more_inputs)
    if target.pixel_wise and is_local(input) and not Path(input).exists():
        raise UserError(f"action.input={input}: there is no such raster.")
    sources = [input] if target.pixel_wise else [image.path for image in images]
    destination = _destination(output, overwrite, sources, pixel_wise=target.pixel_wise)
    # Before the model's libraries are loaded. Others than the first are opened when they are read.
    names = [Path(input).name] if target.pixel_wise else [image.name for image in images]
    with ungeoreferenced_is_fine(), open_raster(sources[0]) as first:
        from geocompose.inference.coordinates import CoordinateReader

        coordinates = CoordinateReader(**_taken(recorded), names=names, dates=date, position=position)
        coordinates.of(names[0], first)
        if target.pixel_wise and not further:
            _check_has_all(recorded, first, band_names)
    for raster in further:
        with ungeoreferenced_is_fine(), open_raster(raster.path):
            pass

    from geocompose.inference.trained import load_trained

    trained = load_trained(recorded)
    settings = {
        "target": trained.target,
        "content": content,
        "batch_size": batch_size,
        "coordinates": coordinates,
        **_reading(trained, nodata, band_names),
    }
    out = console()
    values = _values(trained.data, unit, offset, scale)
    if values is not None:
        settings["conversions"] = _conversions(trained.data, values)
        as_trained = ", as in training" if unit is offset is scale is None else ""
        out.print(f"The input's values are read as {values.in_words()}{as_trained}.")
    if target.pixel_wise:
        from geocompose.inference.raster import predict_raster

        overlap = settings["tile_px"] // 4 if overlap_px is None else overlap_px
        with _progress("windows") as progress:
            done = predict_raster(
                _on_device(trained),
                input,
                destination,
                **settings,
                further=further,
                overlap_px=overlap,
                progress=progress,
            )
        pixels = f"{done.height} x {done.width} pixels in {done.windows} windows"
        out.print(f"{pixels}; {done.nodata_pixels:,} without data")
        _show(done.class_pixels, done.variables, "pixel", total=done.height * done.width - done.nodata_pixels)
    else:
        from geocompose.inference.images import predict_images

        own_fit = (trained.config.get("data") or {}).get("fit", "refuse")
        with _progress("images") as progress:
            table = predict_images(
                _on_device(trained), images, destination, **settings, fit=fit or own_fit, progress=progress
            )
        out.print(f"{counted(table.images, 'image')}; {table.without_data} without data")
        _show(table.classes, table.variables, "image", total=table.images - table.without_data)
    out.print(f"written: {destination}")


def _check_arguments(target: Target, overlap_px: int | None, fit: str | None) -> None:
    """Refuse arguments that would change nothing."""
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


def _destination(output: str, overwrite: bool, sources: Sequence[str], *, pixel_wise: bool) -> Path:
    destination = Path(output)
    example = "map.tif" if pixel_wise else "table.csv"
    if destination.is_dir():
        raise UserError(
            f"action.output={destination} is a folder. Name the file to write in it, such as {destination / example}."
        )
    check_name(destination, GEOTIFF if pixel_wise else TABLE, sources)
    if destination.exists() and not overwrite:
        raise UserError(f"action.output={destination} exists already; action.overwrite=true replaces it.")
    return destination


def _taken(run: RecordedRun) -> dict[str, Any]:
    """Return what a run's data gave beside the pixels, and by which rules."""
    inputs = Inputs.from_record(run.record.data)
    data = run.config.get("data") or {}
    return {"given": inputs.coordinates, "data": data, "num_frames": inputs.num_frames}


def _further(run: RecordedRun, target: Target, more_inputs: Sequence[str] | None) -> "list[FurtherRaster]":
    """Return the rasters beside the input.

    Raises:
        UserError: there are more or fewer than in training, or the task is of images.
    """
    from geocompose.inference.stacked import FurtherRaster

    if not more_inputs:
        return []
    if not target.pixel_wise:
        raise UserError(
            f"action.more_inputs is for a map of one raster; a run of the task {target.kind} reads images that have "
            "all bands. Stack the rasters of each image into one file with named bands, and leave it out."
        )
    entries = (run.config.get("data") or {}).get("more_images") or []
    if len(more_inputs) != len(entries):
        raise UserError(
            f"action.more_inputs has {len(more_inputs)} rasters; the run was trained with {len(entries)} beside the "
            "first (data.more_images). Give as many, in that order."
        )
    return [
        FurtherRaster(path, entry.get("band_names"), entry.get("nodata"))
        for path, entry in zip(more_inputs, entries, strict=True)
    ]


def _check_has_all(run: RecordedRun, dataset: "DatasetReader", band_names: list[str] | None) -> None:
    """Refuse an input alone that lacks bands of the rasters beside the first in training.

    Raises:
        UserError: says how to name the others.
    """
    data = run.config.get("data") or {}
    entries = data.get("more_images") or []
    if not entries:
        return
    inputs = Inputs.from_record(run.record.data)
    there = available_bands(dataset, inputs.bands, band_names, data.get("band_names"), num_frames=inputs.num_frames)
    missing = [band for band in inputs.bands if canonical(band) not in map(canonical, there)]
    if missing:
        beside = ", ".join(str(entry["images"]) for entry in entries)
        raise UserError(
            f"{dataset.name} has no band {', '.join(map(repr, missing))}; it has: {', '.join(there)}. The run was "
            f"trained with rasters beside the first (data.more_images: {beside}): write their files as "
            "'action.more_inputs=[FILE.tif]', in that order."
        )


def _reading(trained: "TrainedModel", nodata: float | None, band_names: list[str] | None) -> dict[str, Any]:
    """Return how images are read: the bands, normalisation and size of the training, and what the user says of them."""
    data: Mapping[str, Any] = trained.config.get("data") or {}
    return {
        "bands": trained.data["bands"],
        "band_names": band_names,
        "training_names": data.get("band_names"),
        "mean": trained.data["normalization"]["mean"],
        "std": trained.data["normalization"]["std"],
        "nodata": nodata if nodata is not None else data.get("nodata"),
        "tile_px": trained.data["tile_px"],
        "num_frames": trained.data.get("num_frames", 1),
    }


def _values(recorded: Mapping[str, Any], unit: str | None, offset: float | None, scale: float | None) -> Values | None:
    """Return what the input's values are; None where nobody said what the training data's were.

    Raises:
        UserError: an offset or scale of values that have none, or a unit where there is none to convert to.
    """
    trained = Values.of(recorded)
    if trained.unit is None:
        for key, value in (("unit", unit), ("offset", offset), ("scale", scale)):
            if value is not None:
                raise UserError(
                    f"action.{key}={value} says what the input's values are, but the run's data never said what the "
                    "model reads (data.unit). Leave it out; the input is read as it is."
                )
        return trained if trained.more else None
    if unit is None:
        offset = trained.offset if offset is None else offset
        scale = trained.scale if scale is None else scale
    return Values(unit or trained.unit, None, offset, scale, more=trained.more, group="action")


def _conversions(recorded: Mapping[str, Any], values: Values) -> list[Conversion]:
    """Return how the values of each band become what the model reads.

    Raises:
        UserError: no rule leads there.
    """
    check_counted_alike(values, recorded)
    found = []
    for band, unit in zip(recorded["bands"], recorded["read_as"], strict=True):
        conversion = values.band(band).conversion(unit)
        if conversion is None and values.unit == "dn":
            raise UserError(
                f"The run's model reads {unit} ({UNITS[unit]}), and of digital numbers (action.unit=dn) it isn't known "
                "what was added. Write action.offset=0, or what was added: 1000 in Sentinel-2 images of processing "
                "baseline 04.00 on."
            )
        if conversion is None:
            raise UserError(
                f"The run's model reads {unit} ({UNITS[unit]}), and no rule turns action.unit={values.unit} into that. "
                "Convert the raster first, or leave action.unit out to have it read as the training data was."
            )
        found.append(conversion)
    return found


def _on_device(trained: "TrainedModel") -> "Callable[..., Tensor]":
    """Return the model as a function on the best device there is."""
    import torch

    from geocompose.inference.device import best_device

    device = best_device()
    model = trained.model.to(device)

    def output(images: torch.Tensor, **coordinates: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            beside = {name: value.to(device) for name, value in coordinates.items()}
            return model(images.to(device), **beside).output

    return output


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while the block runs; what it yields takes how many are done, of how many."""
    from rich.progress import Progress

    with Progress(transient=True) as progress:
        bar = progress.add_task(what)
        yield lambda number, total: progress.update(bar, completed=number, total=total)


def _show(classes: Mapping[str, int], variables: Mapping[str, Spread], what: str, total: int) -> None:
    out = console()
    for name, count in classes.items():
        out.print(f"  {name}: {counted(count, what)} ({count / max(total, 1):.1%})")
    for name, spread in variables.items():
        out.print(f"  {name}: {spread.least:.4g} to {spread.greatest:.4g}, mean {spread.mean:.4g}")
