"""A map of a raster of any size, or a table of many images, by a recorded run's best checkpoint."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from geocompose.cli import Experiment, refuse_other_overrides
from geocompose.console import console
from geocompose.data.files.band_files import shown
from geocompose.data.rasters.image import SceneImage
from geocompose.errors import counted
from geocompose.imagery.samples import Inputs, Target
from geocompose.imagery.units import Values
from geocompose.inference.content import Content, choose_content
from geocompose.inference.coordinates import CoordinateReader
from geocompose.inference.listing import ImageFile, list_images
from geocompose.inference.map_codes import MapCodes, map_codes
from geocompose.inference.map_record import write_record
from geocompose.inference.offsets import offset_reader
from geocompose.inference.reading import FurtherRaster, Reading
from geocompose.inference.request import (
    check_arguments,
    coordinate_reader,
    cost_in_words,
    destination_of,
    further_rasters,
    opened_input,
    reading_of,
)
from geocompose.inference.tally import Spread
from geocompose.inference.values import input_values
from geocompose.runs import RecordedRun, load_rules, open_run
from geocompose.runs.run_log import run_log

if TYPE_CHECKING:
    from geocompose.inference.batch_choice import Batch
    from geocompose.inference.trained import TrainedModel

LARGE_PX = 100_000_000  # a raster of which it is said what it will cost: a Sentinel-2 tile has 120 million


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What is asked for, all of it checked against the run: nothing of it needs the model's libraries.

    image: the raster, or the first of the images. settings: what the prediction's record holds of how it was made.
    """

    run: RecordedRun
    target: Target
    content: Content
    codes: MapCodes
    given: str
    images: list[ImageFile]
    image: SceneImage
    further: list[FurtherRaster]
    values: Values
    reading: Reading
    coordinates: CoordinateReader
    destination: Path
    overlap_px: int | None
    fit: Literal["refuse", "crop", "resize"] | None
    batch_size: int | None
    precision: Literal["fp32", "bf16"]
    settings: dict[str, Any]


def predict(
    experiment: Experiment,
    run: str,
    input: str,
    output: str,
    kind: Literal["classes", "probabilities", "values"] | None = None,
    overlap_px: int | None = None,
    fit: Literal["refuse", "crop", "resize"] | None = None,
    batch_size: int | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    more_inputs: list[str] | None = None,
    nodata: float | None = None,
    band_names: list[str] | None = None,
    date: str | list[str] | None = None,
    position: str | list[float] | None = None,
    unit: Literal["reflectance", "reflectance_1e4", "dn", "db", "power", "uint8"] | None = None,
    offset: float | str | None = None,
    scale: float | None = None,
    scale_tags: Literal["read", "ignore"] | None = None,
    label_values: bool = False,
    overwrite: bool = False,
    base: str | None = None,
    trust: list[str] | None = None,
) -> None:
    """Predict `input` with the run in the folder `run`, or a bundle, and write `output`.

    For a task of pixels (segmentation, regression) `input` is a raster, and `output` a GeoTIFF on its grid. For a task
    of images (classification, multilabel, scalar_regression) `input` is a raster, a folder of rasters or a pattern, and
    `output` a CSV with one row per image. Where each band of an image is a file, `input` has `{band}` in place of its
    name: `s0_{band}.tif`.

    kind: `classes` or `probabilities` where the run knows classes, `values` where it predicts numbers; None is the
        first that fits.
    overlap_px: context that neighbouring windows of a raster share; None is a quarter of the tile.
    fit: how an image larger than those of the training comes to their size: by its centre (`crop`), scaled (`resize`)
        or not at all (`refuse`); None is as in training.
    batch_size: windows or images at a time; None is as many as fit into memory, which is said and recorded.
    precision: `fp32`, or `bf16` for products and convolutions in bfloat16: faster on devices that have it, and less
        exact.
    more_inputs: further rasters on the input's grid, for a run that was trained with data.more_images, in that order.
        They may be left out where `input` has all bands.
    nodata: a value of pixels without data, beside what the raster says itself: the values that it declares, its masks
        and its alpha band; None is as in training.
    band_names: names of the bands in file order; None is the training data's where their number fits, else those that
        the file carries.
    date: when the input was taken, for a run that was trained with dates: a date such as 2022-01-15 (a list where an
        image has several frames), `file_name`, `tags`, a CSV file with the columns `file` and `date`, or `none` where
        it is not known; None finds it as the training data's.
    position: where it was taken, for a run that was trained with positions: [latitude, longitude] in degrees,
        `georeference`, a CSV file with `file`, `latitude` and `longitude`, or `none`; None finds it as in training.
    unit, offset, scale, scale_tags: what the input's values are (see `Values`); None is as the training data's, except
        that what a file's own tags say comes before the training's offset and scale. They are converted to what the
        model reads. offset may be `tags`, `date` (by the file's name) or a CSV file with the columns `file` and
        `offset`, where the offset differs from file to file.
    label_values: in a map of classes, write the values that the training labels had (data.label_values, the first of
        several) in place of the classes' places from 0; both are in the file's tags.
    overwrite: replace `output`.
    base: the file of weights that the run started from, where it is not in the run and lies elsewhere here; or the
        folder of several.
    trust: targets that the run may name beside those in conf/, such as [my_lab.Net]: they are imported and called.

    What it was made of is written beside it: `map.tif.json` (see `geocompose.inference.map_record`).

    Raises:
        UserError: the run, the input or the output can't be used as asked.
    """
    with run_log() as said:
        said.hear(experiment.told)
        refuse_other_overrides(experiment, [])
        recorded = open_run(run, load_rules(experiment.conf_dir), experiment.trust(trust), base=base)
        data = recorded.config.get("data") or {}
        target = Target.from_record(recorded.record.data.get("target"))
        content = choose_content(kind, target)
        check_arguments(target, overlap_px, fit, label_values=label_values)
        codes = map_codes(data, content, written=label_values)
        images = [ImageFile(shown(Path(input)), input)] if target.pixel_wise else list_images(input)
        further = further_rasters(recorded, target, more_inputs)
        values = input_values(recorded.record.data, unit, offset, scale, scale_tags)
        offsets = offset_reader(values, data, images, Inputs.from_record(recorded.record.data).num_frames)
        reading = reading_of(recorded, band_names=band_names, nodata=nodata, values=values, offsets=offsets)
        # Before the model's libraries are loaded. Images other than the first are opened when they are read.
        image = opened_input(recorded, target, reading, images[0].path, further).image
        sources = [*(image.path for image in images), *(raster.path for raster in image.rasters)]
        destination = destination_of(output, sources, target, overwrite=overwrite)
        coordinates = coordinate_reader(recorded, [image.name for image in images], date, position)
        coordinates.of(images[0].name, str(image.path))
        request = _Request(
            run=recorded,
            target=target,
            content=content,
            codes=codes,
            given=input,
            images=images,
            image=image,
            further=further,
            values=values,
            reading=reading,
            coordinates=coordinates,
            destination=destination,
            overlap_px=overlap_px,
            fit=fit,
            batch_size=batch_size,
            precision=precision,
            settings={"kind": content, "values": values.as_record(), "further": more_inputs or []},
        )
        how = _answer(request)
        record = write_record(
            destination, run=recorded, given=input, settings={**request.settings, "how": how}, said=said.lines
        )
        console().print(f"written: {destination} (what it was made of: {record.name})")


def _answer(request: _Request) -> dict[str, Any]:
    """Load the model, write the map or table, and say what it comes to; return how it was computed, for its record."""
    from geocompose.inference.trained import load_trained

    trained = load_trained(request.run)
    if request.values.unit is not None or request.values.more:
        as_trained = ", as in training" if request.values.presumed else ""
        console().print(f"The input's values are read as {request.values.in_words()}{as_trained}.")
    how = _map(request, trained) if request.target.pixel_wise else _table(request, trained)
    return {**how, "precision": request.precision}


def _map(request: _Request, trained: "TrainedModel") -> dict[str, Any]:
    from geocompose.inference.raster import predict_raster

    out, image, target = console(), request.image, request.target
    tile_px = trained.data["tile_px"]
    overlap_px = tile_px // 4 if request.overlap_px is None else request.overlap_px
    if image.height * image.width >= LARGE_PX:
        out.print(cost_in_words(image.height, image.width, tile_px, overlap_px, request.content, target))
    with _progress("windows") as progress:
        done = predict_raster(
            trained.on_best_device(request.precision),
            request.given,
            request.destination,
            target=target,
            content=request.content,
            reading=request.reading,
            further=request.further,
            tile_px=tile_px,
            overlap_px=overlap_px,
            batch_size=request.batch_size,
            coordinates=request.coordinates,
            codes=request.codes,
            progress=progress,
            chosen=_say_chosen("window"),
        )
    pixels = f"{done.height} x {done.width} pixels in {counted(done.windows, 'window')}"
    out.print(f"{pixels}; {done.nodata_pixels:,} without data")
    _show(done.class_pixels, done.variables, "pixel", total=done.height * done.width - done.nodata_pixels)
    return {"tile_px": tile_px, "overlap_px": overlap_px, "batch_size": done.batch.size}


def _table(request: _Request, trained: "TrainedModel") -> dict[str, Any]:
    from geocompose.inference.images import predict_images

    fit = request.fit or (trained.config.get("data") or {}).get("fit", "refuse")
    with _progress("images") as progress:
        done = predict_images(
            trained.on_best_device(request.precision),
            request.images,
            request.destination,
            target=request.target,
            content=request.content,
            reading=request.reading,
            tile_px=trained.data["tile_px"],
            fit=fit,
            batch_size=request.batch_size,
            coordinates=request.coordinates,
            progress=progress,
            chosen=_say_chosen("image"),
        )
    console().print(f"{counted(done.images, 'image')}; {done.without_data} without data")
    _show(done.classes, done.variables, "image", total=done.images - done.without_data)
    return {"tile_px": trained.data["tile_px"], "fit": fit, "batch_size": done.batch.size}


def _say_chosen(what: str) -> Callable[["Batch"], None]:
    """Return what says how many windows or images are predicted at a time, where nobody has said it."""

    def say(batch: "Batch") -> None:
        if batch.window_bytes is not None:
            console().print(batch.in_words(what))

    return say


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
