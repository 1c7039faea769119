import numpy as np
import pytest
import yaml

from geocompose.data.baselines.rules import check, run_baselines
from geocompose.data.baselines.water import best_threshold
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.scores import confusion_matrix, from_confusion
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS, arguments, image, label, pair, write
from tests.kit.places import CONF
from tests.kit.shared import CHIP, needs_chip

HLS = ["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"]


def chip(bands):
    path = CONF / "data/sen1floods11.yaml"
    config = yaml.safe_load(path.read_text()) | {"root": str(CHIP), "split": [0.625, 0.125, 0.25], "bands": bands}
    del config["_target_"]
    data = geotiff(**config)
    data.setup()
    return data


@needs_chip
@pytest.mark.parametrize(("bands", "logistic"), [(HLS, 0.845), (None, 0.860)])
def test_the_published_scores_of_the_sample_chip_are_reproduced(bands, logistic):
    data = chip(bands)
    found = {result["name"]: result["metrics"]["mIoU"] for result in run_baselines(data, ["logistic", "mndwi", "ndwi"])}
    assert found == pytest.approx({"mndwi": 0.806, "ndwi": 0.838, "logistic": logistic}, abs=0.002)


@needs_chip
def test_water_indices_read_their_bands_whichever_are_selected():
    every, red = (
        {result["name"]: result["metrics"] for result in run_baselines(chip(bands), ["mndwi"])}
        for bands in (None, ["RED"])
    )
    assert every == red


@needs_chip
def test_the_sample_chip_is_split_and_labelled_as_its_description_says():
    splits = chip(HLS).describe()["splits"]
    water = [splits[split]["class_pixels"]["water"] / splits[split]["labelled_pixels"] for split in splits]
    assert water == pytest.approx([0.19, 0.31, 0.44], abs=0.005)
    assert 512 * 512 - sum(splits[split]["labelled_pixels"] for split in splits) == 99


def test_the_threshold_is_the_best_of_all():
    random = np.random.default_rng(0)
    index = np.round(random.normal(size=300), 1)
    water = index + random.normal(size=300) > 0.5

    def quality(threshold):
        matrix = confusion_matrix(water.astype(int), (index >= threshold).astype(int), 2)
        return from_confusion(matrix, ["a", "b"])["mIoU"]

    assert quality(best_threshold(index, water)) == max(map(quality, np.unique(index)))


def test_pixels_are_subsampled_without_changing_the_test_pixels(tmp_path):
    data = geotiff(**arguments(pair(tmp_path)))
    data.setup()
    (result,) = run_baselines(data, ["logistic"], max_pixels=200)
    assert "200 training pixels" in result["detail"]
    (again,) = run_baselines(data, ["logistic"], max_pixels=200)
    assert result == again


def test_an_index_where_its_band_has_no_data_is_zero(tmp_path):
    pixels = image()
    pixels[4, :5] = np.nan
    write(pair(tmp_path) / "a_img.tif", pixels, BANDS)
    data = geotiff(**arguments(tmp_path, bands=["RED"], class_names=["water", "land"]))
    data.setup()
    (result,) = run_baselines(data, ["mndwi"])
    assert 0 < result["metrics"]["mIoU"] < 1


def test_training_pixels_of_one_class_leave_logistic_out_and_say_why(tmp_path):
    classes = label()
    classes[:, :40] = 1
    write(pair(tmp_path) / "a_lab.tif", classes)
    data = geotiff(**arguments(tmp_path))
    data.setup()
    (logistic,) = run_baselines(data, ["logistic"])
    assert logistic["metrics"] == {}
    assert "could not be computed: All labelled training pixels are 'water'" in logistic["detail"]


def classes(*names):
    return Target("segmentation", names)


def test_a_baseline_that_does_not_fit_the_data_is_refused():
    with pytest.raises(UserError, match="two classes, one of them named water"):
        check(["ndwi"], classes("a", "b", "water"), HLS)
    with pytest.raises(UserError, match="mndwi needs the bands GREEN and SWIR_1; the data has VV, VH"):
        check(["mndwi"], classes("land", "water"), ["VV", "VH"])
    with pytest.raises(UserError, match="ndwi needs the bands GREEN and NIR_BROAD or NIR_NARROW"):
        check(["ndwi"], classes("land", "Water"), ["GREEN", "RED"])
    with pytest.raises(UserError, match=r"no 'logistics' for segmentation\. Did you mean 'logistic'"):
        check(["logistics"], classes("land", "water"), HLS)
    with pytest.raises(UserError, match=r"no 'logistic' for regression\. Allowed: constant, linear"):
        check(["logistic"], Target("regression", ("ndvi",)), HLS)
