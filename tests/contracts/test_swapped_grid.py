"""An image that encodes its own rows and columns comes out of predict where it went in, through tokens and back."""

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin
from torch import nn

from geocompose.factory import EncoderDecoderFactory
from geocompose.imagery.samples import Target
from geocompose.inference.raster import predict_raster
from geocompose.inference.reading import Reading
from geocompose.necks import NeckSequence
from geocompose.registry import NECK_REGISTRY

PATCH = 4


class MeanTokens(nn.Module):
    """Tokens (B, rows * columns, 2): the mean of each patch, as a transformer's tokens are laid out."""

    out_channels = [2]
    in_chans = 2
    patch_size = PATCH

    def forward(self, image):
        return [nn.functional.avg_pool2d(image, PATCH).flatten(2).transpose(1, 2)]


class Show(nn.Module):
    """A decoder that includes its head and shows the map it gets as three classes' logits: row, column, neither."""

    includes_head = True
    out_channels = 3

    def forward(self, features):
        (feature,) = features
        return torch.cat([feature, torch.zeros_like(feature[:, :1])], dim=1)


@pytest.fixture(scope="module")
def model():
    necks = [{"name": "ReshapeTokensToImage", "remove_cls_token": False}]
    built = EncoderDecoderFactory(image_size=(32, 48)).build_model(
        "segmentation", MeanTokens(), Show(), num_classes=3, necks=necks
    )
    return built.eval()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 160), (160, 48), (75, 101), (20, 90), (90, 20)])
@pytest.mark.parametrize(("tile_px", "overlap_px"), [(32, 16), (32, 8), (48, 24)])
def test_rows_and_columns_come_out_where_they_went_in(model, tmp_path, height, width, tile_px, overlap_px):
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    image = np.stack([rows, columns]).astype("float32") / 40
    profile = {"count": 2, "height": height, "width": width, "dtype": "float32", "crs": "EPSG:32633"}
    with rasterio.open(
        tmp_path / "in.tif", "w", driver="GTiff", transform=from_origin(0, 0, 10, 10), **profile
    ) as file:
        file.write(image)
        file.descriptions = ("ROW", "COLUMN")

    def logits(tile):
        with torch.inference_mode():
            return model(tile).output

    predict_raster(
        logits,
        tmp_path / "in.tif",
        tmp_path / "out.tif",
        reading=Reading(bands=["ROW", "COLUMN"], mean=[0.0, 0.0], std=[1.0, 1.0]),
        tile_px=tile_px,
        overlap_px=overlap_px,
        batch_size=3,
        content="probabilities",
        target=Target("segmentation", ("row", "column", "neither")),
    )
    with rasterio.open(tmp_path / "out.tif") as file:
        row, column, neither = np.log(file.read().astype("float64"))
    found = np.stack([row - neither, column - neither])
    # Patches blur by half a patch inside; a scene narrower than its padded tile is mirrored at its own border.
    inside = (slice(None), slice(PATCH, -PATCH), slice(PATCH, -PATCH))
    np.testing.assert_allclose(found[inside] * 40, image[inside] * 40, atol=PATCH / 2 + 0.1)
    assert np.abs(found * 40 - image * 40).max() < 1.5 * PATCH


# Lists of necks, whether they take tokens or maps (channels last: `last`), and how many cells of a level one cell may
# reach beyond those that cover it: convolutions of a feature pyramid network reach their neighbours.
PATHS = {
    "AddBottleneckLayer": ([{"name": "AddBottleneckLayer"}], "maps", 0),
    "AddInputLevel": ([{"name": "AddInputLevel"}], "maps", 0),
    "FeaturePyramidNetworkNeck": ([{"name": "FeaturePyramidNetworkNeck", "out_channel": 6}], "maps", 1),
    "FlattenMapsToTokens": ([{"name": "FlattenMapsToTokens"}, {"name": "ReshapeTokensToImage", "num_prefix_tokens": 0}],
        "maps", 0),
    "InterpolateToPyramidal": ([{"name": "InterpolateToPyramidal"}], "maps", 0),
    "LearnedInterpolateToPyramidal": ([{"name": "LearnedInterpolateToPyramidal"}], "maps", 0),
    "MaxpoolToPyramidal": ([{"name": "MaxpoolToPyramidal"}], "maps", 0),
    "exponents, learned": ([{"name": "LearnedInterpolateToPyramidal", "exponents": [2, 0, -1, -3]}], "maps", 0),
    "exponents, interpolated": ([{"name": "InterpolateToPyramidal", "mode": "bilinear", "exponents": [2, 1, 0, -1]}],
        "maps", 4),
    "exponents, pooled": ([{"name": "MaxpoolToPyramidal", "exponents": [0, 0, -2, -3]}], "maps", 0),
    "PermuteDims": ([{"name": "PermuteDims", "new_order": [0, 3, 1, 2]}], "last", 0),
    "ProjectChannels": ([{"name": "ProjectChannels", "channels": 8}], "maps", 0),
    "ReshapeTokensToImage": ([{"name": "ReshapeTokensToImage"}], "tokens", 0),
    "SelectIndices": ([{"name": "SelectIndices", "indices": [3, 0]}], "maps", 0),
    "tokens to a pyramid of 5": (
        [{"name": "SelectIndices", "indices": [0, 1, 1, 2, 3]}, {"name": "ReshapeTokensToImage"}, {"name":
             "LearnedInterpolateToPyramidal"}],
        "tokens",
        0,
    ),
    "tokens to smp's levels": (
        [{"name": "ReshapeTokensToImage"}, {"name": "MaxpoolToPyramidal"}, {"name": "AddBottleneckLayer"},
            {"name": "AddInputLevel"}],
        "tokens",
        0,
    ),
}  # fmt: skip
WITHOUT_PLACES = {"AggregateTokens"}  # its vectors have no rows and columns


def test_every_neck_that_keeps_places_has_a_path():
    assert {neck["name"] for necks, _, _ in PATHS.values() for neck in necks} == set(NECK_REGISTRY) - WITHOUT_PLACES


@pytest.mark.parametrize("grid", [(8, 8), (8, 24), (24, 8)])
@pytest.mark.parametrize("path", PATHS)
def test_a_cell_comes_out_of_every_neck_at_its_own_place(path, grid):
    configs, layout, reach = PATHS[path]
    rows, columns = grid
    torch.manual_seed(0)
    widths, necks = [16] * 4, []
    for config in configs:
        arguments = {key: value for key, value in config.items() if key != "name"}
        necks.append(NECK_REGISTRY.build(config["name"], widths, **arguments))
        widths = necks[-1].process_channel_list(widths)
    neck = NeckSequence(necks).eval()

    def outgoing(maps):
        tokens = [torch.cat([torch.zeros(1, 1, 16), x.flatten(2).transpose(1, 2)], dim=1) for x in maps]
        given = {"maps": maps, "last": [x.permute(0, 2, 3, 1) for x in maps], "tokens": tokens}[layout]
        with torch.no_grad():
            return neck(given, (16 * rows, 16 * columns))

    maps = [torch.randn(1, 16, rows, columns) for _ in range(4)]
    still = outgoing(maps)
    for row, column in ((0, columns - 1), (rows - 1, 0), (3, 5)):
        changed = [x.clone() for x in maps]
        for x in changed:
            x[:, :, row, column] += 10
        levels = list(zip(outgoing(changed), still, strict=True))
        for level, before in levels[configs[-1]["name"] == "AddInputLevel" :]:
            moved = (level - before).abs().amax(dim=(0, 1)) > 1e-6
            scale = moved.shape[0] / rows
            assert moved.shape[1] == columns * scale
            covering = torch.zeros_like(moved)
            top, left = int(row * scale), int(column * scale)
            size = max(1, int(scale))
            covering[max(0, top - reach) : top + size + reach, max(0, left - reach) : left + size + reach] = True
            assert moved.any()
            assert not (moved & ~covering).any()
