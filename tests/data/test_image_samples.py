"""Images as samples: padded, cropped, resized, flipped; images without data."""

import numpy as np
import pytest
import torch

from geocompose.data.preflight import preflight
from geocompose.data.sources import GeoTiffClassification, GeoTiffScalarRegression
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from tests.kit.data_rasters import BANDS, image, write
from tests.kit.labelled_images import SPLITS, by_name, classified, flat, folders, ready, split_table, table


def test_smaller_images_are_padded_with_zero(tmp_path):
    data = ready(classified(folders(tmp_path, height=10, width=13), normalize="none"))
    batch = next(iter(data.test_dataloader()))
    assert batch["image"].shape == (2, 5, 16, 16)
    tile = data.tile_windows("test")[0]
    whole, _ = data.scenes[tile.scene].read_image(tile.window, range(5))
    assert np.array_equal(batch["image"][0, :, :10, :13], whole)
    assert (batch["image"][:, :, 10:] == 0).all()
    assert (batch["image"][:, :, :, 13:] == 0).all()


def test_larger_images_are_cropped_in_the_centre_and_at_random_in_training(tmp_path):
    data = ready(classified(folders(tmp_path, height=20, width=30), fit="crop", random_crop=True, normalize="none"))
    region = data.regions["test"][0]
    whole, _ = data.scenes[region.scene].read_image(region.window, range(5))
    assert np.array_equal(next(iter(data.test_dataloader()))["image"][0], whole[:, 2:18, 7:23])
    dataset = data.train_dataloader().dataset
    crops = [dataset[0, seed]["image"] for seed in range(20)]
    assert len({float(crop.sum()) for crop in crops}) > 10
    fixed = ready(classified(tmp_path, fit="crop")).train_dataloader().dataset
    assert torch.equal(fixed[0, 1]["image"], fixed[0, 2]["image"])


def test_larger_images_are_shrunk_with_their_shape_kept(tmp_path):
    for name in ("a", "b"):
        for i in range(3):
            write(tmp_path / name / f"{i}.tif", np.full((1, 32, 64), 100 * (i + 1), "float32"), ["X"])
    data = ready(classified(tmp_path, fit="resize", normalize="none", allow_overlap=True))
    images = torch.cat([batch["image"] for batch in data.in_order("train")])
    assert images.shape[1:] == (1, 16, 16)
    shown = images[:, 0, :8].flatten(1)
    assert torch.allclose(shown, (shown.mean(1, keepdim=True) / 100).round() * 100)
    assert shown.min() > 99
    assert (images[:, 0, 8:] == 0).all()


def test_an_image_without_any_data_has_no_label(tmp_path):
    write(folders(tmp_path, count=6) / "water" / "0.tif", np.zeros((5, 16, 16), "float32"), BANDS)
    data = ready(classified(tmp_path, nodata=0.0))
    assert by_name(data)["water/0.tif"] == -1
    assert sum(data.statistics.num_labelled(split) for split in SPLITS) == 11


def test_undeclared_nan_stops_wherever_it_lies(tmp_path):
    pixels = image(0, 20, 30)
    pixels[4, 0, 29] = np.nan  # outside the centre crop
    write(folders(tmp_path, height=20, width=30) / "water" / "4.tif", pixels, BANDS)
    with pytest.raises(UserError, match=r"water/4\.tif has the value nan in band 'SWIR_1' at row 0, column 29"):
        ready(classified(tmp_path, fit="crop"))


def test_training_images_are_flipped_and_turned_with_the_epoch(tmp_path):
    torch.manual_seed(0)
    data = ready(classified(folders(tmp_path), dihedral=True, batch_size=10))
    loader = data.train_dataloader()
    first, second = next(iter(loader)), next(iter(loader))
    assert sorted(first["tile"].tolist()) == sorted(second["tile"].tolist())
    place = second["tile"].tolist().index(int(first["tile"][0]))
    values = [batch.flatten().sort().values for batch in (first["image"][0], second["image"][place])]
    assert torch.equal(*values)
    pictures = {tuple(batch["image"][i].flatten()[:5].tolist()) for batch in (first, second) for i in range(6)}
    assert len(pictures) > 6


def test_inputs_of_a_run_are_images_table_and_split_files(tmp_path):
    split_table(tmp_path)
    source = GeoTiffClassification(root=str(tmp_path), images="*.tif", table="labels.csv")
    assert sorted(path.name for path in source.input_files) == [*(f"chip_{i}.tif" for i in range(6)), "labels.csv"]


def test_preflight_raises_what_setup_would(tmp_path):
    names = (
        "band_names",
        "nodata",
        "split",
        "split_files",
        "split_rename",
        "dates",
        "date_pattern",
        "positions",
        "more_images",
    )
    null = dict.fromkeys(names)
    config = null | {
        "root": str(tmp_path), "images": "*.tif", "table": "labels.csv", "file_column": "file", "variables": ["share"],
        "normalize_target": "dataset", "fit": "refuse", "tile_px": 16, "batch_size": 4, "num_workers": 0,
        "normalize": "dataset", "random_crop": False, "dihedral": True, "rotation_deg": 0.0, "seed": 0,
            "baselines": ["linear"], "num_frames": 1,
    }  # fmt: skip
    table(flat(tmp_path), ("file", "share"), *[(f"chip_{i}", i) for i in range(6)])
    preview = preflight(GeoTiffScalarRegression(**config), list)
    assert preview.target == Target("scalar_regression", ("share",))
    assert preview.inputs.bands == tuple(BANDS)
    table(tmp_path, ("file", "share"), *[(f"chip_{i}", 1) for i in range(6)])
    with pytest.raises(UserError, match="The variable share is 1 in all training labels"):
        preflight(GeoTiffScalarRegression(**config), list)
    with pytest.raises(UserError, match=r"data\.batch_size=0"):
        GeoTiffScalarRegression(**config | {"batch_size": 0})
