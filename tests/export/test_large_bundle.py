"""A bundle of a 300-million-parameter backbone: megabytes, from which the same map and the same features come."""

import shutil

import numpy as np
import peft
import pytest
import rasterio
import torch

from geocompose.from_config import seed_weights
from geocompose.models.seeding import PartSeeds
from geocompose.peft.qkv import split_qkv
from geocompose.registry import BACKBONE_REGISTRY
from tests.actions.test_predict import write_scene
from tests.kit.bundles import bundle_of, learned_run
from tests.kit.command import run
from tests.kit.made_runs import trained

COMPOSITION = ("backbone=prithvi_eo_v2_300", "decoder=fcn", "decoder.channels=64", "decoder.num_convs=1")


@pytest.mark.slow
def test_a_bundle_of_prithvi_300_is_megabytes_and_predicts_the_same_raster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    learned_run(tmp_path / "run", "peft=lora", composition=COMPOSITION)
    bundle_of(tmp_path / "run", tmp_path / "sent")
    size = sum(path.stat().st_size for path in (tmp_path / "sent").rglob("*") if path.is_file())
    assert 1e6 < size < 40e6
    write_scene("scene.tif", 40, 50)
    for name in ("run", "sent"):
        run("action=predict", f"action.run={name}", "action.input=scene.tif", f"action.output={name}.tif")
        if name == "run":
            shutil.rmtree(tmp_path / "run")
    with rasterio.open("run.tif") as first, rasterio.open("sent.tif") as second:
        assert np.array_equal(first.read(), second.read())
    seed_weights(0)
    with PartSeeds.drawn().of("backbone"):
        backbone = BACKBONE_REGISTRY.build("prithvi_eo_v2_300", img_size=224).eval()
    split_qkv(backbone, "qkv")
    adapted = peft.PeftModel.from_pretrained(backbone, tmp_path / "sent" / "adapter").eval()
    images = torch.randn(1, 6, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(
            adapted(images)[-1], trained(tmp_path / "sent").model.encoder(images)[-1], rtol=0, atol=0
        )
