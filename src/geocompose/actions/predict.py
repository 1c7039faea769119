"""A map of a raster of any size, or a table of many images, by a recorded run's best checkpoint."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from geocompose.cli import Experiment, refuse_other_overrides
from geocompose.console import console
from geocompose.data.target import Target
from geocompose.errors import UserError
from geocompose.inference.content import choose_content
from geocompose.inference.destination import GEOTIFF, TABLE, check_name
from geocompose.inference.listing import list_images
from geocompose.inference.source import is_local, open_raster, ungeoreferenced_is_fine
from geocompose.inference.tally import Spread
from geocompose.runs import find_run
from geocompose.wording import counted

if TYPE_CHECKING:
    from torch import Tensor

    from geocompose.assembly import TrainedModel


def predict(
    experiment: Experiment,
    run: str,
    input: str,
    output: str,
    kind: Literal["classes", "probabilities", "values"] | None = None,
    overlap_px: int | None = None,
    fit: Literal["refuse", "crop", "resize"] | None = None,
    batch_size: int = 8,
    nodata: float | None = None,
    band_names: list[str] | None = None,
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
    nodata: the value of pixels without data; None is as in training, else what the raster declares.
    band_names: names of the bands in file order; None is the training data's where their number fits, else those that
        the file carries.
    overwrite: replace `output`.

    Raises:
        UserError: the run, the input or the output can't be used as asked.
    """
    refuse_other_overrides(experiment, [])
    folder = find_run(run)
    target = Target.from_record(folder.read().data.get("target"))
    content = choose_content(kind, target)
    _check_arguments(target, overlap_px, fit)
    images = [] if target.pixel_wise else list_images(input)
    if target.pixel_wise and is_local(input) and not Path(input).exists():
        raise UserError(f"action.input={input}: there is no such raster.")
    sources = [input] if target.pixel_wise else [image.path for image in images]
    destination = _destination(output, overwrite, sources, pixel_wise=target.pixel_wise)
    # Before the model's libraries are loaded. Others than the first are opened when they are read.
    with ungeoreferenced_is_fine(), open_raster(sources[0]):
        pass

    from geocompose.assembly import load_trained

    trained = load_trained(folder)
    settings = {
        "target": trained.target,
        "content": content,
        "batch_size": batch_size,
        **_reading(trained, nodata, band_names),
    }
    out = console()
    if target.pixel_wise:
        from geocompose.inference.raster import predict_raster

        overlap = settings["tile_px"] // 4 if overlap_px is None else overlap_px
        with _progress("windows") as progress:
            done = predict_raster(
                _on_device(trained), input, destination, **settings, overlap_px=overlap, progress=progress
            )
        pixels = f"{done.height} x {done.width} pixels in {done.windows} windows"
        out.print(f"{pixels}; {done.nodata_pixels:,} without data")
        _show(done.class_pixels, done.variables, "pixel", total=done.height * done.width - done.nodata_pixels)
    else:
        from geocompose.inference.images import predict_images

        as_trained = (trained.config.get("data") or {}).get("fit", "refuse")
        with _progress("images") as progress:
            table = predict_images(
                _on_device(trained), images, destination, **settings, fit=fit or as_trained, progress=progress
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
    }


def _on_device(trained: "TrainedModel") -> "Callable[[Tensor], Tensor]":
    """Return the model as a function on the best device there is."""
    import torch

    from geocompose.inference.device import best_device

    device = best_device()
    model = trained.model.to(device)

    def output(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return model(images.to(device)).output

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
