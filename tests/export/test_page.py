"""The commands and the Python of docs/bundles.md, run in order on a small model."""

import re
import shlex
from pathlib import Path

import pytest
import timm
import torch

from geocompose.inference.trained import load_trained
from tests.actions.test_predict import write_scene
from tests.kit.bundles import opened
from tests.kit.command import SMALL, only_run, run
from tests.kit.places import ROOT

PAGE = ROOT / "docs" / "bundles.md"
TINY = (*SMALL, "backbone.name=test_vit", "data.tile_px=64", "data.baselines=[]", "trainer.max_epochs=1", "logger=csv")
OF_THE_PAGE = {"vit_small_patch16_224": "test_vit"}


def small(text):
    """Return a text of the page about a model of seconds."""
    for name, tiny in OF_THE_PAGE.items():
        text = text.replace(name, tiny)
    return text


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a run of LoRA, named as the page names it, the file that it started from, and a scene."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        torch.manual_seed(0)
        start = timm.create_model("test_vit", features_only=True, in_chans=6, img_size=64)
        torch.save(start.state_dict(), "base.pt")
        run(*TINY, "study=floods", "peft=lora", f"backbone.ckpt_path={folder / 'base.pt'}", "action.scene_scores=false")
        only_run("floods").rename("outputs/floods/NAME")
        write_scene("scene.tif", 70, 50)
        yield folder


def test_the_page_does_what_it_says(workplace, tmp_path, monkeypatch):
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("GEOCOMPOSE_CACHE", str(tmp_path))
    commands = re.findall(r"^    python run\.py (.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) == 5
    for text in commands:
        Path("map.tif").unlink(missing_ok=True)
        Path("map.tif.json").unlink(missing_ok=True)
        small_run = [*TINY[2:], "decoder=fcn"] if "study=next" in text else []
        run(*shlex.split(small(text)), *small_run)
        assert Path("map.tif").exists() is ("action=predict" in text)
    assert only_run("next")
    assert list(Path("flood_model/evaluations").glob("*.json"))
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names = {}
    exec(compile(small(block), str(PAGE), "exec"), names)
    images = torch.randn(2, 6, 64, 64)
    encoder = load_trained(opened(Path("outputs/floods/NAME"))).model.encoder
    with torch.inference_mode():
        torch.testing.assert_close(names["adapted"](images)[-1], encoder(images)[-1], rtol=0, atol=0)
