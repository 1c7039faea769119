"""Scenes with dates and positions, tables of them, and a small Prithvi that takes both."""

import torch
from hydra import compose, initialize_config_dir

from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.data.window import Window
from geocompose.factory import EncoderDecoderFactory
from geocompose.imagery.samples import Target
from tests.kit.data_modules import geotiff
from tests.kit.data_rasters import BANDS, arguments, image, label, write
from tests.kit.places import CONF

NAN = float("nan")


TINY = {"backbone_embed_dim": 48, "backbone_depth": 2, "backbone_num_heads": 4, "backbone_img_size": 32}


def scenes(root, *names, **profile):
    """Write an image and a label of 40 x 60 pixels for each name."""
    for seed, name in enumerate(names):
        write(root / f"{name}_img.tif", image(seed), BANDS, **profile)
        write(root / f"{name}_lab.tif", label(seed))
    return root


def table(path, *rows):
    path.write_text("\n".join(rows) + "\n")
    return path


def coordinates(root, **changes):
    data = geotiff(**arguments(root, **changes))
    return {scene.name: data._collection.coordinates.of(i, Window(0, 0, 40, 60)) for i, scene in enumerate(data.scenes)}


def tiny(coordinates=None, **changes):
    torch.manual_seed(0)
    factory = EncoderDecoderFactory((32, 32), coordinates=coordinates)
    return factory.build_model(
        "segmentation", "prithvi_eo_v2_tiny_tl", "FCNDecoder", num_classes=2, necks="auto", decoder_channels=8, **TINY,
            **changes
    ).eval()  # fmt: skip


def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", overrides=list(overrides)), groups(CONF))


LAND = Target("segmentation", ("land", "water"))
