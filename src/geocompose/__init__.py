"""Compose, fine-tune and compare models for Earth observation."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from geocompose.loading import Loaded

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


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
