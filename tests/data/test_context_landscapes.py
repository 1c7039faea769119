"""Landscapes whose classes no pixel tells: each spectrum belongs to two classes, which differ in their surroundings."""

import numpy as np
import pytest

from geocompose.data.baselines import boosting
from geocompose.data.baselines.rules import run_baselines
from geocompose.data.synthetic.context import CLASS_NAMES, FOREST, compose_landscape, make_biomass, make_landscape
from geocompose.data.window import Window
from tests.kit.data_modules import (
    synthetic_classification,
    synthetic_multilabel,
    synthetic_regression,
    synthetic_scalar_regression,
    synthetic_segmentation,
)

PAIRS = [("lake", "river"), ("forest", "plantation"), ("fields", "village")]
SEEDS = range(6)


@pytest.fixture(scope="module")
def default():
    data = synthetic_segmentation(landscape="context")
    data.setup()
    return data


@pytest.fixture(scope="module")
def lands():
    return [compose_landscape(0, index, 256) for index in SEEDS]


def test_every_class_is_in_every_split_and_about_one_percent_is_unlabelled(default):
    assert default.class_names == list(CLASS_NAMES)
    for split, counts in default.statistics.class_counts.items():
        assert min(counts) > 0.04 * sum(counts), split
        assert 0.985 < sum(counts) / (len(default.regions[split]) * 256**2) < 0.995


def test_no_rule_for_single_pixels_tells_the_classes(monkeypatch):
    monkeypatch.setattr(boosting, "ITERATIONS", 15)
    monkeypatch.setattr(boosting, "MAX_PIXELS", 4000)
    data = synthetic_segmentation(landscape="context", num_scenes=6, scene_px=128)
    data.setup()
    for result in run_baselines(data, ["logistic", "gradient_boosting"]):
        assert 0.2 < result["metrics"]["mIoU"] < 0.36, result["name"]
        # Which of the three spectra it is, a pixel does tell.
        assert result["metrics"]["IoU_lake"] > 0.3


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_classes_of_a_pair_have_one_spectrum(one, other, lands):
    """Each scene has its own light and haze, and each place its own shade, so that only the mean over scenes agrees."""
    found = []
    for name in (one, other):
        number = CLASS_NAMES.index(name)
        inside = [land.image[:, land.shares[number] > 0.99].astype(float) for land in lands]
        found.append(np.stack([np.quantile(pixels, (0.2, 0.5, 0.8), axis=1) for pixels in inside]).mean(axis=0))
    ranges = found[0][2] - found[0][0]
    assert (np.abs(found[0] - found[1]) < 0.25 * ranges).all()


@pytest.mark.parametrize(("strewn", "regular"), [("forest", "plantation"), ("village", "fields")])
def test_classes_of_a_pair_differ_in_what_is_around_a_pixel(strewn, regular, lands):
    """Rows and strips average out over ten pixels; what grows or stands anywhere does not."""
    left = []
    for name in (strewn, regular):
        number = CLASS_NAMES.index(name)
        shares = []
        for land in lands:
            ratio = np.log(land.image[3] / land.image[4])  # in which light and shade cancel
            means = box_means(ratio, 10)
            inside = box_means(land.shares[number], 10) > 0.999
            within = box_means(ratio**2, 10) - means**2
            shares.append(means[inside].var() / (means[inside].var() + within[inside].mean()))
        left.append(np.mean(shares))
    assert left[0] > 3 * left[1]


def box_means(field, box_px):
    sums = np.pad(field.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    edge = slice(box_px, None), slice(None, -box_px)
    return (
        sum(sign * sums[edge[i], edge[j]] for i, j, sign in ((0, 0, 1), (0, 1, -1), (1, 0, -1), (1, 1, 1))) / box_px**2
    )


def test_values_are_digital_numbers_of_reflectance(default):
    image, valid = default.scenes[0].read_image(Window(0, 0, 256, 256), range(6))
    assert valid.all()
    assert image.min() >= 1
    assert 500 < np.median(image) < 4000


def test_the_seed_and_number_alone_decide_a_landscape():
    first = make_landscape(3, 1, 64, -1)
    np.random.seed(2)  # noqa: NPY002 - the global generator must not matter
    assert all(map(np.array_equal, first, make_landscape(3, 1, 64, -1)))
    assert not np.array_equal(first[0], make_landscape(4, 1, 64, -1)[0])
    assert not np.array_equal(first[0], make_landscape(3, 2, 64, -1)[0])


@pytest.mark.parametrize("size_px", [32, 64, 100, 300])
def test_landscapes_of_any_size_have_several_classes(size_px):
    image, label = make_landscape(0, 0, size_px, -1)
    assert (image.shape, label.shape) == ((6, size_px, size_px), (size_px, size_px))
    assert len(np.unique(label[label >= 0])) >= 4


def test_biomass_is_of_the_same_landscape_and_grows_with_a_forests_age(lands):
    image, biomass = make_biomass(0, 1, 256)
    land = lands[1]
    assert np.array_equal(image, land.image)
    assert np.array_equal(np.isnan(biomass[0]), land.unknown)
    old, young = (land.shares[FOREST] > 0.99) & (land.age > 0.8), (land.shares[FOREST] > 0.99) & (land.age < 0.2)
    assert np.nanmean(biomass[0][old]) > 220
    assert np.nanmean(biomass[0][young]) < 110
    assert np.nanmean(biomass[0][land.label == CLASS_NAMES.index("lake")]) < 10


@pytest.mark.parametrize(
    ("make", "baseline", "metric", "least", "most"),
    [
        (synthetic_regression, "linear", "R2", 0.1, 0.5),
        (synthetic_classification, "logistic", "F1_macro", 0.15, 0.6),
        (synthetic_multilabel, "logistic", "F1_macro", 0.4, 0.85),
        (synthetic_scalar_regression, "linear", "R2", -0.2, 0.6),
    ],
)
def test_labels_of_each_kind_are_told_in_part_by_values_alone(make, baseline, metric, least, most):
    data = make(landscape="context", num_scenes=6, scene_px=192)
    data.setup()
    (result,) = run_baselines(data, [baseline])
    assert least < result["metrics"][metric] < most
    if make is synthetic_regression:
        (mean,), (std,) = data.target.mean, data.target.std
        assert 40 < mean < 110
        assert 50 < std < 110


def test_the_share_of_a_tile_is_that_of_its_forest():
    data = synthetic_scalar_regression(
        landscape="context", num_scenes=3, scene_px=64, tile_px=64, normalize_target="none"
    )
    data.setup()
    assert data.target.names == ("forest_share",)
    for scene in data.scenes:
        window = Window(0, 0, 64, 64)
        _, label = make_landscape(0, int(scene.name.rpartition("_")[2]), 64, -1)
        known = label[label != -1]
        assert scene.read_label(window)[0] == pytest.approx((known == FOREST).mean())
