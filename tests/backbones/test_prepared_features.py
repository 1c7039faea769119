"""Features as maps by the backbone itself: Prithvi's methods that TerraTorch's users call, and other encoders'."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.errors import UserError
from geocompose.models.prithvi_mae.variants import build_prithvi_mae
from tests.kit.factory import build, logits
from tests.kit.prithvi_models import image, small


def test_all_layers_come_out_whatever_was_selected():
    model = small(out_indices=[0, 2])
    everything, chosen = model.forward_features(image()), model(image())
    assert len(everything) == 3
    assert torch.equal(everything[0], chosen[0])
    assert torch.equal(everything[2], chosen[1])
    model.select_layers([0])
    assert len(model.forward_features(image())) == 3
    assert len(model(image())) == 1


def test_all_layers_take_dates_and_positions():
    model = small(num_frames=2, coords_encoding=["time", "location"])
    given = {"temporal_coords": torch.ones(2, 2, 2), "location_coords": torch.ones(2, 2)}
    for one, other in zip(
        model.forward_features(image(frames=2), **given), model(image(frames=2), **given), strict=True
    ):
        assert torch.equal(one, other)


def test_the_autoencoders_encoder_gives_all_layers_too():
    model = build_prithvi_mae("prithvi_eo_v2_300", embed_dim=32, depth=2, num_heads=4, img_size=64).eval()
    assert [tuple(one.shape) for one in model.forward_features(image())] == [(2, 17, 32)] * 2


@pytest.mark.parametrize("patch", [8, 16])
@pytest.mark.parametrize("frames_of_patch", [1, 2, 4])
def test_tokens_become_maps_of_all_frames_side_by_side(patch, frames_of_patch):
    model = small(num_frames=4, patch_size=[frames_of_patch, patch, patch])
    maps = model.prepare_features_for_image_model(model(image(frames=4)))
    cells, frames = 64 // patch, 4 // frames_of_patch
    assert [tuple(one.shape) for one in maps] == [(2, frames * 32, cells, cells)] * 3


def test_each_token_gets_to_its_place():
    model = small(num_frames=2)
    tokens = torch.arange(2 * (1 + 2 * 16) * 32, dtype=torch.float32).reshape(2, 33, 32)
    (maps,) = model.prepare_features_for_image_model([tokens])
    for frame, row, column in ((0, 0, 0), (0, 1, 2), (1, 3, 0)):
        token = tokens[:, 1 + frame * 16 + row * 4 + column]
        assert torch.equal(maps[:, frame * 32 : (frame + 1) * 32, row, column], token)


def test_an_image_that_is_not_square_has_its_own_rows_and_columns():
    model = small()
    features = model(image(rows=32, columns=160))
    (maps, *_) = model.prepare_features_for_image_model(features, image_size=(32, 160))
    assert torch.equal(maps.flatten(2).mT, features[0][:, 1:])
    assert maps.shape == (2, 32, 2, 10)
    with pytest.raises(
        UserError, match=r"20 tokens beside the class token are not those of an image of 64 x 64.*image_size"
    ):
        model.prepare_features_for_image_model(features)


# Other encoders


class Prepares(nn.Module):
    """A stranger's transformer that makes maps of its tokens itself; its patch is 8 pixels."""

    out_channels = [8, 8]
    in_chans = 3

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 8, 8)

    def forward(self, picture: Tensor) -> list[Tensor]:
        maps = self.embed(picture)
        self.grid = maps.shape[2:]
        return [factor * maps.flatten(2).mT for factor in (1, 2)]

    def prepare_features_for_image_model(self, features: list[Tensor]) -> list[Tensor]:
        return [3 * one.mT.unflatten(2, self.grid) for one in features]


def of(backbone: nn.Module, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    return build(backbone=backbone, backbone_kwargs=None, **changes)


def test_without_necks_a_strangers_own_preparation_is_called(caplog):
    caplog.set_level("INFO")
    model = of(Prepares())
    assert [spec.layout for spec in model.encoder.feature_specs or []] == []
    given = torch.randn(2, 3, 64, 96)
    own = Prepares()
    own.load_state_dict(model.encoder.backbone.state_dict())
    with torch.no_grad():
        expected = own.prepare_features_for_image_model(own(given))
        for one, other in zip(model.encoder(given), expected, strict=True):
            assert torch.equal(one, other)
        assert model.eval()(given).output.shape == (2, 3, 64, 96)
    assert "prepares its features itself" in caplog.text
    assert torch.equal(logits(copy.deepcopy(model)), logits(model))


@pytest.mark.parametrize("necks", ["auto", [{"name": "ReshapeTokensToImage", "num_prefix_tokens": 0}]])
def test_with_necks_it_is_not_called(necks):
    model = of(Prepares(), necks=necks)
    assert isinstance(model.encoder, Prepares)
    assert logits(model).shape == (1, 3, 64, 64)


def test_prithvis_tokens_become_maps_by_the_necks_that_are_planned_for_it():
    model = of(small(), necks=None)
    assert type(model.encoder).__name__ == "PrithviViT"


class PreparesWrongly(Prepares):
    def prepare_features_for_image_model(self, features: list[Tensor]) -> Any:
        return features[0]


def test_what_is_prepared_has_to_be_a_list_of_features():
    with pytest.raises(UserError, match="The backbone PreparesWrongly returns one tensor"):
        of(PreparesWrongly())
