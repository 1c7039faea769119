"""A quarter of the broken rasters through a whole fit: one message that names the file, or a completed run."""

import random
from pathlib import Path

import pytest

from geocompose.errors import UserError
from tests.data.test_broken_rasters import CASES, chips
from tests.kit.command import SMALL, record_of, run

DRAWN = random.Random(20251).sample(sorted(CASES), -(-len(CASES) // 4))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DRAWN)
def test_a_whole_fit_ends_or_names_the_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chips(tmp_path / "chips", name)
    settings = [text for text in SMALL if not text.startswith("data.")]
    data = ["data=geotiff", "data.root=chips", "data.images='*_img.*'", "data.labels='*_lab.tif'", "data.tile_px=32"]
    refused = None
    try:
        run(*settings, *data, "data.class_names=[low,high]", "data.batch_size=2", "study=broken")
    except UserError as error:
        refused = str(error)
    runs = [record_of(path.parent)["status"] for path in tmp_path.glob("outputs/broken/*/record.json")]
    left = [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".partial")]
    assert not left, left
    if refused is None:
        assert runs == ["completed"]
    else:
        assert "completed" not in runs
        assert len(refused.splitlines()) == 1
        assert "broken" in refused or "no labelled" in refused, refused
