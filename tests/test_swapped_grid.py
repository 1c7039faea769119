"""An image that encodes its own rows and columns comes out of predict where it went in, through tokens and back."""

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin
from torch import nn

from geocompose.factory import EncoderDecoderFactory
from geocompose.inference.raster import predict_raster

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
        bands=["ROW", "COLUMN"],
        band_names=None,
        mean=[0.0, 0.0],
        std=[1.0, 1.0],
        nodata=None,
        tile_px=tile_px,
        overlap_px=overlap_px,
        batch_size=3,
        output="probabilities",
        class_names=["row", "column", "neither"],
    )
    with rasterio.open(tmp_path / "out.tif") as file:
        row, column, neither = np.log(file.read().astype("float64"))
    found = np.stack([row - neither, column - neither])
    # Patches blur by half a patch inside; a scene narrower than its padded tile is mirrored at its own border.
    inside = (slice(None), slice(PATCH, -PATCH), slice(PATCH, -PATCH))
    np.testing.assert_allclose(found[inside] * 40, image[inside] * 40, atol=PATCH / 2 + 0.1)
    assert np.abs(found * 40 - image * 40).max() < 1.5 * PATCH
