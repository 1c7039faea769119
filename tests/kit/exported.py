"""What of a run is exported, as action=export opens it."""

from pathlib import Path
from typing import Any

from geocompose.errors import UserError
from geocompose.export.source import Source
from geocompose.inference.trained import load_trained
from tests.kit.bundles import opened

SMALLEST = ("backbone=timm", "backbone.name=test_resnet", "decoder=identity")  # of tasks of images


def source_of(folder: Path) -> Source:
    """Return what is exported of a run or a bundle whose data is not here."""
    recorded = opened(folder)

    def nowhere() -> Any:
        raise UserError("The run's own data is not here.")

    return Source(recorded, load_trained(recorded), nowhere)
