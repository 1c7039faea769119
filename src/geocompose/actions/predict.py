"""A map of a raster of any size, or a table of many images, by a recorded run's best checkpoint."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from geocompose.cli import Experiment, refuse_other_overrides
from geocompose.console import console
from geocompose.data.files.band_files import shown
from geocompose.errors import counted
from geocompose.imagery.samples import Inputs, Target
from geocompose.inference.content import choose_content
from geocompose.inference.listing import ImageFile, list_images
from geocompose.inference.map_codes import map_codes
from geocompose.inference.map_record import write_record
from geocompose.inference.offsets import offset_reader
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
from geocompose.runs import load_rules, open_run
from geocompose.runs.run_log import run_log

LARGE_PX = 100_000_000  # a raster of which it is said what it will cost: a Sentinel-2 tile has 120 million


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
    batch_size: windows or images at a time.
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
        target = Target.from_record(recorded.record.data.get("target"))
        content = choose_content(kind, target)
        check_arguments(target, overlap_px, fit, label_values=label_values)
        codes = map_codes(recorded.config.get("data") or {}, content, written=label_values)
        images = [ImageFile(shown(Path(input)), input)] if target.pixel_wise else list_images(input)
        further = further_rasters(recorded, target, more_inputs)
        values = input_values(recorded.record.data, unit, offset, scale, scale_tags)
        offsets = offset_reader(
            values, recorded.config.get("data") or {}, images, Inputs.from_record(recorded.record.data).num_frames
        )
        reading = reading_of(recorded, band_names=band_names, nodata=nodata, values=values, offsets=offsets)
        # Before the model's libraries are loaded. Images other than the first are opened when they are read.
        image = opened_input(recorded, target, reading, images[0].path, further).image
        sources = [*(image.path for image in images), *(raster.path for raster in image.rasters)]
        destination = destination_of(output, sources, target, overwrite=overwrite)
        coordinates = coordinate_reader(recorded, [image.name for image in images], date, position)
        coordinates.of(images[0].name, str(image.path))

        from geocompose.inference.trained import load_trained

        trained = load_trained(recorded)
        settings: dict[str, Any] = {
            "target": target,
            "content": content,
            "batch_size": batch_size,
            "coordinates": coordinates,
            "reading": reading,
            "tile_px": trained.data["tile_px"],
        }
        out = console()
        if values.unit is not None or values.more:
            as_trained = ", as in training" if values.presumed else ""
            out.print(f"The input's values are read as {values.in_words()}{as_trained}.")
        if target.pixel_wise:
            from geocompose.inference.raster import predict_raster

            overlap = settings["tile_px"] // 4 if overlap_px is None else overlap_px
            if image.height * image.width >= LARGE_PX:
                out.print(cost_in_words(image.height, image.width, settings["tile_px"], overlap, content, target))
            with _progress("windows") as progress:
                done = predict_raster(
                    trained.on_best_device(),
                    input,
                    destination,
                    **settings,
                    further=further,
                    overlap_px=overlap,
                    codes=codes,
                    progress=progress,
                )
            pixels = f"{done.height} x {done.width} pixels in {counted(done.windows, 'window')}"
            out.print(f"{pixels}; {done.nodata_pixels:,} without data")
            _show(done.class_pixels, done.variables, "pixel", total=done.height * done.width - done.nodata_pixels)
        else:
            from geocompose.inference.images import predict_images

            own_fit = (trained.config.get("data") or {}).get("fit", "refuse")
            with _progress("images") as progress:
                table = predict_images(
                    trained.on_best_device(), images, destination, **settings, fit=fit or own_fit, progress=progress
                )
            out.print(f"{counted(table.images, 'image')}; {table.without_data} without data")
            _show(table.classes, table.variables, "image", total=table.images - table.without_data)
        record = write_record(
            destination,
            run=recorded,
            given=input,
            settings={"kind": content, "values": values.as_record(), "further": more_inputs or []},
            said=said.lines,
        )
        out.print(f"written: {destination} (what it was made of: {record.name})")


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
