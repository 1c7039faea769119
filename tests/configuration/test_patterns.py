"""Patterns of options are one language for sweeps, the doctor and single runs."""

import pytest

from geocompose.configuration.patterns import as_doctor_is_asked, as_doctor_takes_it, expanded
from geocompose.errors import UserError
from tests.kit.places import CONF


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("backbone=resnet*", "backbone=resnet18,resnet50"),
        ("backbone=prithvi,resnet*,resnet18", "backbone=prithvi,resnet18,resnet50"),
        ("decoder=unet", "decoder=unet"),
        ("decoder=fcn*", "decoder=fcn"),
        ("data.images=*.tif", "data.images=*.tif"),
        ("data.images=backbone/*.tif", "data.images=backbone/*.tif"),
        ("decoder=glob(u*)", "decoder=glob(u*)"),
        ("seed=0,1", "seed=0,1"),
        ("-m", "-m"),
    ],
)
def test_a_pattern_stands_for_the_options_that_it_fits(typed, taken):
    assert expanded([typed], [CONF]) == [taken]


def test_options_of_a_typed_folder_count(tmp_path):
    (tmp_path / "decoder").mkdir()
    (tmp_path / "decoder" / "fcn_mine.yaml").write_text("_target_: my_lab.Fcn\n")
    assert expanded(["decoder=fcn*"], [CONF, tmp_path]) == ["decoder=fcn,fcn_mine"]


def test_a_pattern_that_fits_nothing_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match=r"backbone=prithfi\* matches no option. Did you mean 'prithvi'\?"):
        expanded(["backbone=resnet18,prithfi*"], [CONF])


def test_the_doctor_is_asked_as_a_sweep_is():
    asked = ["action=doctor", "backbone=resnet18,prithvi", "task=segmentation", "peft=lora"]
    taken = as_doctor_takes_it(asked)
    assert taken == ["action=doctor", "action.backbones=[resnet18,prithvi]", "action.tasks=[segmentation]", "peft=lora"]
    assert as_doctor_is_asked(taken) == asked


def test_a_typed_doctor_and_a_typed_sweep_take_the_same_pattern(tmp_path, monkeypatch, capfd):
    from tests.kit.command import typed

    monkeypatch.chdir(tmp_path)
    call = typed(CONF, monkeypatch, capfd)
    asked = ("backbone=resnet1*", "decoder=fcn,unet", "task=segmentation")
    code, _, errors = call("action=doctor", *asked, "action.workers=1")
    assert code == 0, errors
    table = (tmp_path / "outputs" / "doctor.md").read_text()
    assert f"python run.py action=doctor {' '.join(asked).replace('1*', '18')}" in table
    assert "1 backbone x 2 decoders x 1 task: 2 of 2 cells are ok" in table
    code, _, errors = call("backbone=resnet*", "decoder=fcn")
    assert code == 1
    assert "backbone=resnet18,resnet50 has several values. To run one after another, add -m." in errors
