"""torchgeo's vision transformers compute here what torchgeo's own models do."""

import datetime
import math
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from geocompose.backbones.torchgeo.builder import build_torchgeo
from geocompose.backbones.torchgeo.spectral import Panopticon
from geocompose.catalog.torchgeo_provenance import CROMA_BANDS
from geocompose.catalog.torchgeo_spectra import wavelengths_um
from geocompose.errors import UserError
from tests.kit.owed import check_copies, check_export, check_gradients
from tests.kit.torchgeo_models import FEW, image, library, needs_torchgeo


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
    with pytest.raises(UserError, match=r"temporal_coords must be \(B, 1, 2\)"):
        encoder(image(2), torch.zeros(2, 3, 2))
    with pytest.raises(UserError, match=r"location_coords must be \(B, 2\)"):
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
