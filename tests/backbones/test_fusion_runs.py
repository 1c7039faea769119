"""Runs of backbones side by side, and of time series through image backbones, as somebody types them."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from geocompose.errors import UserError
from geocompose.runs import load_rules
from geocompose.runs.identity import counted
from tests.kit.command import only_run, record_of, run
from tests.kit.data_rasters import label, write
from tests.kit.made_runs import trained
from tests.kit.places import CONF
from tests.kit.shared import CHIP, needs_chip

QUICK = (
    "decoder=fcn",
    "decoder.channels=16",
    "decoder.num_convs=1",
    "data.tile_px=32",
    "data.batch_size=4",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "trainer.progress_bar=false",
    "logger=csv",
    "data.baselines=[]",
)
SMALL_PARTS = (
    "backbone=fusion", "backbone.parts.s2.embed_dim=48", "backbone.parts.s2.depth=2", "backbone.parts.s2.num_heads=4",
    "backbone@backbone.parts.s1=timm", "backbone.parts.s1.name=test_resnet",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@needs_chip
def test_sentinel_1_beside_sentinel_2_trains_on_the_real_chip_and_is_evaluated():
    more = "data.more_images=[{images: '**/*_S1Hand.tif', band_names: [VV, VH], nodata: nan, unit: db}]"
    run(
        *SMALL_PARTS,
        *QUICK,
        "data=sen1floods11",
        f"data.root={CHIP}",
        more,
        "data.split=[0.625,0.125,0.25]",
        "study=s1s2",
        "data.tile_px=128",
    )
    folder = only_run("s1s2")
    record = record_of(folder)
    assert record["data"]["bands"] == ["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2", "VV", "VH"]
    assert record["status"] == "completed"
    assert np.isfinite(record["metrics"]["test/mIoU"])
    run("action=evaluate", f"action.run={folder}")


def series(root: Path, frames: int) -> Path:
    """Write four images of so many frames of two bands, and their labels."""
    for key in range(4):
        pixels = np.random.default_rng(key).integers(1, 3000, (2 * frames, 64, 64)).astype("float32")
        write(root / f"{key}_img.tif", pixels)
        write(root / f"{key}_lab.tif", label(key, 64, 64))
    return root


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        (("temporal=concat", "temporal.subset_lengths=[1,2]"), 3),
        (("temporal=attention", "temporal.num_heads=4"), 3),
    ],
)
def test_a_time_series_trains_any_image_backbone_from_the_command_line(options, frames, tmp_path):
    data = (
        "data=geotiff",
        f"data.root={series(tmp_path / 'data', frames)}",
        "data.images=*_img.tif",
        "data.labels=*_lab.tif",
        "data.class_names=[land,water]",
        "data.band_names=[RED,NIR_NARROW]",
        f"data.num_frames={frames}",
    )
    run("backbone=timm", "backbone.name=test_resnet", *options, *data, *QUICK, "study=series")
    folder = only_run("series")
    assert record_of(folder)["data"]["num_frames"] == frames
    run(
        "action=predict",
        f"action.run={folder}",
        f"action.input={tmp_path / 'data' / '0_img.tif'}",
        "action.output=map.tif",
    )
    with rasterio.open("map.tif") as written:
        assert written.shape == (64, 64)
        assert set(np.unique(written.read(1))) <= {0, 1}


def test_frames_without_a_temporal_option_are_refused_with_the_one_to_write(tmp_path):
    data = (
        "data=geotiff", f"data.root={series(tmp_path / 'data', 2)}", "data.images=*_img.tif", "data.labels=*_lab.tif",
        "data.class_names=[land,water]", "data.band_names=[RED,NIR_NARROW]", "data.num_frames=2",
    )  # fmt: skip
    with pytest.raises(UserError, match="temporal=mean"):
        run("backbone=timm", "backbone.name=test_resnet", *data, *QUICK)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "backbone.parts.s1.bands=[VV,VH]",
            r"backbone.parts.s1.bands: the image has no band 'VV', 'VH'. It has: BLUE, GREEN, RED",
        ),
        ("backbone.parts.s1.pretrained=maybe", "backbone.parts.s1.pretrained takes true or false; got 'maybe'"),
        ("backbone.parts.s2.ckpt_path=none.pt", r"backbone.parts.s2.ckpt_path=none.pt: there is no such file"),
        (
            "++backbone.parts.s1.kwargs={stem_widht: 3}",
            "backbone.kwargs.stem_widht: a backbone of timm's ResNet doesn't take it",
        ),
    ],
)
def test_what_is_wrong_in_a_part_is_told_by_its_key(override, message):
    with pytest.raises(UserError, match=message):
        run("backbone=fusion", override, *QUICK)


def test_bands_of_two_modalities_for_one_backbone_are_refused_on_the_command_line():
    with pytest.raises(
        UserError,
        match=r"backbone.bands takes a list, .* several modalities go into one list, or .* \(backbone=fusion\)",
    ):
        run("backbone=resnet18", "backbone.bands={s2: [RED], s1: [VV]}", *QUICK)


def test_weights_of_parts_count_in_a_run_s_identity_by_what_they_hold():
    rules = load_rules(CONF)
    config = {
        "backbone": {"_target_": "x", "parts": {"s2": {"ckpt_path": "a.pt", "name": "n"}}},
        "temporal": {"_target_": "geocompose.backbones.temporal.options.NoTemporal"},
    }
    assert counted(config, rules) == {"backbone": {"_target_": "x", "parts": {"s2": {"name": "n"}}}}


def test_a_run_recorded_before_there_was_the_group_temporal_is_loaded(tmp_path):
    run("backbone=timm", "backbone.name=test_resnet", *QUICK, "data.num_scenes=4", "data.scene_px=64", "study=old")
    folder = only_run("old")
    lines = (folder / "config.yaml").read_text().split("\n")
    at = lines.index("temporal:")
    (folder / "config.yaml").write_text("\n".join(lines[:at] + lines[at + 2 :]))
    assert trained(folder).config.get("temporal") is None
