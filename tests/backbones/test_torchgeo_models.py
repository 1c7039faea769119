"""torchgeo's models as backbones: what they declare, what they refuse, and that they compose with decoders."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from geocompose.backbones.torchgeo.builder import build_torchgeo
from geocompose.catalog.torchgeo import MODELS, REFUSED
from geocompose.contracts.meta import meta_forward, unused
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from tests.kit.small import shape_of
from tests.kit.torchgeo_models import FEW, STAGES, image, library, meta, needs_torchgeo


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


@needs_torchgeo
@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("croma_base", {"kwargs": {"modalities": ["lidar"]}}, "list of sar, optical or both; got"),
        ("croma_base", {"kwargs": {"modalities": ["sar"]}, "bands": ["B4"]}, r"\['B4'\] are of optical"),
        ("croma_base", {"kwargs": {"encoder_dim": 50}}, "can't be built with backbone.kwargs"),
        ("scalemae_large_patch16", {}, "such as backbone.gsd_m=10 for Sentinel-2"),
        ("scalemae_large_patch16", {"gsd_m": -1.0}, "gsd_m must be metres per pixel, above 0; got -1.0"),
        ("resnet18", {"gsd_m": 10.0}, "resnet18 takes no ground sampling distance; write null"),
        ("dofa_base_patch16_224", {}, "name the bands in backbone.bands"),
        ("dofa_base_patch16_224", {"kwargs": {"wavelength_um": [0.5]}}, "Did you mean 'wavelengths_um'"),
        ("dofa_base_patch16_224", {"bands": ["B2"], "kwargs": {"num_heads": 7}}, "can't be built with"),
        ("copernicusfm_base", {"kwargs": {"wavelengths_um": [0.5, 0.6]}}, "kwargs.bandwidths_um="),
        (
            "copernicusfm_base",
            {"kwargs": {"wavelengths_um": [0.5, 0.6], "bandwidths_um": [0.1]}},
            "give one of each per channel",
        ),
        (
            "copernicusfm_base",
            {"bands": ["B2"], "kwargs": {"wavelengths_um": {"B2": 0.01}}},
            r"knows 0.1 to 1e\+06 um; got",
        ),
        (
            "copernicusfm_base",
            {"bands": ["B2"], "gsd_m": 0.5},
            "patches of 0.001 km2 or more, 1.98 m per pixel here. Write null",
        ),
        ("swin_t", {"kwargs": {"depths": [1, 1]}}, "depths has four numbers"),
        ("swin_t", {"out_indices": [4]}, r"has 4 levels, 0 to 3 \(or -4 to -1\)"),
        ("earthloc", {"out_indices": [4]}, r"earthloc has 4 levels, 0 to 3"),
        ("resnet18", {"in_chans": 0}, "at least one input channel"),
        ("resnet18", {"in_chans": 4, "bands": ["B2", "B3"]}, "in_chans=4, but resnet18 gets 2 channels here"),
        ("resnet18", {"img_size": [1, 2, 3]}, "give one number of pixels, or height and width"),
        ("resnet18", {"kwargs": {"no_such": 1}}, "kwargs.no_such: a backbone of timm's ResNet doesn't take it"),
        (
            "resnet18",
            {"weights": "SENTINEL2_ALL_MOC"},
            "no such weights for resnet18. Did you mean 'SENTINEL2_ALL_MOCO'",
        ),
        (
            "resnet50",
            {"weights": "ResNet18_Weights.SENTINEL2_ALL_MOCO"},
            "the weights of resnet50 are those of ResNet50_Weights",
        ),
        ("dofa_huge_patch14_224", {"weights": "DOFA_MAE"}, "torchgeo has no weights for dofa_huge_patch14_224"),
        ("resnet18", {"pretrained": True}, "has 13 weights for resnet18, of different sensors: name those you mean"),
    ],
)
def test_what_cannot_be_built_is_refused_in_our_words(name, given, message):
    with pytest.raises(UserError, match=message):
        meta(name, **given)


@needs_torchgeo
def test_images_of_another_size_or_other_bands_are_refused():
    encoder = build_torchgeo("dofa_base_patch16_224", bands=["B2", "B3"], kwargs=FEW)
    with pytest.raises(UserError, match="60 x 64 pixels are not multiples of the patch of 16"):
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
