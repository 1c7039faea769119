"""torchgeo's models as backbones: their names without the package, their features and weights with it."""

import datetime
import importlib
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from torch import Tensor, nn
from torchvision.transforms import v2

from geocompose.backbones.torchgeo.builder import build_torchgeo
from geocompose.backbones.torchgeo.croma import _patches, distance_bias
from geocompose.backbones.torchgeo.spectral import Panopticon, days_since_1970
from geocompose.backbones.torchgeo.tokens import plane_encoding, resampled
from geocompose.catalog import optional
from geocompose.catalog import torchgeo_weights as torchgeo_weight_names
from geocompose.catalog.torchgeo import MODELS, REFUSED
from geocompose.catalog.torchgeo_provenance import CROMA_BANDS, PROVENANCES, normalization, pretraining_of
from geocompose.catalog.torchgeo_spectra import COPERNICUS_UM, DOFA_UM, bandwidths_um, wavelengths_um
from geocompose.catalog.torchgeo_weights import WEIGHTS
from geocompose.contracts.meta import meta_forward, unused
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.registry import BACKBONE_REGISTRY
from tests.kit.owed import check_copies, check_export, check_gradients
from tests.kit.places import CONF
from tests.kit.small import marks, shape_of

SENTINEL_2 = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"]
FEW = {"embed_dim": 48, "depth": 2, "num_heads": 4}
STAGES = {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}


def needs_torchgeo(test: Callable[..., None]) -> Callable[..., None]:
    for mark in marks("torchgeo"):
        test = mark(test)
    return test


def library() -> Any:
    return importlib.import_module("torchgeo.models")


def meta(name: str, **given: Any) -> Any:
    with torch.device("meta"):
        return build_torchgeo(name, **given)


def image(channels: int, rows: int = 64, columns: int = 64, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, rows, columns, generator=torch.Generator().manual_seed(channels))


# Without the package


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
    with pytest.raises(UserError, match=f"torchgeo's {name} can be no backbone: it .*{reason}"):
        build_torchgeo(name)


@needs_torchgeo
@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_is_no_backbone_is_found_by_its_name_and_refused(name):
    with pytest.raises(UserError, match="can be no backbone"):
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
        (["RED"], {"BLU": 0.5}, "names 'BLU', which is none of backbone.bands"),
        (["RED"], {"RED": -0.5}, "numbers above 0, in um; got -0.5"),
        (["RED"], ["red"], "numbers above 0, in um; got 'red'"),
        (["RED"], 0.66, "is a number a band, such as"),
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


# The models


@needs_torchgeo
def test_every_model_that_torchgeo_lists_is_a_backbone_or_refused():
    assert set(library().list_models()) == {*MODELS, *REFUSED}
    assert len(MODELS) + len(REFUSED) == 26


@needs_torchgeo
@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_full_size_returns_what_it_declares_for_square_and_other_images_and_learns_in_all_it_returns(name):
    bands = ["B2", "B3", "B4", "B8A", "VV", "VH"]
    encoder = meta(name, bands=bands, gsd_m=10.0 if name.startswith("scalemae") else None)
    assert encoder.bands == bands
    assert encoder.in_chans == 6
    assert (encoder.weights, encoder.pretraining, encoder.fixed_size) == (None, None, False)
    wide = (168, 280) if encoder.feature_specs[0].stride == 14 else (192, 256)
    for rows, columns in ((224, 224), wide):
        features = meta_forward(encoder, torch.empty(2, 6, rows, columns, device="meta"))
        assert [tuple(f.shape) for f in features] == [
            shape_of(spec, 2, rows, columns) for spec in encoder.feature_specs
        ]
    with torch.device("meta"):
        features = encoder.train()(torch.empty(1, 6, 224, 224))
    parameters = dict(encoder.named_parameters())
    assert set(unused(features, parameters)) == {key for key, value in parameters.items() if not value.requires_grad}


@needs_torchgeo
@pytest.mark.parametrize("name", ["dofa_base_patch16_224", "croma_base", "panopticon_vitb14", "copernicusfm_base"])
def test_the_layers_that_are_chosen_are_returned_and_nothing_after_them_learns(name):
    encoder = meta(name, bands=["B2", "VV"])
    encoder.select_layers([1, 4])
    assert encoder.out_channels == [768, 768]
    features = encoder.train()(torch.empty(1, 2, 112, 224, device="meta"))
    parameters = dict(encoder.named_parameters())
    assert set(unused(features, parameters)) == {key for key, value in parameters.items() if not value.requires_grad}
    with pytest.raises(UserError, match="Layer 5 was given up"):
        encoder.select_layers([5])
    with pytest.raises(UserError, match=r"out_indices=\[99\]: this backbone has layers 0 to"):
        encoder.select_layers([99])


def filled(encoder: nn.Module, model: nn.Module, prefix: str = "") -> None:
    """Give a backbone the numbers of torchgeo's own model."""
    state = {f"{prefix}{key}": value for key, value in model.state_dict().items()}
    own = encoder.state_dict()
    assert own.keys() <= state.keys()
    encoder.load_state_dict({key: state[key] for key in own})


@needs_torchgeo
def test_dofa_computes_what_torchgeos_own_does():
    model = library().DOFA(img_size=64, patch_size=16, num_classes=0, **FEW).eval()
    nn.init.normal_(model.pos_embed)
    encoder = build_torchgeo("dofa_base_patch16_224", bands=["B2", "B4", "VV"], img_size=64, kwargs=FEW).eval()
    filled(encoder, model)
    with torch.no_grad():
        tokens = encoder(image(3))[-1]
        expected = model.forward_features(image(3), [0.49, 0.665, 5.405])
    torch.testing.assert_close(model.fc_norm(tokens[:, 1:].mean(dim=1)), expected)


@needs_torchgeo
@pytest.mark.parametrize("known", [True, False])
def test_copernicusfm_computes_what_torchgeos_own_does_with_and_without_date_place_and_area(known):
    model = library().CopernicusFM(img_size=64, patch_size=16, num_classes=0, **FEW).eval()
    for token in (model.pos_embed, model.coord_token, model.scale_token, model.time_token):
        nn.init.normal_(token)
    encoder: Any = build_torchgeo(
        "copernicusfm_base", bands=["B2", "VV"], img_size=64, gsd_m=10.0 if known else None, kwargs=FEW
    ).eval()
    filled(encoder, model)
    assert encoder.coords_encoding == ("time", "location")
    days = (datetime.date(2018, 1, 27) - datetime.date(1970, 1, 1)).days
    metadata = torch.tensor([[-5.8, 41.0, days, 0.16**2]] * 2) if known else torch.full((2, 4), math.nan)
    given = {
        "temporal_coords": torch.tensor([[[2018.0, 26.0]]] * 2),
        "location_coords": torch.tensor([[41.0, -5.8]] * 2),
    }
    with torch.no_grad():
        expected = model.forward_features(
            image(2), metadata, wavelengths=[490, 5e7], bandwidths=[65, 1e9], input_mode="spectral"
        )
        tokens = encoder(image(2), **(given if known else {}))[-1]
        torch.testing.assert_close(model.fc_norm(tokens[:, 1:].mean(dim=1)), expected, atol=1e-4, rtol=1e-4)


@needs_torchgeo
def test_copernicusfm_knows_date_and_place_of_each_sample_by_itself():
    encoder: Any = build_torchgeo("copernicusfm_base", bands=["B2", "VV"], img_size=64, kwargs=FEW).eval()
    for token in (encoder.coord_token, encoder.time_token):
        nn.init.normal_(token)
    dates, places = torch.tensor([[[2018.0, 26.0]]] * 2), torch.tensor([[41.0, -5.8]] * 2)
    with torch.no_grad():
        nothing, both = encoder(image(2))[-1], encoder(image(2), dates, places)[-1]
        dates[1], places[1, 0] = math.nan, math.nan
        mixed = encoder(image(2), dates, places)[-1]
    torch.testing.assert_close(mixed[0], both[0])
    torch.testing.assert_close(mixed[1], nothing[1])
    assert not torch.allclose(both, nothing)
    with pytest.raises(UserError, match=r"temporal_coords are \(B, 1, 2\)"):
        encoder(image(2), torch.zeros(2, 3, 2))
    with pytest.raises(UserError, match=r"location_coords are \(B, 2\)"):
        encoder(image(2), None, torch.zeros(2, 3))
    check_gradients(encoder.train(), lambda module: module(image(2), dates, places))


@needs_torchgeo
@pytest.mark.parametrize("gsd_m", [10.0, 0.6])
def test_scalemae_computes_what_torchgeos_own_does_at_its_ground_sampling_distance(gsd_m):
    model = library().ScaleMAE(res=gsd_m, img_size=64, patch_size=16, qkv_bias=True, num_classes=0, **FEW).eval()
    encoder = build_torchgeo("scalemae_large_patch16", gsd_m=gsd_m, kwargs=FEW).eval()
    filled(encoder, model)
    blocks: list[Tensor] = []
    model.blocks[-1].register_forward_hook(lambda _, __, tokens: blocks.append(tokens))
    with torch.no_grad():
        model(image(3))
        tokens = encoder(image(3))[-1]
    torch.testing.assert_close(tokens, blocks[0], atol=1e-4, rtol=1e-4)


@needs_torchgeo
@pytest.mark.parametrize("bands", [["B4", "B3", "VV"], ["B4", "B2"], ["VH", "VV", "HH"]])
def test_panopticon_computes_what_torchgeos_own_does_with_optical_bands_and_radar(bands, monkeypatch):
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name: create(name, **FEW, img_size=28, num_classes=0))
    model = library().Panopticon(attn_dim=96, embed_dim=48, img_size=28).eval()
    codes = model.model.patch_embed.chnfus.chnemb
    for code in (codes.embed_transmit, codes.embed_receive, codes.embed_orbit):
        nn.init.normal_(code)
    numbers = {"B4": 664.0, "B3": 559.0, "B2": 492.0, "VV": -1.0, "VH": -2.0, "HH": -3.0}
    encoder = Panopticon(model, (28, 28), bands, wavelengths_um("panopticon", bands, None, {})).eval()
    with torch.no_grad():
        ids = torch.tensor([[numbers[band] for band in bands]] * 2)
        expected = model({"imgs": image(len(bands), 28, 28), "chn_ids": ids})
        tokens = encoder(image(len(bands), 28, 28))[-1]
    torch.testing.assert_close(tokens[:, 0], expected, atol=1e-4, rtol=1e-4)
    check_gradients(encoder, lambda module: module(image(len(bands), 28, 42)))


@needs_torchgeo
def test_croma_computes_what_torchgeos_own_does_with_both_modalities_and_with_one():
    model = library().CROMA(encoder_dim=48, encoder_depth=4, image_size=64).eval()
    small = {"encoder_dim": 48, "encoder_depth": 4}
    both: Any = build_torchgeo("croma_base", img_size=64, kwargs=small).eval()
    assert both.modalities == {modality: list(bands) for modality, bands in CROMA_BANDS.items()}
    radar, optical = image(2), image(12)
    with torch.no_grad():
        expected = model(radar, optical)
        filled(both, model)
        torch.testing.assert_close(both({"sar": radar, "optical": optical})[-1], expected["joint_encodings"])
        torch.testing.assert_close(both(torch.cat([radar, optical], dim=1))[-1], expected["joint_encodings"])
        for modality, given in (("sar", radar), ("optical", optical)):
            one: Any = build_torchgeo("croma_base", img_size=64, kwargs={**small, "modalities": [modality]}).eval()
            assert (one.modalities, one.bands) == (None, list(CROMA_BANDS[modality]))
            filled(one, model)
            torch.testing.assert_close(one(given)[-1], expected[f"{modality}_encodings"])


@needs_torchgeo
def test_croma_takes_its_bands_out_of_one_image_in_any_order_and_any_size():
    small = {"encoder_dim": 48, "encoder_depth": 4}
    encoder: Any = build_torchgeo("croma_base", bands=["B4", "VV", "B3"], kwargs=small).eval()
    assert encoder.modalities == {"sar": ["VV"], "optical": ["B4", "B3"]}
    stacked = image(3, 40, 56)
    with torch.no_grad():
        apart = encoder({"optical": stacked[:, [0, 2]], "sar": stacked[:, [1]]})
        assert torch.equal(encoder(stacked)[-1], apart[-1])
    assert apart[-1].shape == (2, 35, 48)
    check_gradients(encoder, lambda module: module(stacked))
    check_copies(encoder, lambda module: module(stacked))
    check_export(encoder, (stacked,))


@needs_torchgeo
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sar": (2, 64)}, "modalities sar, optical; got sar"),
        ({"sar": (3, 64), "optical": (12, 64)}, "sar has 2 bands here; the image has 3"),
        ({"sar": (2, 64), "optical": (12, 72)}, "have one size"),
    ],
)
def test_croma_refuses_modalities_that_do_not_fit(given, message):
    encoder = build_torchgeo("croma_base", kwargs={"encoder_dim": 48, "encoder_depth": 2})
    with pytest.raises(UserError, match=message):
        encoder({name: image(bands, side, side) for name, (bands, side) in given.items()})


@needs_torchgeo
@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("croma_base", {"kwargs": {"modalities": ["lidar"]}}, "list of sar, optical or both; got"),
        ("croma_base", {"kwargs": {"modalities": ["sar"]}, "bands": ["B4"]}, r"\['B4'\] are of optical"),
        ("croma_base", {"kwargs": {"encoder_dim": 50}}, "can't be built with backbone.kwargs"),
        ("scalemae_large_patch16", {}, "such as backbone.gsd_m=10 for Sentinel-2"),
        ("scalemae_large_patch16", {"gsd_m": -1.0}, "gsd_m is metres a pixel, above 0; got -1.0"),
        ("resnet18", {"gsd_m": 10.0}, "resnet18 takes no ground sampling distance; write null"),
        ("dofa_base_patch16_224", {}, "name the bands in backbone.bands"),
        ("dofa_base_patch16_224", {"kwargs": {"wavelength_um": [0.5]}}, "Did you mean 'wavelengths_um'"),
        ("dofa_base_patch16_224", {"bands": ["B2"], "kwargs": {"num_heads": 7}}, "can't be built with"),
        ("copernicusfm_base", {"kwargs": {"wavelengths_um": [0.5, 0.6]}}, "kwargs.bandwidths_um="),
        ("copernicusfm_base", {"kwargs": {"wavelengths_um": [0.5, 0.6], "bandwidths_um": [0.1]}}, "give one each a channel"),
        ("copernicusfm_base", {"bands": ["B2"], "kwargs": {"wavelengths_um": {"B2": 0.01}}}, r"knows 0.1 to 1e\+06 um; got"),
        ("copernicusfm_base", {"bands": ["B2"], "gsd_m": 0.5}, "from 0.001 km2 on, 1.98 m a pixel here. Write null"),
        ("swin_t", {"kwargs": {"depths": [1, 1]}}, "depths has four numbers"),
        ("swin_t", {"out_indices": [4]}, r"has 4 levels, 0 to 3 \(or -4 to -1\)"),
        ("earthloc", {"out_indices": [4]}, r"earthloc has 4 levels, 0 to 3"),
        ("resnet18", {"in_chans": 0}, "at least one input channel"),
        ("resnet18", {"in_chans": 4, "bands": ["B2", "B3"]}, "in_chans=4, but resnet18 gets 2 channels here"),
        ("resnet18", {"img_size": [1, 2, 3]}, "give one number of pixels, or height and width"),
        ("resnet18", {"kwargs": {"no_such": 1}}, "kwargs.no_such: a backbone of timm's ResNet doesn't take it"),
        ("resnet18", {"weights": "SENTINEL2_ALL_MOC"}, "no such weights for resnet18. Did you mean 'SENTINEL2_ALL_MOCO'"),
        ("resnet50", {"weights": "ResNet18_Weights.SENTINEL2_ALL_MOCO"}, "the weights of resnet50 are those of ResNet50_Weights"),
        ("dofa_huge_patch14_224", {"weights": "DOFA_MAE"}, "torchgeo has no weights for dofa_huge_patch14_224"),
        ("resnet18", {"pretrained": True}, "has 13 weights for resnet18, of different sensors: name those you mean"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused_in_our_words(name, given, message):
    with pytest.raises(UserError, match=message):
        meta(name, **given)


@needs_torchgeo
def test_images_of_another_size_or_other_bands_are_refused():
    encoder = build_torchgeo("dofa_base_patch16_224", bands=["B2", "B3"], kwargs=FEW)
    with pytest.raises(UserError, match="60 x 64 pixels are no multiples of the patch of 16"):
        encoder(image(2, 60, 64))
    with pytest.raises(UserError, match=r"takes 2 bands \(B2, B3\); the image has 3"):
        encoder(image(3))


SMALL: Mapping[str, Mapping[str, Any]] = {
    "swin_t": {"kwargs": STAGES},
    "swin_v2_t": {"kwargs": STAGES},
    "dofa_base_patch16_224": {"kwargs": FEW},
    "scalemae_large_patch16": {"kwargs": FEW, "gsd_m": 10.0},
    "croma_base": {"kwargs": {"encoder_dim": 48, "encoder_depth": 4}},
    "copernicusfm_base": {"kwargs": FEW},
}


@needs_torchgeo
@pytest.mark.parametrize("name", SMALL)
def test_a_model_computes_in_mixed_precision(name):
    encoder = build_torchgeo(name, bands=["B2", "B3", "VV"], img_size=64, **SMALL[name])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = encoder(image(3))
        sum(feature.float().square().mean() for feature in features).backward()  # type: ignore[union-attr]
    assert all(feature.isfinite().all() for feature in features)
    assert all(parameter.grad is not None for parameter in encoder.parameters() if parameter.requires_grad)


COMPOSED = {
    "torchgeo_resnet50": {}, "torchgeo_vit_small_patch16_224": {}, "torchgeo_vit_small_patch14_dinov2": {},
    "torchgeo_swin_v2_t": {}, "torchgeo_earthloc": {}, "torchgeo_dofa_base_patch16_224": {},
    "torchgeo_scalemae_large_patch16": {"backbone_gsd_m": 10.0}, "torchgeo_croma_base": {},
    "torchgeo_panopticon_vitb14": {}, "torchgeo_copernicusfm_base": {},
}  # fmt: skip


@needs_torchgeo
@pytest.mark.parametrize("decoder", ["UperNetDecoder", "FCNDecoder"])
@pytest.mark.parametrize("name", COMPOSED)
def test_a_model_composes_with_decoders_for_an_image_that_is_not_square(name, decoder):
    with torch.device("meta"):
        model = EncoderDecoderFactory((192, 256)).build_model(
            "segmentation",
            name,
            decoder,
            num_classes=3,
            necks="auto",
            backbone_bands=["B2", "B3", "B4", "VV"],
            **COMPOSED[name],
        )
        assert model(torch.empty(2, 4, 192, 256)).output.shape == (2, 3, 192, 256)


# The weights


def members() -> Mapping[str, Any]:
    models = library()
    enumerations = {name: models.get_model_weights(name) for name in MODELS if name in models.api._model_weights}
    return {str(member): member for enumeration in enumerations.values() for member in enumeration}


@needs_torchgeo
def test_bands_of_all_weights_are_known_by_the_vocabularys_names():
    with_bands = {name: member for name, member in members().items() if "in_chans" in member.meta}
    assert len(with_bands) == 102
    for name, member in with_bands.items():
        seen = pretraining_of(member)
        assert len(seen.names) == len(set(seen.names)) == member.meta["in_chans"], name
        assert seen.level == "BOA" if "_SR_" in name else seen.level in ("TOA", None)
    fitting = {pattern for pattern in PROVENANCES if any(Path(name).match(pattern) for name in with_bands)}
    assert fitting == set(PROVENANCES)


@needs_torchgeo
@pytest.mark.parametrize(
    ("name", "weights", "bands", "unit", "level", "mean", "std"),
    [
        ("resnet50", "SENTINEL2_RGB_MOCO", ["RED", "GREEN", "BLUE"], "reflectance_1e4", "TOA", [0] * 3, [1e4] * 3),
        ("resnet50", "SENTINEL1_GRD_MOCO", ["VV", "VH"], "db", None, [-12.59, -20.26], [5.26, 5.91]),
        ("resnet50", "SENTINEL1_GRD_CLOSP", ["VV", "VH"], None, None, None, None),
        ("swin_v2_b", "NAIP_RGB_SI_SATLAS", ["RED", "GREEN", "BLUE"], "uint8", None, [0] * 3, [255] * 3),
        ("swin_b", "CITYSCAPES_SEMSEG", ["RED", "GREEN", "BLUE"], "uint8", None,
         [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
        ("vit_small_patch16_224", "LANDSAT_ETM_SR_MOCO", ["BLUE", "GREEN", "RED", "NIR_BROAD", "SWIR_1", "SWIR_2"],
         "uint8", "BOA", [0] * 6, [255] * 6),
        ("vit_small_patch16_224", "LANDSAT_OLI_SR_MOCO",
         ["COASTAL_AEROSOL", "BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"], "uint8", "BOA", [0] * 7, [255] * 7),
        ("earthloc", "SENTINEL2_RESNET50", ["RED", "GREEN", "BLUE"], "uint8", None,
         [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
    ],
)  # fmt: skip
def test_what_weights_have_seen_is_declared_before_anything_is_downloaded(name, weights, bands, unit, level, mean, std):
    encoder = meta(name, weights=weights)
    seen = encoder.pretraining
    assert encoder.bands == seen.names == bands
    assert (seen.unit, seen.level) == (unit, level)
    for numbers, expected in ((seen.mean, mean), (seen.std, std)):
        assert (numbers is None) == (expected is None)
        assert numbers is None or numbers == pytest.approx(expected)
    assert encoder.weights is None


@needs_torchgeo
def test_weights_are_named_with_or_without_their_enumeration_and_the_only_ones_need_no_name():
    full, bare = (meta("resnet18", weights=w) for w in ("ResNet18_Weights.SENTINEL2_ALL_MOCO", "SENTINEL2_ALL_MOCO"))
    assert full.pretraining == bare.pretraining
    assert full.in_chans == 13
    only = meta("dofa_base_patch16_224", pretrained=True, bands=["B2", "VV"])
    assert only.pretraining.names == ["B2", "VV"]
    unread = meta("resnet18", weights="SENTINEL2_ALL_MOCO", pretrained=False)
    assert unread.pretraining is None
    assert unread.published == full.pretraining
    assert unread.bands == full.bands


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Return a function that puts a state dict in the place of torchgeo's download of some weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def place(member: Any, state: Mapping[str, Any]) -> None:
        def get_state_dict(self: Any, **asked: Any) -> Mapping[str, Any]:
            assert self is member
            assert asked["weights_only"] is True
            file = tmp_path / "hub" / "checkpoints" / member.url.rpartition("/")[2]
            file.parent.mkdir(parents=True)
            file.write_bytes(b"weights")
            return state

        monkeypatch.setattr(type(member), "get_state_dict", get_state_dict)

    return place


def random_like(model: nn.Module) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(3)
    return {
        key: torch.randn(value.shape, generator=draw) if value.is_floating_point() else value
        for key, value in model.state_dict().items()
    }


@needs_torchgeo
def test_published_weights_are_loaded_and_their_filters_follow_the_bands_names(publish, caplog):
    member = library().ResNet18_Weights.SENTINEL2_ALL_MOCO
    state = random_like(timm.create_model("resnet18", in_chans=13, num_classes=0))
    publish(member, state)
    encoder: Any = build_torchgeo("resnet18", weights="SENTINEL2_ALL_MOCO", bands=["B8A", "B2"])
    assert torch.equal(encoder.conv1.weight, state["conv1.weight"][:, [8, 1]])
    assert torch.equal(encoder.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
    assert encoder.weights["source"] == f"ResNet18_Weights.SENTINEL2_ALL_MOCO {member.url}"
    assert len(encoder.weights["sha256"]) == 64
    assert encoder.pretraining.statistics(["B2"]) == ([0.0], [10000.0])


@needs_torchgeo
def test_bands_that_the_weights_lack_are_refused_before_the_download_unless_that_is_stated(publish, caplog):
    member = library().ResNet18_Weights.SENTINEL2_RGB_MOCO
    given = {"weights": "SENTINEL2_RGB_MOCO", "bands": ["RED", "B8"]}
    with pytest.raises(UserError, match=r"have no band B8; they have RED, GREEN, BLUE.*allow_random_bands=true"):
        meta("resnet18", **given)
    state = random_like(timm.create_model("resnet18", num_classes=0))
    publish(member, state)
    with caplog.at_level(logging.WARNING, "geocompose"):
        encoder: Any = build_torchgeo("resnet18", allow_random_bands=True, **given)
    assert "No pretrained weights for B8" in caplog.text
    assert torch.equal(encoder.conv1.weight[:, 0], state["conv1.weight"][:, 0])
    assert not any(torch.equal(encoder.conv1.weight[:, 1], state["conv1.weight"][:, band]) for band in range(3))


@needs_torchgeo
def test_weights_of_dinov2_bring_their_image_size_and_are_resampled_for_another(publish):
    member = library().ViTSmall14_DINOv2_Weights.SENTINEL1_GRD_SOFTCON
    state = random_like(timm.create_model("vit_small_patch14_dinov2", in_chans=2, img_size=224, depth=2))
    publish(member, state)
    assert meta("vit_small_patch14_dinov2", weights="SENTINEL1_GRD_SOFTCON").img_size == (224, 224)
    other: Any = build_torchgeo(
        "vit_small_patch14_dinov2", weights="SENTINEL1_GRD_SOFTCON", img_size=[56, 84], kwargs={"depth": 2}
    )
    assert other.model.pos_embed.shape == (1, 1 + 4 * 6, 384)
    assert torch.equal(other.model.pos_embed[:, 0], state["pos_embed"][:, 0])
    assert torch.equal(other.model.patch_embed.proj.weight, state["patch_embed.proj.weight"])


@needs_torchgeo
def test_a_swin_transformer_has_the_window_of_its_weights():
    assert meta("swin_b", weights="CITYSCAPES_SEMSEG").features[1][0].attn.window_size == [12, 12]
    assert meta("swin_b").features[1][0].attn.window_size == [7, 7]


@needs_torchgeo
def test_weights_of_satlas_fit_swin_v2(publish):
    member = library().Swin_V2_T_Weights.SENTINEL2_SI_MS_SATLAS
    whole = importlib.import_module("torchvision").models.SwinTransformer
    swin = importlib.import_module("torchvision.models.swin_transformer")
    model = whole(
        [4, 4], **STAGES, window_size=[8, 8], block=swin.SwinTransformerBlockV2, downsample_layer=swin.PatchMergingV2
    )
    model.features[0][0] = nn.Conv2d(9, 24, 4, 4)
    state = random_like(model)
    publish(member, state)
    encoder: Any = build_torchgeo("swin_v2_t", weights="SENTINEL2_SI_MS_SATLAS", bands=["B12", "B4"], kwargs=STAGES)
    assert torch.equal(encoder.features[0][0].weight, state["features.0.0.weight"][:, [8, 0]])
    assert torch.equal(encoder.features[7][0].mlp[0].weight, state["features.7.0.mlp.0.weight"])


@needs_torchgeo
def test_cromas_weights_are_a_state_dict_a_part_from_torchgeo_or_from_a_file(publish, tmp_path):
    model = library().CROMA(encoder_dim=48, encoder_depth=4, image_size=8)
    parts = ("s1_encoder", "s1_GAP_FFN", "s2_encoder", "s2_GAP_FFN", "joint_encoder")
    state = {part: random_like(getattr(model, part)) for part in parts}
    publish(library().CROMABase_Weights.CROMA_VIT, state)
    torch.save(state, tmp_path / "croma.pt")
    small = {"encoder_dim": 48, "encoder_depth": 4}
    both: Any = build_torchgeo("croma_base", weights="CROMA_VIT", kwargs=small)
    assert torch.equal(both.joint_encoder.norm_out.weight, state["joint_encoder"]["norm_out.weight"])
    few: Any = build_torchgeo(
        "croma_base", weights="CROMA_VIT", ckpt_path=str(tmp_path / "croma.pt"), bands=["B3", "VH"], kwargs=small
    )
    for encoder, part, band in ((few.s2_encoder, "s2_encoder", 2), (few.s1_encoder, "s1_encoder", 1)):
        filters = state[part]["linear_input.weight"].unflatten(1, (-1, 64))
        assert torch.equal(encoder.linear_input.weight, filters[:, band])
    with pytest.raises(UserError, match="have no band B10; they have COASTAL_AEROSOL"):
        meta("croma_base", weights="CROMA_VIT", bands=["B10", "VV"])


@needs_torchgeo
@pytest.mark.parametrize("name", ["dofa_base_patch16_224", "copernicusfm_base"])
def test_weights_for_any_bands_are_loaded_with_their_positions_resampled(name, publish):
    family = {"dofa_base_patch16_224": "DOFA", "copernicusfm_base": "CopernicusFM"}[name]
    model = getattr(library(), family)(img_size=224, patch_size=16, num_classes=0, **FEW)
    state = {key: value for key, value in random_like(model).items() if not key.startswith("fc_norm")}
    publish(next(iter(library().get_model_weights(name))), state)
    encoder: Any = build_torchgeo(name, pretrained=True, bands=["B4", "VV"], img_size=[64, 96], kwargs=FEW)
    assert torch.equal(encoder.blocks[1].mlp.fc1.weight, state["blocks.1.mlp.fc1.weight"])
    assert encoder.pos_embed.shape == (1, 1 + 4 * 6, 48)
    assert torch.equal(encoder.pos_embed[:, 0], state["pos_embed"][:, 0])
    assert (encoder.pretraining.unit, encoder.pretraining.mean) == (None, None)


@needs_torchgeo
def test_panopticons_weights_are_those_of_the_transformer_inside(publish):
    given: dict[str, Any] = {"bands": ["B4"], "kwargs": {"attn_dim": 96, "depth": 1}}
    made: Any = build_torchgeo("panopticon_vitb14", img_size=28, **given)
    state = {**random_like(made), "mask_token": torch.zeros(1, 768), "pos_embed": torch.randn(1, 1 + 37 * 37, 768)}
    publish(library().Panopticon_Weights.VIT_BASE14, state)
    encoder: Any = build_torchgeo("panopticon_vitb14", weights="VIT_BASE14", img_size=56, **given)
    assert encoder.pos_embed.shape == (1, 17, 768)
    assert torch.equal(encoder.norm.weight, state["norm.weight"])


@needs_torchgeo
def test_weights_that_do_not_fit_are_refused_with_what_is_wrong(publish, tmp_path):
    state = random_like(timm.create_model("resnet18", in_chans=3))
    torch.save(state, tmp_path / "whole.pt")
    encoder: Any = build_torchgeo("resnet18", ckpt_path=str(tmp_path / "whole.pt"))
    assert torch.equal(encoder.conv1.weight, state["conv1.weight"])
    assert encoder.weights["source"] == str(tmp_path / "whole.pt")
    assert encoder.pretraining is None
    torch.save({**state, "odd.weight": torch.zeros(1)}, tmp_path / "odd.pt")
    with pytest.raises(UserError, match=r"odd.pt doesn't fit resnet18: 1 unexpected: odd.weight"):
        build_torchgeo("resnet18", ckpt_path=str(tmp_path / "odd.pt"))
    del state["layer1.0.conv1.weight"]
    publish(library().ResNet18_Weights.SENTINEL2_RGB_MOCO, state)
    with pytest.raises(UserError, match=r"SENTINEL2_RGB_MOCO doesn't fit resnet18: 1 missing: layer1.0.conv1.weight"):
        build_torchgeo("resnet18", weights="SENTINEL2_RGB_MOCO")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="holds no state dict"):
        build_torchgeo("resnet18", ckpt_path=str(tmp_path / "list.pt"))
    with pytest.raises(UserError, match="There is no weight file at"):
        build_torchgeo(
            "croma_base", ckpt_path=str(tmp_path / "none.pt"), kwargs={"encoder_dim": 48, "encoder_depth": 2}
        )


@needs_torchgeo
def test_weights_that_cannot_be_had_are_told_with_the_way_out(monkeypatch):
    def unreachable(self: Any, **asked: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(library().ResNet18_Weights, "get_state_dict", unreachable)
    with pytest.raises(UserError, match=r"can't be had from https://.*Name or service not known.*backbone.ckpt_path"):
        build_torchgeo("resnet18", weights="SENTINEL2_RGB_MOCO")


@needs_torchgeo
def test_random_weights_announce_themselves(caplog):
    with caplog.at_level(logging.INFO, "geocompose"):
        build_torchgeo("resnet18")
    assert caplog.messages == ["Backbone resnet18 starts from random weights (backbone.weights=null)."]


@needs_torchgeo
def test_the_table_of_the_weights_names_is_torchgeos():
    listed = {}
    for name in MODELS:
        try:
            found = library().get_model_weights(name)
        except KeyError:
            continue
        listed[name] = (found.__name__, tuple(found.__members__))
    assert listed == WEIGHTS


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        (
            "resnet50",
            "SENTINEL2_AL_MOCO",
            "torchgeo has no such weights for resnet50. Did you mean 'SENTINEL2_ALL_MOCO'",
        ),
        ("resnet50", "ResNet18_Weights.SENTINEL2_ALL_MOCO", "the weights of resnet50 are those of ResNet50_Weights"),
        ("dofa_small_patch16_224", "DOFA_MAE", "torchgeo has no weights for dofa_small_patch16_224"),
    ],
)
def test_a_wrong_name_of_weights_needs_no_torchgeo_to_be_told(monkeypatch, model, weights, message):
    monkeypatch.setattr(torchgeo_weight_names, "version", lambda package: "0.8.1")
    with pytest.raises(UserError, match=message):
        torchgeo_weight_names.check_weights(model, weights)
    torchgeo_weight_names.check_weights("resnet50", "ResNet50_Weights.SENTINEL2_ALL_MOCO")
    monkeypatch.setattr(torchgeo_weight_names, "version", lambda package: "0.8.2")  # which may have others
    torchgeo_weight_names.check_weights(model, weights)
