"""What of a run is exported, as action=export opens it."""

import re
from pathlib import Path
from typing import Any

from geocompose.errors import UserError
from geocompose.export.source import Source
from geocompose.inference.trained import load_trained
from tests.kit.bundles import opened
from tests.kit.places import ROOT

SMALLEST = ("backbone=timm", "backbone.name=test_resnet", "decoder=identity")  # of tasks of images


def source_of(folder: Path) -> Source:
    """Return what is exported of a run or a bundle whose data is not here."""
    recorded = opened(folder)

    def nowhere() -> Any:
        raise UserError("The run's own data is not here.")

    return Source(recorded, load_trained(recorded), nowhere)


def shown_program(word: str) -> str:
    """Return the Python of docs/export.md that holds a word."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "export.md").read_text(), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if word in block)
    return str(block)
