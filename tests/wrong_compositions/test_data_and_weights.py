"""Data that doesn't suit a backbone or its weights: modalities, bands, levels and units, told before it is read."""

from pathlib import Path

import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from geocompose.catalog.optional import installed
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.units import Values
from geocompose.training.early_agreement import check_early
from tests.kit.command import run
from tests.kit.compositions import planned
from tests.kit.data_rasters import image, label, write
from tests.kit.places import CONF


def test_two_modalities_for_one_backbone_are_refused_by_their_bands():
    modalities = {"S2": ["RED", "NIR_NARROW"], "S1": ["VV", "VH"]}
    for name in ("timm_test_resnet", "prithvi_eo_v2_tiny_tl"):
        with pytest.raises(
            UserError,
            match=r"is the list of bands of one image, but names several modalities: S2, S1. .* backbone=fusion",
        ):
            planned(name, "FCNDecoder", backbone_bands=modalities)


RADAR = "data.more_images=[{images: '*_s1.tif', band_names: [VV, VH], nodata: nan}]"


@pytest.mark.parametrize("action", ["fit", "explain"])
def test_a_raster_of_which_one_backbone_would_read_no_band_is_refused(tmp_path, monkeypatch, action):
    command = [f"action={action}", *two_modalities(tmp_path), RADAR]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError,
        match=r"data\.more_images\[0\] has the bands VV, VH, and the backbone would read none of them: data\.bands is "
        r"null, so that it "
        r"reads what it was trained on, BLUE, .*Write "
        r"'data\.bands=\[BLUE,GREEN,RED,NIR_NARROW,SWIR_1,SWIR_2,VV,VH\]'.* or write "
        r"backbone=fusion .*, or leave data\.more_images\[0\] out",
    ) as refused:
        run(*command)
    assert refused.value.__notes__ == ["at backbone=prithvi"]


@pytest.mark.parametrize(
    "change", [
        "data.bands=[BLUE,GREEN,RED,NIR_NARROW,SWIR_1,SWIR_2,VV,VH]", "data.bands=[RED]", "backbone=resnet18",
        "backbone=fusion"]
)  # fmt: skip
def test_the_bands_of_two_modalities_that_the_refusal_advises_fit(tmp_path, capsys, change):
    run("action=explain", *two_modalities(tmp_path), RADAR, change)
    assert ("VV, VH" in capsys.readouterr().out) == (change != "data.bands=[RED]")  # chosen by name


def two_modalities(folder: Path) -> list[str]:
    """Write optical and radar images with labels, and return the overrides that read the former."""
    for seed, name in enumerate("abc"):
        write(folder / f"{name}.tif", image(seed, bands=6), HLS_BANDS)
        write(folder / f"{name}_s1.tif", image(seed, bands=2))
        write(folder / f"{name}_lab.tif", label(seed))
    shape = ["decoder=fcn", "data.tile_px=32", "data.batch_size=2", "data.baselines=[]", "data.label_nodata=255"]
    files = [
        "data=geotiff",
        f"data.root={folder}",
        "data.images=*.tif",
        "data.labels=*_lab.tif",
        "data.class_names=[a,b]",
    ]
    return [*shape, *files]


def test_two_modalities_for_a_model_of_one_image_are_refused():
    model = EncoderDecoderFactory((64, 64)).build_model(
        "segmentation", "timm_test_resnet", "FCNDecoder", num_classes=3, necks="auto", backbone_bands=["RED", "VV"]
    )
    message = (
        r"takes one image \(B, 2, rows, columns\) \(RED, VV\); got several: optical, sar. Stack their bands .*, or .* "
        r"backbone=fusion"
    )
    with pytest.raises(UserError, match=message):
        model({"optical": torch.zeros(1, 1, 64, 64), "sar": torch.zeros(1, 1, 64, 64)})


# Weights of torchgeo


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("SENTINEL2_ALL_MOCCO", r"backbone.weights=SENTINEL2_ALL_MOCCO: torchgeo has no such weights for resnet50. Did "
             r"you mean "
         r"'SENTINEL2_ALL_MOCO'\? Allowed: FMOW_RGB_GASSL, LANDSAT_TM_TOA_MOCO"),
        ("ResNet50_Weights.SENTINEL2_ALL_MOCCO", "Did you mean 'SENTINEL2_ALL_MOCO'"),
        ("ResNet18_Weights.SENTINEL2_ALL_MOCO", "the weights of resnet50 are those of ResNet50_Weights. Did you mean"),
    ],
)  # fmt: skip
@pytest.mark.optional
@pytest.mark.skipif(not installed("torchgeo"), reason="pip install -r requirements-torchgeo.txt")
def test_a_misspelt_name_of_torchgeos_weights_is_answered_with_the_nearest_and_the_list(weights, message):
    with pytest.raises(UserError, match=message):
        planned("torchgeo_resnet50", "FCNDecoder", backbone_weights=weights, backbone_bands=["RED", "GREEN", "BLUE"])


# Data that pretrained weights have not seen


@pytest.mark.parametrize(
    ("overrides", "bands", "message"),
    [
        (
            ["data=sen1floods11", "data.root=.", "data.level=BOA"],
            ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"],
            r"band: they have no B1, B5, B6, B7, B8, B9, B10; they have BLUE, GREEN, RED, NIR_NARROW, SWIR_1, SWIR_2\. "
            r".*"
            r"Write 'data\.bands=\[B2,B3,B4,B8A,B11,B12\]'.*'data\.allow_mismatch=\[band\]'",
        ),
        (
            ["data=sen1floods11", "data.root=."],
            ["B4", "B3", "B2"],
            r"level: they saw BOA .*, and the data is TOA .*'data\.allow_mismatch=\[level\]'",
        ),
        (
            ["backbone=resnet50", "data=sen1floods11", "data.root=."],
            ["B4", "B3", "B2"],
            r"unit: they saw uint8 .*, the data is reflectance_1e4 .*'data\.allow_mismatch=\[unit\]'",
        ),
    ],
    ids=["thirteen bands for weights of six", "TOA for BOA", "reflectance for photographs"],
)
def test_data_that_pretrained_weights_have_not_seen_is_refused_without_the_weights(overrides, bands, message):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(hydra_compose("config", overrides=["backbone.pretrained=true", *overrides]), groups(CONF))
    values = Values.of(config["data"])
    with pytest.raises(UserError, match=message):
        check_early(config, bands, values)
    check_early({**config, "data": {**config["data"], "allow_mismatch": ["unit", "level", "band"]}}, bands, values)


# Weights of your own


def of_own_weights(*overrides: str) -> None:
    """Check sen1floods11, top of atmosphere, against weights in a file of your own."""
    bands = ["B2", "B3", "B4", "B8A", "B11", "B12"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        given = ["data=sen1floods11", "data.root=.", "backbone.ckpt_path=my.pt", *overrides]
        config = check(hydra_compose("config", overrides=given), groups(CONF))
    check_early(config, bands, Values.of(config["data"]))


def test_a_file_of_ones_own_is_taken_for_the_published_weights_until_it_is_said_what_it_saw():
    with pytest.raises(
        UserError,
        match=r"level: the published weights of prithvi_eo_v2_tiny_tl saw BOA \(.*\), and the data is TOA .*If the "
        r"file in "
        r"backbone\.ckpt_path saw other data, write 'backbone\.pretrained_on=\{level: TOA\}'",
    ):
        of_own_weights()
    of_own_weights("backbone.pretrained_on={level: TOA}")
    of_own_weights("backbone.pretrained_on={level: null, unit: reflectance}")  # a unit that a rule leads to


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["backbone.pretrained_on={levl: TOA}"], "pretrained_on has no key 'levl'. Did you mean 'level'"),
        (["backbone.pretrained_on={level: TAO}"], "pretrained_on.level has no 'TAO'. Did you mean 'TOA'"),
        (
            ["backbone.pretrained_on={level: BOA}"],
            r"level: they saw BOA \(.*Take data of the level BOA\. If the difference",
        ),
        (["backbone.pretrained_on={level: TOA, unit: db}"], "unit: they saw db"),
        (["backbone.pretrained_on={}", "backbone.ckpt_path=null"], r"ckpt_path have seen, which is null: leave it out"),
        (["backbone=resnet50", "backbone.pretrained_on={level: BOA}"], "level: they saw BOA"),
    ],
)
def test_a_statement_of_what_ones_own_weights_saw_is_held_against_the_data(overrides, message):
    with pytest.raises(UserError, match=message):
        of_own_weights(*overrides)


def test_of_a_file_for_timm_nothing_is_known_until_it_is_said():
    of_own_weights("backbone=resnet50")
    of_own_weights("backbone=resnet50", "backbone.pretrained_on={level: TOA, unit: reflectance_1e4}")
