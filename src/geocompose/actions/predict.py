"""A map of a raster of any size by a recorded run's best checkpoint."""

from pathlib import Path
from typing import Literal

from geocompose.cli import Experiment, refuse_other_overrides
from geocompose.console import console
from geocompose.errors import UserError
from geocompose.runs import find_run


def predict(
    experiment: Experiment,
    run: str,
    input: str,
    output: str,
    kind: Literal["classes", "probabilities"] = "classes",
    overlap_px: int | None = None,
    batch_size: int = 8,
    nodata: float | None = None,
    band_names: list[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Predict the raster `input` with the run in the folder `run` and write the GeoTIFF `output`.

    kind: a class or the classes' probabilities a pixel. overlap_px: context that neighbouring windows share, a quarter
    of the tile where null. nodata: the value of pixels without data; as in training, else what the raster declares,
    where null. band_names: names of the raster's bands; the
    training data's where null and their number fits, else those that it carries. overwrite: replace `output`.

    Raises:
        UserError: the run, the raster or the output can't be used as asked.
    """
    refuse_other_overrides(experiment, [])
    folder = find_run(run)
    target = Path(output)
    if target.is_dir():
        raise UserError(
            f"action.output={target} is a folder. Name the file to write in it, such as {target / 'map.tif'}."
        )
    if not Path(input).exists() and "://" not in input and not input.startswith("/vsi"):
        raise UserError(f"action.input={input}: there is no such raster.")
    if target.exists() and not overwrite:
        raise UserError(f"action.output={target} exists already; action.overwrite=true replaces it.")
    import torch
    from rich.progress import Progress

    from geocompose.assembly import load_trained
    from geocompose.inference.device import best_device
    from geocompose.inference.raster import predict_raster

    trained = load_trained(folder)
    recorded = trained.data
    device = best_device()
    model = trained.model.to(device)

    def logits(image: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return model(image.to(device)).output

    tile_px = recorded["tile_px"]
    with Progress(transient=True) as progress:
        bar = progress.add_task("windows")
        done = predict_raster(
            logits,
            input,
            target,
            bands=recorded["bands"],
            band_names=band_names,
            training_names=trained.config["data"].get("band_names"),
            mean=recorded["normalization"]["mean"],
            std=recorded["normalization"]["std"],
            nodata=nodata if nodata is not None else trained.config["data"].get("nodata"),
            tile_px=tile_px,
            overlap_px=tile_px // 4 if overlap_px is None else overlap_px,
            batch_size=batch_size,
            output=kind,
            class_names=recorded["class_names"],
            progress=lambda number, total: progress.update(bar, completed=number, total=total),
        )
    out = console()
    out.print(
        f"{done['height']} x {done['width']} pixels in {done['windows']} windows; {done['nodata_pixels']} without data"
    )
    total = sum(done["class_pixels"].values()) or 1
    for name, count in done["class_pixels"].items():
        out.print(f"  {name}: {count:,} pixels ({count / total:.1%})")
    out.print(f"written: {target}")
