"""A composition explained without building it."""

import re

import pytest
import torch

from geocompose.backbones.timm.builder import build_timm
from geocompose.errors import UserError
from tests.kit.command import SMALL, run


def explained(capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    run("action=explain", *overrides)
    return capsys.readouterr().out


def test_a_composition_is_explained_with_shapes_plan_and_cost(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = explained(capsys, "backbone=prithvi", "decoder=upernet", "data.tile_px=64")
    assert "4 of 17x192" in told
    assert "neck=list 'neck.necks=[{name: SelectIndices, indices: [2, 5, 8, 11]}, {name: ReshapeTokensToImage}" in told
    assert "image: 6 bands (BLUE, GREEN, RED, NIR_NARROW, SWIR_1, SWIR_2), 64 x 64 pixels" in told
    assert "padded to multiples of 32 pixels" in told
    assert "features of the backbone: 4 x 192 ch, 1/16, tokens" in told
    assert "features for the decoder: 48 ch, 1/4, NCHW; 96 ch, 1/8, NCHW" in told
    assert re.search(r"training takes about \d+ MB at data.batch_size=8, trainer.precision=32-true \(weights 50,", told)
    assert "1.05 GFLOPs per image (forward pass, 2 per multiply-add)" in told
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_650_million_parameters_is_explained_without_its_memory(capsys):
    told = explained(capsys, "backbone=prithvi_eo_v2_600", "decoder=unet", "data.tile_px=224", "peft=lora")
    assert re.search(r"backbone .* 6\d\d,\d\d\d,\d\d\d ", told)
    assert re.search(r"training takes about \d+,\d{3} MB", told)


def test_what_a_task_freezes_does_not_learn(capsys):
    told = explained(capsys, "backbone=resnet50", "decoder=unet", "task.freeze_backbone=true")
    assert re.search(r"backbone .*\n?.* 0% ", told)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["decoder=fcn", "decoder.num_convs=7"], "512 x 512 pixels, 64 times as many as the image has"),
        (["decoder=upernet"], "16 x 16 pixels, one for 16 of the image's, and is stretched to it"),
        (["decoder=smp_unet"], None),
        (["decoder=mlp", "task=classification", "data.tile_px=64"], None),
    ],
)
def test_how_fine_a_decoder_answers_is_pointed_out(capsys, overrides, told):
    said = explained(capsys, "backbone=prithvi", *overrides)
    assert ("the head answers at " in said) is (told is not None)
    assert told is None or f"the head answers at {told}" in said


def test_a_refused_composition_is_its_refusal(capsys):
    with pytest.raises(UserError, match="UperNetDecoder needs a pyramid"):
        explained(capsys, "backbone=vit", "decoder=upernet", "neck=none")


def test_an_override_that_no_composition_depends_on_is_refused(capsys):
    with pytest.raises(UserError, match=r"scheduler=none would change nothing: no composition depends on it"):
        explained(capsys, "scheduler=none")


def test_a_weight_file_that_is_not_there_is_refused_as_fit_does(tmp_path, capsys):
    for action in ("explain", "fit"):
        with pytest.raises(UserError, match=r"backbone\.ckpt_path=.*tyni\.pt: there is no such file"):
            run(f"action={action}", f"backbone.ckpt_path={tmp_path}/tyni.pt")
    with pytest.raises(UserError, match=r"backbone\.parts\.s2\.ckpt_path=tyni\.pt: there is no such file"):
        explained(capsys, "backbone=fusion", "backbone.parts.s2.ckpt_path=tyni.pt")


def test_an_intended_difference_and_unread_weights_are_told(tmp_path, capsys):
    (tmp_path / "my.pt").touch()
    told = explained(
        capsys,
        f"backbone.ckpt_path={tmp_path}/my.pt",
        "backbone.pretrained_on={level: TOA}",
        "data.allow_mismatch=[level]",
    )
    assert "have seen, as data.allow_mismatch allows: level: they saw TOA" in " ".join(told.split())
    assert "weights are not read here" in told
    assert "weights are not" not in explained(capsys, "backbone=prithvi")


def test_fit_says_where_weights_came_from_and_how_values_are_converted(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    torch.save(build_timm("test_resnet", in_chans=6).state_dict(), "my.pt")
    caplog.set_level("INFO", logger="geocompose")
    own = ["backbone.ckpt_path=my.pt", "data.bands=[BLUE,GREEN,RED,NIR_NARROW,SWIR_1,SWIR_2]", "trainer.max_epochs=1"]
    run(*SMALL, *own, "backbone.pretrained_on={unit: reflectance}")
    assert "The backbone's weights were loaded from my.pt." in caplog.text
    assert (
        "Values are converted as they are read: reflectance_1e4, BOA becomes reflectance (BLUE, GREEN," in caplog.text
    )
    assert "is not known, so that nothing is asked" not in caplog.text
    caplog.clear()
    run(*SMALL, *own, "study=unstated")
    assert "What the weights of backbone.ckpt_path=my.pt have seen is not known" in caplog.text
    assert "Values are converted" not in caplog.text
