"""What is told of data before torch is loaded."""

from functools import partial

import numpy as np
import pytest

from geocompose.data.preflight import preflight
from geocompose.data.sources import GeoTiffSegmentation
from geocompose.errors import UserError
from geocompose.imagery.band_choice import chosen_bands
from geocompose.imagery.samples import Target
from tests.kit.data_rasters import BANDS, arguments, image, label, pair, write


def preflight_config(root, **changes):
    """What conf/data/geotiff.yaml gives, for a folder made by `pair`."""
    null = dict.fromkeys(("band_names", "bands", "nodata", "label_nodata", "split", "split_files", "split_rename"))
    plain = {"ignore_index": -1, "split_buffer_px": 0, "num_workers": 0, "normalize": "dataset", "rotation_deg": 0.0}
    plain |= {"random_crop": False, "num_frames": 1}
    null |= dict.fromkeys(("dates", "date_pattern", "positions", "more_images"))
    return null | plain | {"seed": 0, "baselines": []} | arguments(root) | changes


def chosen(config, trained_on=(), of_backbone=None):
    """Return how `preflight` is to choose bands for this data and a backbone trained on some."""
    whole = {"data": config, "backbone": {"bands": of_backbone, "pretrained_bands": list(trained_on)}}
    return partial(chosen_bands, whole)


def checked(config, trained_on=()):
    return preflight(GeoTiffSegmentation(**config), chosen(config, trained_on))


def test_preflight_raises_what_setup_would(tmp_path):
    pair(tmp_path)
    assert checked(preflight_config(tmp_path)).target == Target("segmentation", ("land", "water"), -1)
    pixels = image()
    pixels[4, 7, 50] = np.nan
    write(tmp_path / "e" / "a_img.tif", pixels, BANDS)
    write(tmp_path / "e" / "a_lab.tif", label())
    with pytest.raises(UserError, match="band 'SWIR_1'"):
        checked(preflight_config(tmp_path / "e"))
    assert checked(preflight_config(tmp_path / "e"), ["RED", "GREEN"]).inputs.bands == ("RED", "GREEN")
    with pytest.raises(UserError, match="Did you mean 'RED'"):
        checked(preflight_config(tmp_path, bands=["REDD"]))
    with pytest.raises(UserError, match=r"data\.tile_px=0"):
        checked(preflight_config(tmp_path, tile_px=0))


def test_null_bands_are_the_backbones_where_the_data_has_them_all():
    null = {"bands": None}
    assert chosen(null, ["RED", "BLUE"])(["B2", "B3", "B4"]) == ["RED", "BLUE"]
    assert chosen(null, ["RED", "VV"])(["B2", "B3", "B4"]) == ["B2", "B3", "B4"]
    assert chosen(null)(["B2", "B3"]) == ["B2", "B3"]


def test_bands_of_data_and_backbone_are_one_list():
    assert chosen({"bands": ["B4"]}, of_backbone=["RED"])(["B2", "B4"]) == ["B4"]
    assert chosen({"bands": None}, of_backbone=["RED"])(["B2", "B4"]) == ["RED"]
    with pytest.raises(UserError, match="are one list"):
        chosen({"bands": ["B4"]}, of_backbone=["BLUE"])(["B2", "B4"])
