"""Channels by number: enough for random weights, and never matched with a band of pretrained ones."""

from enum import Enum
from functools import partial

import pytest
import torch

from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.errors import UserError
from geocompose.imagery.numbered_bands import channel_names, names_alone
from geocompose.registry import BACKBONE_REGISTRY
from tests.kit.factory import TINY, build
from tests.kit.small import image


class Theirs(Enum):
    RED = "RED"


GIVEN = {
    "numbers": ([0, 1, 2], ["0", "1", "2"]),
    "numbers and a name": ([0, 1, "RED"], ["0", "1", "RED"]),
    "an interval": ([[0, 3], "RED"], ["0", "1", "2", "3", "RED"]),
    "intervals": ([(0, 1), (4, 5)], ["0", "1", "4", "5"]),
    "names": (["BLUE", "B8A"], ["BLUE", "B8A"]),
    "members": ([Theirs.RED, 7], ["RED", "7"]),
}
BUILDERS = {
    "prithvi": partial(build_prithvi, "prithvi_eo_v2_300", **TINY),
    "timm": partial(BACKBONE_REGISTRY.build, "timm_test_resnet"),
    "smp": partial(BACKBONE_REGISTRY.build, "smp_mobilenet_v2"),
    "UNet": partial(BACKBONE_REGISTRY.build, "UNet", out_channels=8),
    "IdentityBackbone": partial(BACKBONE_REGISTRY.build, "IdentityBackbone"),
    "transformers": partial(BACKBONE_REGISTRY.build, "transformers_dinov2", kwargs={"num_hidden_layers": 2}),
}


@pytest.mark.parametrize(("given", "names"), GIVEN.values(), ids=GIVEN)
def test_names_of_channels(given, names):
    assert channel_names("backbone.bands", given) == names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([-1], "numbers of channels from 0.* got -1"),
        ([[5, 0]], r"first and last; got \[5, 0\]"),
        ([[0, 1, 2]], r"first and last; got \[0, 1, 2\]"),
        ([[0, "RED"]], "first and last; got"),
        ([True], "takes names of bands.*got True"),
        ([1.5], "takes names of bands.*got 1.5"),
        ([1, [0, 2]], r"names each band once.*'1', '0', '1', '2'"),
        ([], "at least one"),
        ("RED", "must be a list of band names"),
        (["GREN", 1], "Did you mean 'GREEN'"),
        ({"S2": [0]}, "names several modalities"),
    ],
)
def test_what_says_no_channel_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        channel_names("backbone.bands", given)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("bands", [[0, 1, "RED"], [[0, 2]]])
def test_random_weights_take_channels_by_number(name, bands):
    backbone = BUILDERS[name](bands=bands)
    assert backbone.in_chans == 3
    assert list(backbone.bands) == channel_names("backbone.bands", bands)
    with torch.no_grad():
        assert backbone.eval()(image(3))


@pytest.mark.parametrize("name", ["torchgeo_resnet18"])
@pytest.mark.optional
def test_random_weights_of_torchgeo_take_channels_by_number(name):
    pytest.importorskip("torchgeo")
    assert BACKBONE_REGISTRY.build(name, bands=[0, "RED"]).in_chans == 2


def test_the_factory_takes_channels_by_number():
    model = build(backbone_kwargs=TINY, backbone_in_chans=7, backbone_bands=["BLUE", "GREEN", "RED", *range(3, 7)])
    with torch.no_grad():
        assert model.eval()(image(7)).output.shape == (1, 3, 64, 64)


WITH_WEIGHTS = {
    "prithvi": (BUILDERS["prithvi"], {"pretrained": True}),
    "timm": (partial(BACKBONE_REGISTRY.build, "timm_resnet18"), {"pretrained": True}),
    "smp": (BUILDERS["smp"], {"weights": "imagenet"}),
}


@pytest.mark.parametrize(("build", "weights"), WITH_WEIGHTS.values(), ids=WITH_WEIGHTS)
def test_pretrained_weights_have_no_filters_for_a_number(build, weights, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a file was asked for first"))
    with pytest.raises(UserError, match=r"no band 0, 1; they have .*A number does not say which band it is.*give the"):
        build(bands=[0, 1, "RED"], **weights)


def test_a_number_is_no_name_of_what_weights_have_seen():
    assert names_alone(["RED", "0"]) is None
    assert names_alone(["RED", "B8A"]) == ["RED", "B8A"]


def test_an_own_files_channels_without_names_stay_without(tmp_path):
    path = tmp_path / "own.pt"
    torch.save(BACKBONE_REGISTRY.build("timm_test_resnet", in_chans=2).state_dict(), path)
    backbone = BACKBONE_REGISTRY.build(
        "timm_test_resnet", bands=[0, 1], ckpt_path=str(path), pretrained_on={"unit": "reflectance"}
    )
    assert backbone.pretraining.bands == (None, None)
