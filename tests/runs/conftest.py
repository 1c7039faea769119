"""A run's folder, which is not there yet."""

from pathlib import Path

import pytest

from geocompose.runs import RunFolder
from tests.kit.run_folders import ID


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "outputs" / "default" / f"prithvi-upernet-none-{ID}")
