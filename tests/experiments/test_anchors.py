"""What the experiments of published results read: the lists of splits, and data laid out as they are published."""

import importlib.util

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from geocompose.catalog.anchors import ANCHORS
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups, options
from geocompose.data.preflight import data_source
from geocompose.data.split import SPLITS
from geocompose.errors import UserError
from tests.kit.data_rasters import write
from tests.kit.places import CONF, ROOT

SCRIPT = ROOT / "experiments" / "anchors" / "burn_scars_lists.py"
EXPERIMENTS = [name for name in options(CONF, "experiment") if name.startswith("anchor/")]


def script():
    spec = importlib.util.spec_from_file_location("burn_scars_lists", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", overrides=list(overrides)), groups(CONF))


def chip(root, image, label, bands, dtype="float32"):
    write(root / image, np.full((bands, 8, 8), 0.2, dtype))
    write(root / label, np.zeros((8, 8), "int16"))


def test_the_lists_of_burn_scars_are_the_published_folders_drawn_as_published(tmp_path):
    made = script()
    for folder, count in made.PUBLISHED.items():
        (tmp_path / folder).mkdir()
        for number in range(count):
            (tmp_path / folder / f"{number:03}_merged.tif").touch()
    lists = made.split_lists(tmp_path)
    assert {split: len(names) for split, names in lists.items()} == {"train": 486, "val": 54, "test": 264}
    assert len(set(lists["train"]) | set(lists["val"])) == 540
    assert all(name.startswith("validation/") for name in lists["test"])
    (tmp_path / "validation" / "000_merged.tif").unlink()
    with pytest.raises(SystemExit, match=r"validation holds 263 images \*_merged.tif; the published data set has 264"):
        made.split_lists(tmp_path)


def test_burn_scars_are_read_by_lists_of_their_folders(tmp_path):
    names = {"train": "training/a", "val": "training/b", "test": "validation/a"}
    (tmp_path / "splits").mkdir()
    for split, name in names.items():
        chip(tmp_path, f"{name}.v1.4_merged.tif", f"{name}.v1.4.mask.tif", 6)
        (tmp_path / "splits" / f"{split}.txt").write_text(f"{name}.v1.4_merged.tif\n")
    data = composed("experiment=anchor/pangaea_burn_scars", f"data.root={tmp_path}")["data"]
    opened = data_source(data).collection
    for split in SPLITS:
        (region,) = opened.regions[split]
        assert opened.scenes[region.scene].name == f"{names[split]}.v1.4_merged.tif"


@pytest.mark.parametrize(
    ("experiment", "tested"), [("peft_paper_sen1floods11", "test"), ("peft_paper_bolivia", "bolivia")]
)
def test_sen1floods11_is_read_by_its_official_lists(tmp_path, experiment, tested):
    lists = tmp_path / "splits" / "flood_handlabeled"
    lists.mkdir(parents=True)
    for split in ("train", "valid", "test", "bolivia"):
        place = "data/flood_events/HandLabeled"
        chip(tmp_path, f"{place}/S2Hand/{split}_1_S2Hand.tif", f"{place}/LabelHand/{split}_1_LabelHand.tif", 13)
        (lists / f"flood_{split}_data.csv").write_text(f"{split}_1_S1Hand.tif,{split}_1_LabelHand.tif\n")
    opened = data_source(composed(f"experiment=anchor/{experiment}", f"data.root={tmp_path}")["data"]).collection
    (region,) = opened.regions["test"]
    assert opened.scenes[region.scene].name.endswith(f"{tested}_1_S2Hand.tif")


def test_every_anchor_has_an_experiment_with_its_options_and_every_experiment_an_anchor():
    assert len(EXPERIMENTS) >= 10
    assert {anchor.experiment for anchor in ANCHORS} == set(EXPERIMENTS)
    assert len({anchor.name for anchor in ANCHORS}) == len(ANCHORS)
    for anchor in ANCHORS:
        for group, option in anchor.choices.items():
            assert option in options(CONF, group), anchor.name
        typed = [f"{group}={option}" for group, option in anchor.choices.items()]
        config = composed(f"experiment={anchor.experiment}", "data.root=.", *typed)
        assert 0 < anchor.value < 1
        chosen = config["task"]["select_by"] or "mIoU"
        assert chosen == "loss" or anchor.metric.endswith(f"_{chosen}") or anchor.metric == f"test/{chosen}"


def test_an_experiment_without_its_data_says_what_is_missing(tmp_path):
    with pytest.raises(UserError, match=r"data\.root is required: write data\.root=VALUE"):
        composed("experiment=anchor/pangaea_burn_scars")
    data = composed("experiment=anchor/pangaea_burn_scars", f"data.root={tmp_path}")["data"]
    with pytest.raises(UserError, match=r"data\.labels=\*\*/\*\.mask\.tif matches nothing"):
        _ = data_source(data).collection
