"""Made-up landscapes with labels of each kind."""

import json
import pickle
import sys
from subprocess import run

import numpy as np
import pytest
import torch

from geocompose.data.baselines.rules import run_baselines
from geocompose.data.synthetic.scenes import class_share, dominant_class, present_classes
from geocompose.data.synthetic.spectral import CLASS_NAMES, make_biomass, make_landscape
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from tests.kit.data_modules import (
    synthetic_classification,
    synthetic_multilabel,
    synthetic_reconstruction,
    synthetic_regression,
    synthetic_scalar_regression,
    synthetic_segmentation,
)

KINDS = {
    "segmentation": synthetic_segmentation,
    "regression": synthetic_regression,
    "classification": synthetic_classification,
    "multilabel": synthetic_multilabel,
    "scalar_regression": synthetic_scalar_regression,
    "reconstruction": synthetic_reconstruction,
}
# The form of a batch's label: key, shape behind the batch, type.
BATCHES = {
    "segmentation": ("mask", (32, 32), torch.int64),
    "regression": ("mask", (32, 32), torch.float32),
    "classification": ("label", (), torch.int64),
    "multilabel": ("label", (4,), torch.int64),
    "scalar_regression": ("label", (), torch.float32),
    "reconstruction": ("mask", (32, 32), torch.float32),
}


@pytest.fixture(scope="module", params=[kind for kind in KINDS if kind not in ("segmentation", "reconstruction")])
def default(request):
    data = KINDS[request.param]()
    data.setup()
    return data


@pytest.mark.parametrize("kind", KINDS)
def test_batches_have_the_form_of_their_kind(kind):
    data = KINDS[kind](num_scenes=4, scene_px=64, tile_px=32, batch_size=3)
    assert data.target.kind == kind
    data.setup()
    key, shape, dtype = BATCHES[kind]
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        batch = next(iter(loader))
        assert set(batch) == {"image", key, "tile"}
        assert (batch["image"].shape, batch["image"].dtype) == ((3, 6, 32, 32), torch.float32)
        assert (tuple(batch[key].shape[1:]), batch[key].dtype) == (shape, dtype)
        assert batch["tile"].dtype == torch.int64


@pytest.mark.parametrize("kind", KINDS)
def test_a_description_says_what_the_labels_ask_for(kind):
    data = KINDS[kind](num_scenes=4, scene_px=64, tile_px=32)
    data.setup()
    said = json.loads(json.dumps(data.describe()))
    in_unit = ["units"] * (kind == "regression")
    assert (
        list(said["target"])
        == ["kind", "names", "ignore_index", "mean", "std"] + ["deviation"] * (not data.target.of_classes) + in_unit
    )
    assert Target.from_record(said["target"]) == data.target
    assert (said["target"]["mean"] is None) == data.target.of_classes
    assert said["splits"]["val"]["tiles"] == 4


def test_default_labels_tell_more_than_a_constant_and_leave_something_to_learn(default):
    metric, better = ("RMSE", -1) if not default.target.of_classes else ("F1_macro", 1)
    constant, fitted = (result["metrics"][metric] for result in run_baselines(default, default.baselines))
    assert better * fitted > better * constant
    assert fitted > 0.02 if better < 0 else fitted < 0.98


def test_default_biomass_is_predicted_half_by_a_line_and_lies_in_its_range():
    data = synthetic_regression()
    data.setup()
    (result,) = run_baselines(data, ["linear"])
    assert 0.35 < result["metrics"]["R2"] < 0.65
    (mean,), (std,) = data.target.mean, data.target.std
    assert 40 < mean < 110
    assert 50 < std < 110


def test_biomass_belongs_to_the_same_landscape_and_grows_where_vegetation_is():
    image, label = make_landscape(3, 1, 128, -1)
    same, biomass = make_biomass(3, 1, 128)
    assert np.array_equal(image, same)
    assert np.array_equal(np.isnan(biomass[0]), label == -1)
    vegetation, water = (biomass[0][label == CLASS_NAMES.index(name)].mean() for name in ("vegetation", "water"))
    assert vegetation > 100
    assert water < 15
    assert biomass[0][~np.isnan(biomass[0])].min() >= 0


def test_image_labels_are_those_of_the_tiles_pixels():
    classes = np.array([[0, 0, 1], [1, 1, -1]])
    assert dominant_class(classes) == 1
    assert present_classes(classes, 4, 0.5).tolist() == [0, 1, 0, 0]
    assert present_classes(classes, 4, 0.4).tolist() == [1, 1, 0, 0]
    assert class_share(classes, 0) == pytest.approx([0.4])
    unknown = np.full((2, 2), -1)
    assert dominant_class(unknown) == -1
    assert present_classes(unknown, 4, 0.5).tolist() == [-1] * 4
    assert np.isnan(class_share(unknown, 0)).all()


def test_all_image_kinds_see_the_same_tiles_as_segmentation():
    small = {"num_scenes": 4, "scene_px": 64, "tile_px": 32}
    data = {kind: made(**small) for kind, made in KINDS.items()}
    for module in data.values():
        module.setup()
    batches = {kind: next(iter(module.test_dataloader())) for kind, module in data.items()}
    for batch in batches.values():
        assert torch.equal(batch["image"], batches["segmentation"]["image"])
    for i, mask in enumerate(batches["segmentation"]["mask"].numpy()):
        assert batches["classification"]["label"][i] == int(dominant_class(mask))
        assert batches["multilabel"]["label"][i].tolist() == present_classes(mask, 4, 0.05).tolist()
        assert batches["scalar_regression"]["label"][i] == pytest.approx(float(class_share(mask, 0)[0]))


def test_a_share_decides_which_classes_a_tile_has():
    small = {"num_scenes": 4, "scene_px": 64}
    counts = []
    for share in (0.01, 0.5):
        data = synthetic_multilabel(min_share=share, **small)
        data.setup()
        counts.append(sum(data.statistics.class_counts["train"]))
    assert counts[0] > counts[1]


@pytest.mark.parametrize("kind", KINDS)
def test_data_is_sent_to_a_loading_process(kind):
    data = KINDS[kind](num_scenes=4, scene_px=64, tile_px=32)
    data.setup()
    dataset = pickle.loads(pickle.dumps(data.train_dataloader().dataset))
    key = BATCHES[kind][0]
    here = data.train_dataloader().dataset[1, 5][key]
    assert np.array_equal(dataset[1, 5][key], here, equal_nan=True)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("multilabel", {"min_share": 0.0}, r"data\.min_share=0\.0 is a share"),
        ("multilabel", {"min_share": 1.0}, r"data\.min_share=1\.0 is a share"),
        ("regression", {"normalize_target": "minmax"}, r"data\.normalize_target has no 'minmax'"),
        ("scalar_regression", {"num_scenes": 0}, r"data\.num_scenes=0"),
        ("classification", {"baselines": ["mndwi"]}, "no 'mndwi' for classification"),
        ("scalar_regression", {"baselines": ["logistic"]}, "no 'logistic' for scalar_regression"),
    ],
)
def test_wrong_arguments_are_refused(kind, change, message):
    with pytest.raises(UserError, match=message):
        KINDS[kind](**change)


def test_data_is_checked_without_loading_torch():
    code = "import sys, geocompose.data.preflight, geocompose.data.files.pairs; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
