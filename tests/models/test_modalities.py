"""Images of several modalities: a mapping of them, or one image of all their bands."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.contracts.backbone import contract_of
from geocompose.contracts.images import split
from geocompose.contracts.meta import meta_forward, meta_image
from geocompose.contracts.probing import backbone_specs, probe_image
from geocompose.cost.summary import summarize
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.models.encoder_decoder import EncoderDecoderModel
from tests.kit.small import noise

# Several modalities


class TwoSensors(nn.Module):
    """A user's backbone of two modalities: a map of each, side by side."""

    modalities = {"optical": ["RED", "NIR_NARROW"], "sar": ["VV"]}
    out_channels = (8, 8)

    def __init__(self, bands: list[str] | None = None) -> None:
        super().__init__()
        if bands is not None:
            self.bands = bands
        self.optical, self.sar = nn.Conv2d(2, 4, 4, 4), nn.Conv2d(1, 4, 4, 4)

    def forward(self, image: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        joint = torch.cat([self.optical(image["optical"]), self.sar(image["sar"])], dim=1)
        return joint, nn.functional.max_pool2d(joint, 2)


def of_two_sensors(bands: list[str] | None = None, **more: Any) -> EncoderDecoderModel:
    torch.manual_seed(0)
    return EncoderDecoderFactory((32, 48)).build_model(
        "segmentation", TwoSensors(bands), "FCNDecoder", num_classes=2, necks="auto", **more
    )


def test_a_backbone_of_two_modalities_takes_a_mapping_or_one_image_of_all_bands():
    model = of_two_sensors().eval()
    picture = noise(2, 3, 30, 41)
    stacked = model(picture).output
    assert stacked.shape == (2, 2, 30, 41)
    assert torch.equal(model({"optical": picture[:, :2], "sar": picture[:, 2:]}).output, stacked)
    other = of_two_sensors(["VV", "B8A", "RED", "DEM"]).eval()
    other.load_state_dict(model.state_dict())
    shuffled = torch.cat([picture[:, 2:], picture[:, 1:2], picture[:, :1], torch.zeros(2, 1, 30, 41)], dim=1)
    assert torch.equal(other(shuffled).output, stacked)


def test_a_backbone_of_two_modalities_is_probed_counted_and_run_through_time():
    backbone = TwoSensors()
    assert contract_of(backbone).channels == 3
    assert {name: tuple(one.shape) for name, one in probe_image(contract_of(backbone), (16, 16), 2).items()} == {
        "optical": (1, 2, 2, 16, 16), "sar": (1, 1, 2, 16, 16),
    }  # fmt: skip
    assert [(spec.channels, spec.stride) for spec in backbone_specs(backbone, (32, 48))] == [(8, 4), (8, 8)]
    summary = summarize(of_two_sensors(), image_size=(32, 48))
    assert summary.gflops > 0
    series = of_two_sensors(backbone_use_temporal=True, backbone_temporal_pooling="max").eval()
    assert series(noise(2, 3, 4, 32, 48)).output.shape == (2, 2, 32, 48)
    assert series({"optical": noise(2, 2, 4, 32, 48), "sar": noise(2, 1, 4, 32, 48)}).output.shape == (2, 2, 32, 48)


def test_channels_of_modalities_are_found_by_name():
    assert contract_of(TwoSensors(["VV", "B8A", "RED"])).places == {"optical": [2, 1], "sar": [0]}
    assert contract_of(nn.Identity()).places is None
    parts = split(noise(1, 3, 2, 2), {"optical": [2, 1], "sar": [0]})
    assert torch.equal(parts["optical"], noise(1, 3, 2, 2)[:, [2, 1]])
    with pytest.raises(UserError, match="The image of the backbone TwoSensors has no band 'VV'"):
        _ = contract_of(TwoSensors(["RED", "B8A"])).places
    for wrong in ({}, ["optical"], {"optical": "RED"}):
        odd = TwoSensors()
        odd.modalities = wrong
        with pytest.raises(UserError, match=r"has modalities=.*; they are a mapping of names to lists of bands"):
            contract_of(odd)


def test_meta_images_are_stacked_for_a_whole_model():
    model = of_two_sensors()
    assert meta_forward(model, meta_image(contract_of(model.encoder).channels, 1, (32, 48))).output.shape == (
        1,
        2,
        32,
        48,
    )
