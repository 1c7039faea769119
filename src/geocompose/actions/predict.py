"""A map of a raster of any size by a recorded run's best checkpoint."""

from pathlib import Path

from geocompose.cli import Experiment
from geocompose.console import console
from geocompose.errors import UserError
from geocompose.runs import find_run


def predict(experiment: Experiment) -> None:
    """Predict `action.input` with the run in `action.run` and write the GeoTIFF `action.output`.

    Raises:
        UserError: the run, the raster or the output can't be used as asked.
    """
    action = experiment.config["action"]
    run = find_run(action["run"])
    target = Path(action["output"])
    if target.exists() and not action["overwrite"]:
        raise UserError(f"action.output={target} exists already; action.overwrite=true replaces it.")
    import torch
    from rich.progress import Progress

    from geocompose.assembly import load_trained
    from geocompose.inference.device import best_device
    from geocompose.inference.raster import predict_raster

    trained = load_trained(run)
    recorded = trained.data
    device = best_device()
    model = trained.model.to(device)

    def logits(image: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return model(image.to(device)).output

    tile_px = recorded["tile_px"]
    overlap_px = action["overlap_px"] if action["overlap_px"] is not None else tile_px // 4
    with Progress(transient=True) as progress:
        bar = progress.add_task("windows")
        done = predict_raster(
            logits,
            action["input"],
            target,
            bands=recorded["bands"],
            band_names=action["band_names"] or trained.config["data"].get("band_names"),
            mean=recorded["normalization"]["mean"],
            std=recorded["normalization"]["std"],
            nodata=action["nodata"] if action["nodata"] is not None else trained.config["data"].get("nodata"),
            tile_px=tile_px,
            overlap_px=overlap_px,
            batch_size=action["batch_size"],
            output=action["kind"],
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
