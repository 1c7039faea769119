"""TerraTorch's modules of data sets that have an option here: the option is taken, with the module's own numbers."""

from pathlib import Path

import numpy as np
import pytest

from geocompose.configuration.instantiation import instantiate
from geocompose.data.module import SceneData
from geocompose.errors import UserError
from tests.kit.terratorch_runs import a_raster, a_run, call, composed, conf, decided, fate, translated, written

__all__ = ["conf"]

FLOODS = "Sen1Floods11NonGeoDataModule"
SCARS = "FireScarsNonGeoDataModule"
NONE_OF_A_GENERIC_MODULE = dict.fromkeys(["means", "stds", "output_bands", "num_classes"])
HAND = Path("floods/v1.1/data/flood_events/HandLabeled")
LISTS = Path("floods/v1.1/splits/flood_handlabeled")


def a_known_run(module, **data):
    return a_run(module=module, data={**NONE_OF_A_GENERIC_MODULE, **data})


def test_bands_scale_and_numbers_are_those_of_the_module():
    to = translated(a_known_run(FLOODS, data_root="floods", bands=["BLUE", "RED", 8], constant_scale=0.001))
    assert to.choices["data"] == "sen1floods11"
    data = to.values["data"]
    assert data["bands"] == ["BLUE", "RED", "NIR_NARROW"]
    assert data["class_names"] == ["not_water", "water"]
    np.testing.assert_allclose(data["normalize"]["mean"], [141.2956, 123.53792, 309.02815])
    np.testing.assert_allclose(data["normalize"]["std"], [74.06382, 86.92279, 117.98815])
    assert "divided by its constant_scale=0.001" in decided(to)
    assert "bands by number are places in the file, from 0; TerraTorch 1.2.11 stops at them" in decided(to)
    assert fate(to, "init_args.bands").startswith("carried: data.bands (bands by number")
    assert fate(to, "data.class_path") == "carried: data=sen1floods11"


def test_what_the_file_leaves_out_is_as_in_the_module():
    to = translated(a_known_run(FLOODS, data_root="floods", batch_size=None))
    assert to.values["data"]["batch_size"] == 4
    assert "data.batch_size=4, as the module has" in decided(to)
    assert len(to.values["data"]["bands"]) == 13
    np.testing.assert_allclose(to.values["data"]["normalize"]["mean"][0], 1645.0718)
    assert "nodata" not in to.values["data"]  # the option's holds
    assert "data.nodata=0.0, as data=sen1floods11 has it" in decided(to)


def test_the_lists_of_the_module_are_those_of_any_root():
    to = translated(a_known_run(FLOODS))
    assert "root" not in to.values["data"]
    assert to.values["data"]["split_files"]["val"] == "v1.1/splits/flood_handlabeled/flood_valid_data.txt"


def test_a_scale_that_the_module_has_not_changes_nothing():
    to = translated(a_known_run(SCARS, data_root="scars", constant_scale=0.0001))
    np.testing.assert_allclose(to.values["data"]["normalize"]["mean"][0], 0.03334970674)
    assert fate(to, "constant_scale") == "not needed: TerraTorch's module takes no notice of it"


@pytest.mark.parametrize("bands", [["THERMAL"], [13], ["BLUE", "BLUE"], "BLUE", []])
def test_bands_that_the_data_set_has_not_are_refused(bands):
    with pytest.raises(UserError, match=r"must be bands of sen1floods11, each once: COASTAL_AEROSOL, .* got"):
        translated(a_known_run(FLOODS, data_root="floods", bands=bands))


def test_of_another_task_the_option_is_not_taken():
    regression = a_known_run(FLOODS, data_root="floods")
    regression["model"]["class_path"] = "PixelwiseRegressionTask"
    to = translated(regression)
    assert to.choices["data"] == "geotiff_regression"
    assert "has no counterpart" in fate(to, "data.class_path")


def test_the_imported_experiment_reads_what_terratorch_reads(conf):
    """Pixels are TerraTorch's (value times scale, less the mean, over the deviation), of the images of its lists."""
    values = np.random.default_rng(0).integers(1, 4000, (13, 32, 32))
    for part, rows in (("train", "ab"), ("valid", "c"), ("test", "d")):
        LISTS.mkdir(parents=True, exist_ok=True)
        LISTS.joinpath(f"flood_{part}_data.txt").write_text("".join(f"Spain_{row}\n" for row in rows))
    for place, row in enumerate("abcd"):
        a_raster(HAND / f"S2Hand/Spain_{row}_S2Hand.tif", values + place)
        a_raster(HAND / f"LabelHand/Spain_{row}_LabelHand.tif", values[:1] % 3 - 1)
    tree = a_known_run(FLOODS, batch_size=2)
    tree["data"]["dict_kwargs"] = {"data_root": "floods", "bands": ["BLUE", "GREEN", "RED"]}
    call(conf, config=written(tree))
    config = composed(conf, "experiment=imported/flood", "data.tile_px=32")
    data = SceneData(instantiate(config["data"]))
    data.setup()
    batch = next(iter(data.test_dataloader()))
    mean, std = np.array([0.1412956, 0.13795798, 0.12353792]), np.array([0.07406382, 0.07370365, 0.08692279])
    expected = ((values[1:4] + 3) * 1e-4 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(batch["image"][0].numpy().squeeze(), expected, rtol=1e-4, atol=1e-5)
    assert len(data.train_dataloader().dataset) == 2


def test_burn_scars_of_the_two_folders_are_split_as_in_terratorch(conf):
    names = {"training": "ab", "validation": "cdef"}
    for folder, rows in names.items():
        for row in rows:
            a_raster(Path(f"scars/{folder}/subsetted_{row}_merged.tif"), np.ones((6, 32, 32)))
    to = translated(a_known_run(SCARS, data_root="scars"))
    assert to.choices["data"] == "hls_burn_scars"
    assert to.split_lists["train"] == [f"training/subsetted_{row}_merged.tif" for row in "ab"]
    assert to.split_lists["test"] == [f"validation/subsetted_{row}_merged.tif" for row in "df"]
    assert "so that the test scores chose the epoch" in decided(to)


def test_lists_of_burn_scars_that_are_not_here_are_asked_for(conf, capsys):
    tree = a_known_run(SCARS, data_root="nowhere")
    to = translated(tree)
    assert to.values["data"]["root"] == "nowhere"
    assert "nowhere/training can't be seen from here" in decided(to)
    tree["model"]["init_args"]["model_args"] |= {"backbone_bands": None, "backbone_in_chans": 6}
    call(conf, config=written(tree))
    assert "data.split_files.train=FILE" in " ".join(capsys.readouterr().out.split())
