"""Compose, fine-tune and compare models for Earth observation."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from geocompose.composing import Composed
    from geocompose.loading import Loaded

__version__ = "0.1.0"
__all__ = ["__version__", "compose", "load"]


def load(
    run: "Path | str",
    *,
    trust: "Sequence[str]" = (),
    data: "Mapping[str, object] | None" = None,
    base: "Path | str | None" = None,
    conf: "Path | str | None" = None,
) -> "Loaded":
    """Return a completed run's model with its best weights, its data module and its record.

        run = geocompose.load("outputs/default/prithvi-upernet-none-0123456789")
        run.model(images).output       # in evaluation mode; images (B, bands, H, W), normalised as run.data does it
        run.data.test_dataloader()     # opened when it is first asked for
        run.record.metrics["test/mIoU"]

    run: its folder, or a bundle. trust: targets that the run may name beside those in conf/, such as ["my_lab.Net"]:
        they are imported and called. data: arguments to lay over the run's own data, such as {"root": "NEW"}. base: the
        file of weights that the run started from, where the run leaves it out and it lies elsewhere here. conf: the
        folder of options whose targets are trusted; None: that of this checkout.

    Raises:
        UserError: the run is not there, not completed or damaged, or names a target that is not trusted.
    """
    from geocompose.loading import load_run  # torch, which `import geocompose` must not load

    return load_run(run, trust=trust, data=data, base=base, conf=conf)


def compose(*overrides: str, conf: "Path | str | None" = None, config_dir: "Path | str | None" = None) -> "Composed":
    """Return what the same overrides compose on the command line: the configuration, the data and the model.

        composed = geocompose.compose("backbone=prithvi", "decoder=upernet", "data.tile_px=64")
        composed.model(images).output  # as a run begins with it: pretrained weights, or random ones by the run's seed
        composed.data.setup()          # opened when it is first asked for
        composed.config["decoder"]

    overrides: as they are typed, `key=value` each, without a sweep's commas. conf: the folder of options; None: that of
        this checkout or package. config_dir: a further folder of options, as --config-dir.

    Raises:
        UserError: what the command line would refuse, with the same message; of data and model when they are asked for.
    """
    from geocompose import composing  # torch, as above

    return composing.compose(overrides, conf=conf, config_dir=config_dir)
