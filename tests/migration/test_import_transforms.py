"""Transforms of TerraTorch's data become augmentation and sizes of tiles."""

import pytest

from tests.kit.terratorch_runs import a_run, decided, fate, translated


def test_transforms_are_carried_where_there_is_one_like_it():
    transforms = [
        {"class_path": "albumentations.D4"},
        {"class_path": "albumentations.RandomCrop", "init_args": {"height": 96, "width": 96}},
        {"class_path": "albumentations.GaussNoise"},
        {"class_path": "ToTensorV2"},
    ]
    to = translated(a_run(data={"train_transform": transforms}))
    assert to.values["data"]["dihedral"] is True
    assert to.values["data"]["random_crop"] is True
    assert to.values["data"]["tile_px"] == 96
    assert fate(to, "train_transform.2.class_path").startswith("not carried over: there is no transform GaussNoise")
    assert fate(to, "train_transform.3.class_path").startswith("not needed")
    assert translated(a_run()).values["data"]["dihedral"] is False  # ours would be true


@pytest.mark.parametrize(
    ("names", "drawn"),
    [
        ("HorizontalFlip VerticalFlip", "flips"),
        ("HorizontalFlip", "horizontal"),
        ("VerticalFlip", "vertical"),
        ("HorizontalFlip VerticalFlip Transpose", True),
        ("VerticalFlip D4", True),
    ],
)
def test_flips_are_carried_as_what_is_drawn_of_the_eight_views(names, drawn):
    steps = [{"class_path": f"albumentations.{name}"} for name in names.split()]
    to = translated(a_run(data={"train_transform": steps, "val_transform": steps[:1]}))
    assert to.values["data"]["dihedral"] == drawn
    assert "equally likely" not in decided(to)
    assert {fate(to, f"train_transform.{place}.class_path") for place in range(len(steps))} == {
        "carried: data.dihedral"
    }
    assert fate(to, "val_transform.0.class_path").endswith("images are changed at random in training alone")


def test_flips_of_another_probability_are_told_and_turns_alone_are_lost():
    steps = [
        {"class_path": "albumentations.HorizontalFlip", "init_args": {"p": 0.25}},
        {"class_path": "albumentations.Transpose"},
        {"class_path": "albumentations.VerticalFlip", "init_args": {"p": 1}},
    ]
    to = translated(a_run(data={"train_transform": steps}))
    assert to.values["data"]["dihedral"] == "horizontal"
    assert "HorizontalFlip has p=0.25 in TerraTorch; here each of the views is equally likely" in decided(to)
    assert fate(to, "train_transform.1.class_path").startswith("not carried over: data.dihedral=true turns by quarters")
    assert fate(to, "train_transform.2.class_path") == "not carried over: it is not drawn at random"
    every = [{"class_path": f"albumentations.{name}"} for name in ("HorizontalFlip", "RandomRotate90")]
    to = translated(a_run(data={"train_transform": every}))
    assert to.values["data"]["dihedral"] is True
    assert "RandomRotate90 has p=0.5 in TerraTorch" in decided(to)


def test_transforms_that_lack_what_counts_are_told_so_and_those_of_every_split_give_the_size():
    steps = [
        {"class_path": "albumentations.D4", "init_args": {"p": 0.5}},
        {"class_path": "albumentations.RandomCrop", "init_args": {"height": 96, "width": 64}},
    ]
    to = translated(a_run(data={"train_transform": steps}))
    assert to.values["data"]["dihedral"] is True
    assert "D4 has p=0.5 in TerraTorch" in decided(to)
    assert "its size is not one whole number" in fate(to, "train_transform.1.init_args.height")
    resize = [{"class_path": "albumentations.Resize", "init_args": {"height": 96, "width": 96}}]
    images = a_run(task="ClassificationTask", module="EuroSATDataModule", data={"transforms": resize})
    to = translated(images)
    assert (to.values["data"]["tile_px"], to.values["data"]["fit"]) == (96, "resize")
    assert "no size was found" not in decided(to)


def test_of_several_sizes_that_of_the_random_crop_counts():
    steps = [
        {"class_path": f"albumentations.{name}", "init_args": {"height": size, "width": size}}
        for name, size in (("Resize", 512), ("RandomCrop", 96))
    ]
    to = translated(a_run(data={"train_transform": steps}))
    assert (to.values["data"]["tile_px"], to.values["data"]["random_crop"]) == (96, True)
    assert fate(to, "train_transform.0.init_args.height").endswith("data.tile_px=96 cuts them into tiles")


@pytest.mark.parametrize(
    ("transform", "fit", "told"),
    [
        ({"train_transform": "RandomCrop"}, "crop", "carried: data.random_crop, data.tile_px, data.fit=crop"),
        ({"val_transform": "Resize"}, "resize", "not carried over: images larger than data.tile_px=96 are fitted"),
        ({"test_transform": "CenterCrop"}, "crop", "not carried over: images larger than data.tile_px=96 are fitted"),
    ],
)
def test_images_with_one_label_are_fitted_as_their_transforms_ask(transform, fit, told):
    ((split, name),) = transform.items()
    steps = [{"class_path": f"albumentations.{name}", "init_args": {"height": 96, "width": 96}}]
    arguments = {"decoder": "IdentityDecoder", "decoder_channels": None, "decoder_num_convs": None}
    to = translated(
        a_run(
            task="ClassificationTask",
            module="GenericNonGeoClassificationDataModule",
            model_args=arguments,
            data={split: steps},
        )
    )
    assert (to.values["data"]["fit"], to.values["data"]["tile_px"]) == (fit, 96)
    assert fate(to, f"{split}.0.class_path").startswith(told)
