"""Runs that read a frozen backbone's features from disk: the same numbers, computed once; refused where they change."""

import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

from geocompose.errors import UserError
from geocompose.models.encoder_decoder import EncoderDecoderModel
from tests.kit.command import run

PRITHVI = (
    "backbone=prithvi",
    "backbone.embed_dim=32",
    "backbone.depth=3",
    "backbone.num_heads=2",
    "backbone.img_size=32",
)
SMALL = (
    *PRITHVI, "decoder=fcn", "decoder.channels=16", "decoder.num_convs=1", "data.num_scenes=4", "data.scene_px=64",
    "data.tile_px=32", "data.batch_size=4", "trainer.max_epochs=3", "trainer.accelerator=cpu",
    "trainer.progress_bar=false", "action.scene_scores=false", "data.baselines=[]", "peft=frozen",
)  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOCOMPOSE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept" / "features"


@pytest.fixture
def images(monkeypatch):
    """Count the images that backbones see in `encoded` and in `forward`."""
    seen = {"encoded": 0, "forward": 0}

    def counting(name):
        original = getattr(EncoderDecoderModel, name)

        def counted(self, image, *rest, **named):
            seen[name] += 0 if image.device.type == "meta" else len(image)
            return original(self, image, *rest, **named)

        return counted

    for name in seen:
        monkeypatch.setattr(EncoderDecoderModel, name, counting(name))
    return seen


def fitted(study, *overrides):
    """Return the folder of a run of the small composition; a part that `overrides` choose comes without its keys."""
    chosen = [part for part in ("backbone", "decoder") if any(each.startswith(f"{part}=") for each in overrides)]
    base = [each for each in SMALL if not each.startswith(tuple(chosen))]
    run(*base, f"study={study}", *overrides)
    (folder,) = Path("outputs", study).iterdir()
    return folder


def record(folder):
    return json.loads((folder / "record.json").read_text())


def alike(one, other):
    mine, its = record(one), record(other)
    assert mine["metrics"] == pytest.approx(its["metrics"], abs=1e-5, nan_ok=True)
    counted = "confusion.npz" if (one / "confusion.npz").is_file() else "tile_sums.npz"
    ours, theirs = (np.load(folder / counted) for folder in (one, other))
    for split in ours.files:
        assert np.abs(ours[split].astype(float) - theirs[split]).sum() <= 1e-4 * np.abs(ours[split]).sum(), split
    return mine, its


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("data.dihedral=false", "decoder=upernet"),
        # Adam makes a whole step of a gradient that is only rounding; there are many where a norm sees four values.
        ("backbone=timm", "backbone.name=test_resnet", "decoder=unet", "optimizer=sgd"),
        pytest.param(
            ("data=synthetic_classification", "task=classification", "head=classification", "decoder=identity"),
            marks=pytest.mark.slow,
        ),
        pytest.param(("data=synthetic_regression", "task=regression", "head=regression"), marks=pytest.mark.slow),
        ("auxiliary=fcn", "task.aux_loss={fcn: 0.4}", "peft=none", "task.freeze_backbone=true", "data.dihedral=flips"),
        ("data.random_crop=true", "cache.crops=2"),
        pytest.param(("data.tile_px=30",), marks=pytest.mark.slow),
    ],
    ids=lambda overrides: " ".join(overrides),
)
def test_kept_features_give_the_numbers_of_a_run_without(place, overrides):
    mine, its = alike(fitted("with", "cache=features", *overrides), fitted("without", "cache=none", *overrides))
    assert mine["run_id"] == its["run_id"], "what is kept changes no number, and so no identity"
    assert mine["training"]["features"]["computed"] > 0
    assert "features" not in its["training"]


def test_a_second_run_computes_only_what_is_new(place, images):
    fitted("first", "cache=features", "backbone.ckpt_path=null")
    first = dict(images)
    assert first["forward"] == 0, "a run that reads features encodes nothing else"
    features = record(next(Path("outputs/first").iterdir()))["training"]["features"]
    assert first["encoded"] == features["computed"] + 2, "each sample once, and one twice to see whether it is the same"
    fitted("second", "cache=features", "decoder.channels=8")
    assert images["encoded"] == first["encoded"] + 1, "one, to see whether it is still the same"
    assert record(next(Path("outputs/second").iterdir()))["training"]["features"]["computed"] == 0


def test_a_part_of_the_tiles_and_another_fold_read_what_all_tiles_have_kept(place):
    every = ("cache=features", "trainer.max_epochs=1", "data.normalize=none", "data.dihedral=false", "data.folds=3")
    fitted("every", *every, "data.fold=0")
    fitted("part", *every, "data.fold=1", "data.fraction=0.5")
    part = record(next(Path("outputs/part").iterdir()))
    assert part["training"]["features"]["computed"] == 0
    assert part["training"]["features"]["samples"] < part["data"]["subset"]["total"] * 3


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (("data.normalize=none",), "normalization"),
        pytest.param(("data.bands=[RED,NIR_NARROW]",), "bands", marks=pytest.mark.slow),
        (("data.seed=5",), "data"),
        (("seed=7",), "weights"),
        pytest.param(("trainer.precision=bf16-mixed",), "precision", marks=pytest.mark.slow),
        pytest.param(("cache.dtype=fp16",), "type", marks=pytest.mark.slow),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_changes_features_misses(place, overrides, key):
    fitted("first", "cache=features", "trainer.max_epochs=1")
    fitted("second", "cache=features", "trainer.max_epochs=1", *overrides)
    again = record(next(Path("outputs/second").iterdir()))["training"]["features"]
    assert again["computed"] == again["samples"], key
    assert len(list(place.iterdir())) == 2


def test_damaged_features_are_computed_again(place, caplog):
    one = fitted("first", "cache=features")
    for part in place.glob("*/layer_2/*.npy"):
        if ".items" not in part.name:
            raw = bytearray(part.read_bytes())
            raw[-40:] = bytes(40)
            part.write_bytes(raw)
    other = fitted("second", "cache=features")
    mine, its = alike(one, other)
    assert its["training"]["features"]["computed"] > 0
    assert "damaged" in caplog.text
    assert mine["run_id"] == its["run_id"]


def test_kept_features_of_another_backbone_are_refused(place):
    fitted("first", "cache=features", "trainer.max_epochs=1")
    (folder,) = place.iterdir()
    for listed in folder.glob("layer_2/*.items.npy"):  # whole, but of something else
        part = listed.with_name(listed.name.replace(".items", ""))
        values = np.load(part) + 1
        items = np.load(listed)
        items[:, -1] = [zlib.crc32(row.data) for row in values]
        np.save(part, values)
        np.save(listed, items)
    with pytest.raises(UserError, match=r"layer_2 kept in .* not what the backbone returns now. Remove that folder"):
        fitted("second", "cache=features", "trainer.max_epochs=1")
    fitted("third", "trainer.max_epochs=3")  # unasked, the run goes on without
    shutil.rmtree(folder)
    fitted("fourth", "cache=features", "trainer.max_epochs=1")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("peft=lora",), "its backbone learns. Write peft=frozen"),
        (("peft=none",), "its backbone learns"),
        (("data.rotation_deg=10",), "data.rotation_deg=0"),
        (("data.random_crop=true",), "cache.crops=4"),
        (("trainer.precision=bf16-true",), "rounds what is kept"),
        (("backbone=identity", "decoder=identity"), "no weights"),
        (("cache.max_gb=0",), "above 0; cache=none"),
        (("cache.crops=0",), "1 or more"),
        (("cache.max_gb=0.000001",), "cache.max_gb"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_can_not_be_kept_is_refused_with_what_to_write(place, overrides, said):
    with pytest.raises(UserError, match=r"cache") as error:
        fitted("refused", "cache=features", *overrides)
    assert said in str(error.value)


def test_unasked_features_are_kept_where_that_pays_and_else_it_is_said(place, caplog):
    caplog.set_level("INFO", logger="geocompose")
    assert "features" in record(fitted("three"))["training"]
    assert "features" not in record(fitted("one", "trainer.max_epochs=1", "data.dihedral=false"))["training"]
    assert "computed anew each time" in caplog.text


def test_a_frozen_backbone_whose_features_can_not_be_kept_is_told(place, caplog):
    caplog.set_level("INFO", logger="geocompose")
    mine = record(fitted("crops", "data.random_crop=true", "trainer.max_epochs=1"))
    (line,) = [each for each in mine["said"] if "computed anew each time" in each]
    assert "cache.crops=4" in line
    learning = record(fitted("learning", "peft=none", "trainer.max_epochs=1"))
    assert not any("computed anew" in each for each in learning["said"])


def test_a_folder_that_can_not_be_written_stops_only_who_asked_for_it(place, tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    lost = f"cache.folder={tmp_path / 'file'}"
    with pytest.raises(UserError, match="a file stands where a folder is needed"):
        fitted("asked", "cache=features", lost)
    mine = record(fitted("unasked", lost))
    assert mine["status"] == "completed"
    assert "features" not in mine["training"]
    assert "computed anew each time" in caplog.text
