"""data=module: Lightning data modules of a user's own and of TorchGeo, whose samples are used as any other data."""

import importlib.util
import pickle

import numpy as np
import pytest
import rasterio

from geocompose.configuration.own_parts import open_own_parts
from geocompose.data.module import SceneData
from geocompose.data.modules.source import ModuleData
from geocompose.data.preflight import data_source
from geocompose.errors import UserError
from tests.kit.command import SMALL, composed_config, only_run, record_of, run
from tests.kit.foreign_data import MODULE
from tests.kit.own_modules import own_module

KINDS = ["segmentation", "regression", "classification", "multilabel", "scalar_regression"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "chips").mkdir()
    (tmp_path / "chips" / "data.bin").write_bytes(b"chips")
    with own_module(tmp_path, "tried_data", MODULE, monkeypatch):
        yield tmp_path


def declared(place, target="Chipped", kind="segmentation", more=(), **arguments):
    numbers = {"variables": ["height"]} if kind in ("regression", "scalar_regression") else {}
    module = {"_target_": f"tried_data.{target}", "kind": kind, **dict(more)}
    return ModuleData(root=str(place / "chips"), module=module, tile_px=32, **(numbers | arguments))


@pytest.mark.parametrize("target", ["Chipped", "Loaded"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_bands_and_classes_are_those_of_the_samples(place, target, kind):
    data = SceneData(declared(place, target, kind))
    data.setup()
    assert data.target.kind == kind
    assert data.band_names == ["BLUE", "GREEN", "RED"]
    assert data.target.names == (("height",) if "regression" in kind else ("dark", "bright"))
    assert [data.num_tiles(split) for split in ("train", "val", "test")] == [12, 4, 4]
    batch = next(iter(data.val_dataloader()))
    assert batch["image"].shape == (4, 3, 32, 32)
    if kind == "classification":
        assert batch["label"].tolist() == [0, 1, 0, 1]


def test_samples_are_what_the_data_set_gives_and_read_once_for_image_and_label(place, monkeypatch):
    source = declared(place, kind="segmentation", normalize="none")
    scene, window = source.collection.scenes[3], source.collection.regions["train"][3].window
    chips, reads = type(scene._samples.dataset), []
    inner = chips.__getitem__
    given = inner(scene._samples.dataset, 3)
    monkeypatch.setattr(chips, "__getitem__", lambda self, index: reads.append(index) or inner(self, index))
    image, valid = scene.read_image(window, [2, 0])
    label = scene.read_label(window)
    assert reads == [3]
    assert np.array_equal(image, given["image"].numpy()[[2, 0]])
    assert np.array_equal(label, given["mask"].numpy())
    assert valid.all()


def test_of_mask_and_label_the_kind_says_which_is_meant_and_what_was_taken_is_told(place, caplog):
    caplog.set_level("INFO")
    of_images = declared(place, kind="both", labels="classification").collection
    window = of_images.regions["train"][1].window
    assert of_images.scenes[1].read_label(window) == 1
    assert declared(place, kind="both").collection.labels.target.kind == "segmentation"
    assert "labels of Chipped are taken for classification (data.labels), its bands are BLUE, GREEN, RED" in caplog.text
    assert "taken for segmentation (by the first sample)" in caplog.text


def test_pixels_that_are_nan_have_no_data(place):
    source = declared(place, normalize="none")
    scene = source.collection.scenes[0]
    scene._samples[0]["image"][1, 0, 0] = np.nan
    window = source.collection.regions["train"][0].window
    assert (~scene.read_image(window, [0, 1, 2])[1]).sum() == 1
    assert scene.read_image(window, [0])[1].all()


def test_scenes_can_be_sent_to_worker_processes(place):
    scene = declared(place).collection.scenes[1]
    again = pickle.loads(pickle.dumps(scene))
    window = declared(place).collection.regions["train"][1].window
    assert np.array_equal(again.read_image(window, [0])[0], scene.read_image(window, [0])[0])


@pytest.mark.parametrize(
    ("target", "kind", "more", "arguments", "says"),
    [
        ("Missing", None, {}, {}, r"tried_data\.Missing can't be set up: .*chips\.zip is not there"),
        (
            "Loaded",
            "segmentation",
            {"without_test": True},
            {},
            r"has no data for test .*Train, val and test are needed",
        ),
        (
            "Chipped",
            "nothing",
            {},
            {},
            r"sample train/000000 of Chips has image; needed are image, .* and mask or label",
        ),
        ("Chipped", "regression", {}, {"variables": None}, r"data\.variables must name the 1 numbers of a label"),
        ("Chipped", "segmentation", {}, {"band_names": ["A"]}, r"data\.band_names has 1 names, and .* 3 bands"),
        ("Chipped", "segmentation", {}, {"fold": 1}, r"data\.fold=1 draws splits, and data\.module gives its own"),
        ("Chipped", "segmentation", {"number": 0}, {}, r"its train data set, Chips, has no sample"),
    ],
)
def test_what_can_not_be_is_told_with_what_to_do(place, target, kind, more, arguments, says):
    source = declared(place, target, kind, more, **arguments)
    if kind is None:
        source.module.pop("kind")
    with pytest.raises(UserError, match=says):
        _ = source.collection


def test_a_sample_of_another_shape_is_named(place):
    data = SceneData(declared(place, more={"odd": 5}))
    with pytest.raises(
        UserError, match=r"sample train/000005 has an image \(3, 40, 40\), and the first one \(3, 32, 32\)"
    ):
        data.setup()


def test_a_lightning_module_in_place_of_a_declaration_is_told_where_it_goes(place):
    with pytest.raises(UserError, match=r"no declaration of data.*data=module data\.module\._target_=tried_data\.L"):
        data_source({"_target_": "tried_data.Loaded"})


def test_its_keys_are_checked_and_typed_one_by_one(place):
    typed = ["data=module", "data.root=chips", "data.module._target_=tried_data.Loaded", "data.module.kind=regression"]
    opened = open_own_parts(typed)
    assert opened[-1] == "data.module={_target_: tried_data.Loaded, kind: regression}"
    assert composed_config(*opened)["data"]["module"] == {"_target_": "tried_data.Loaded", "kind": "regression"}
    with pytest.raises(UserError, match=r"data\.module has no key 'knd'. Did you mean 'kind'"):
        composed_config(*typed[:2], "data.module={_target_: tried_data.Loaded, knd: regression}")


def test_a_run_on_it_is_recorded_evaluated_and_told_by_its_files(place):
    module = "data.module={_target_: tried_data.Chipped}"
    small = [text for text in SMALL if not text.startswith("data.")]
    command = [*small, "data=module", "data.root=chips", module, "data.tile_px=32", "data.batch_size=4"]
    run(*command, "study=own", "data.baselines=[logistic]")
    folder = only_run("own")
    record = record_of(folder)
    assert record["status"] == "completed"
    assert record["data"]["name"] == "Chipped"
    assert record["baselines"][0]["metrics"]["mIoU"] == 1.0, "a pixel's sum tells its class in these data"
    assert "tried_data.py" in record["code"]["files"]
    with pytest.raises(UserError, match=r"tried_data\.Chipped.*action\.trust=\[tried_data\.Chipped\]"):
        run("action=evaluate", f"action.run={folder}")
    run("action=evaluate", f"action.run={folder}", "action.trust=[tried_data.Chipped]")
    (place / "chips" / "data.bin").write_bytes(b"other chips")
    run(*command, "study=own", "data.baselines=[logistic]")
    assert len(list((place / "outputs" / "own").iterdir())) == 2


torchgeo = pytest.mark.skipif(
    importlib.util.find_spec("torchgeo") is None, reason="pip install -r requirements-torchgeo.txt"
)


@torchgeo
@pytest.mark.optional
def test_torchgeos_eurosat_by_its_own_module_trains_a_classifier(tmp_path, monkeypatch):
    from torchgeo.datasets import EuroSAT

    monkeypatch.chdir(tmp_path)
    root = tmp_path / "eurosat"
    draw = np.random.default_rng(0)
    names = {split: [] for split in ("train", "val", "test")}
    for level, name in enumerate(("Forest", "River", "SeaLake")):
        folder = root / EuroSAT.base_dir / name
        folder.mkdir(parents=True)
        for number in range(9):
            file = folder / f"{name}_{number}.tif"
            profile = {"driver": "GTiff", "height": 64, "width": 64, "count": 13, "dtype": "uint16"}
            with rasterio.open(file, "w", **profile) as raster:
                raster.write((1000 * (1 + level) + draw.integers(0, 300, (13, 64, 64))).astype(np.uint16))
            names[("train", "val", "test")[number % 3]].append(file.with_suffix(".jpg").name)
    for split, listed in names.items():
        (root / f"eurosat-{split}.txt").write_text("\n".join(listed))
    small = [text for text in SMALL if not text.startswith(("data.", "decoder"))]
    run(
        *small, "task=classification", "decoder=identity", "data=module", f"data.root={root}", "study=eurosat",
        "data.module={_target_: torchgeo.datamodules.EuroSATDataModule}", "data.batch_size=3",
        "data.unit=reflectance_1e4", "data.bands=[B04,B03,B02]",
    )  # fmt: skip
    record = record_of(only_run("eurosat"))
    assert record["status"] == "completed"
    assert record["data"]["target"]["names"] == ["Forest", "River", "SeaLake"]
    assert record["data"]["bands"] == ["B04", "B03", "B02"]
