"""torchgeo's names and tables, which need no torchgeo, and the formulas behind its models."""

import datetime
import math

import pytest
import torch
import yaml
from torch import nn
from torchvision.transforms import v2

from geocompose.backbones.torchgeo.builder import build_torchgeo
from geocompose.backbones.torchgeo.croma import _patches, distance_bias
from geocompose.backbones.torchgeo.spectral import days_since_1970
from geocompose.backbones.torchgeo.tokens import plane_encoding, resampled
from geocompose.catalog import optional
from geocompose.catalog.torchgeo import MODELS, REFUSED
from geocompose.catalog.torchgeo_provenance import normalization
from geocompose.catalog.torchgeo_spectra import COPERNICUS_UM, DOFA_UM, bandwidths_um, wavelengths_um
from geocompose.errors import UserError
from geocompose.registry import BACKBONE_REGISTRY
from tests.kit.places import CONF
from tests.kit.torchgeo_models import image, needs_torchgeo


@pytest.fixture
def without_torchgeo(monkeypatch):
    monkeypatch.setitem(optional.PACKAGES, "torchgeo", ("no_such_package",))


def test_the_names_of_torchgeos_models_are_known_without_it_and_building_one_says_how_to_install_it(without_torchgeo):
    source = BACKBONE_REGISTRY.sources["torchgeo"]
    assert len(source) == len(list(source)) == 24
    assert {"resnet50", "dofa_base_patch16_224", "croma_base"} <= set(source)
    assert "torchgeo_panopticon_vitb14" in BACKBONE_REGISTRY
    assert "torchgeo_panopticon_vitb15" not in BACKBONE_REGISTRY
    with pytest.raises(UserError, match=r"not installed.*pip install -r requirements-torchgeo.txt"):
        BACKBONE_REGISTRY.build("torchgeo_resnet50")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("aurora_swin_unet", "forecasts weather"), ("unet", "whole segmentation model.*decoder=smp_unet")],
)
def test_a_model_of_torchgeo_that_is_no_backbone_is_refused_with_the_reason(without_torchgeo, name, reason):
    assert name in REFUSED
    assert name not in list(BACKBONE_REGISTRY.sources["torchgeo"])
    with pytest.raises(UserError, match=f"torchgeo's {name} can't be a backbone: it .*{reason}"):
        build_torchgeo(name)


@needs_torchgeo
@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_is_no_backbone_is_found_by_its_name_and_refused(name):
    with pytest.raises(UserError, match="can't be a backbone"):
        BACKBONE_REGISTRY.build(f"torchgeo_{name}")


def test_a_misspelt_model_is_told_with_the_nearest(without_torchgeo):
    with pytest.raises(UserError, match=r"no such model. Did you mean 'dofa_base_patch16_224'"):
        build_torchgeo("dofa_base_patch16")


def test_the_options_name_models_of_every_family():
    options = {path.stem: yaml.safe_load(path.read_text()) for path in (CONF / "backbone").glob("torchgeo_*.yaml")}
    named = {content["name"] for content in options.values()}
    assert len(options) == 10
    assert named <= set(MODELS)
    assert {MODELS[name].family for name in named} == {model.family for model in MODELS.values()}


def test_wavelengths_are_the_users_then_the_models_then_the_vocabularys():
    names = ["B2", "RED", "B8A"]
    assert wavelengths_um("dofa", names, None, DOFA_UM) == [0.49, 0.665, 0.8647]
    assert wavelengths_um("dofa", names, None, {}) == [0.4927, 0.6646, 0.8647]
    assert wavelengths_um("dofa", names, {"BLUE": 0.5}, DOFA_UM) == [0.5, 0.665, 0.8647]
    assert wavelengths_um("dofa", ["VV", "MINE"], {"MINE": 0.6}, DOFA_UM) == [5.405, 0.6]
    assert wavelengths_um("dofa", None, [0.4, 0.5], DOFA_UM) == [0.4, 0.5]
    assert bandwidths_um("copernicusfm", ["B8", "VH", "L8_B10"], None, {"NIR_BROAD": 0.115, "VH": 1e6}) == [
        0.115,
        1e6,
        0.59,
    ]
    assert COPERNICUS_UM["VV"] == 5e4


@pytest.mark.parametrize(
    ("bands", "given", "message"),
    [
        (None, None, r"name the bands in backbone.bands, or write backbone.kwargs.wavelengths_um=\["),
        (
            ["RED", "NDVI"],
            None,
            r"vocabulary has none for NDVI. Write it in um, such as .*wavelengths_um=\{NDVI: 0.65\}",
        ),
        (["RED", "GREEN"], [0.6], r"has 1 numbers for 2 bands \(RED, GREEN\)"),
        (["RED"], {"BLU": 0.5}, "names 'BLU', which is not one of backbone.bands"),
        (["RED"], {"RED": -0.5}, "numbers above 0, in um; got -0.5"),
        (["RED"], ["red"], "numbers above 0, in um; got 'red'"),
        (["RED"], 0.66, "must be one number per band, such as"),
    ],
)
def test_a_band_without_wavelength_is_refused_and_told_how_to_give_it(bands, given, message):
    with pytest.raises(UserError, match=message):
        wavelengths_um("dofa_base_patch16_224", bands, given, DOFA_UM)


def test_a_band_without_width_is_refused_and_told_how_to_give_it():
    with pytest.raises(UserError, match=r"band's width, and the vocabulary has none for MINE.*bandwidths_um=\{MINE"):
        bandwidths_um("copernicusfm_base", ["RED", "MINE"], None, {})


def test_days_are_counted_from_1970():
    dates = [
        datetime.date(1970, 1, 1),
        datetime.date(2000, 3, 1),
        datetime.date(2018, 1, 27),
        datetime.date(2100, 12, 31),
    ]
    given = torch.tensor([[date.year, date.timetuple().tm_yday - 1] for date in dates], dtype=torch.float64)
    assert days_since_1970(given).tolist() == [(date - dates[0]).days for date in dates]


def test_distances_of_tokens_are_those_of_the_paper_for_any_grid():
    bias = distance_bias((2, 3), heads=4)
    places = [(row, column) for row in range(2) for column in range(3)]
    for head, slope in enumerate((2**-2, 2**-4, 2**-6, 2**-8)):
        expected = [[-slope * math.dist(one, other) for other in places] for one in places]
        torch.testing.assert_close(bias[0, head], torch.tensor(expected))


def test_patches_hold_their_pixels_band_by_band():
    pixels = image(2, 16, 24)
    patches = _patches(pixels)
    assert patches.shape == (2, 6, 2 * 64)
    assert torch.equal(patches[0, 4], pixels[0, :, 8:16, 8:16].flatten())


def test_positions_keep_their_class_token_when_they_are_resampled():
    table = plane_encoding(16, (4, 4))
    assert resampled(table, (4, 4), (4, 4)) is table
    larger = resampled(table, (4, 4), (6, 8))
    assert larger.shape == (1, 1 + 48, 16)
    assert torch.equal(larger[:, 0], table[:, 0])
    with pytest.raises(UserError, match="multiple of 4"):
        plane_encoding(18, (2, 2))


def test_normalisations_one_after_the_other_are_one():
    transforms = nn.Sequential(
        v2.Resize((8, 8)),
        v2.Normalize([3, 2, 0], [85, 101, 129]),
        v2.Normalize([0], [1 / 255]),
        v2.Normalize([0.5], [0.2]),
    )
    mean, std = normalization(transforms, 3) or ([], [])
    pixels = image(3, 8, 8)
    expected = transforms(pixels)
    got = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    assert normalization(nn.Identity(), 3) is None
    assert normalization(v2.Normalize([0.5], [0.1]), 2) == ([0.5, 0.5], [0.1, 0.1])
