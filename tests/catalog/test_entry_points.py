"""Parts of other packages (entry points), classes of a user's own, and names that no source has."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from geocompose.configuration.checking import check, check_node
from geocompose.configuration.diagnosis import groups
from geocompose.configuration.own_parts import open_own_parts
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.registry import BACKBONE_REGISTRY, DECODER_REGISTRY, FULL_MODEL_REGISTRY, NECK_REGISTRY
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.places import CONF

PARTS = """
from torch import nn
from geocompose.necks import Neck

class Net(nn.Module):
    def __init__(self, in_chans: int = 3, width: int = 8):
        super().__init__()
        self.out_channels = [width, 2 * width]
        self.first, self.second = nn.Conv2d(in_chans, width, 4, 4), nn.Conv2d(width, 2 * width, 2, 2)

    def forward(self, image):
        first = self.first(image)
        return [first, self.second(first)]

class OfThree(Net):
    def __init__(self):
        super().__init__(3)

class Last(nn.Module):
    def __init__(self, channel_list: list[int], width: int = 16):
        super().__init__()
        self.out_channels = width
        self.convolution = nn.Conv2d(channel_list[-1], width, 1)

    def forward(self, features):
        return self.convolution(features[-1])

class WithHead(nn.Module):
    includes_head = True

    def __init__(self, channel_list: list[int], num_classes: int):
        super().__init__()
        self.convolution = nn.Conv2d(channel_list[-1], num_classes, 1)

    def forward(self, features):
        return self.convolution(features[-1])

class Twice(Neck):
    def __init__(self, channel_list: list[int], times: float = 2.0):
        super().__init__(channel_list)
        self.times = times

    def forward(self, features, image_size=None):
        return [feature * self.times for feature in features]

    def process_channel_list(self, channel_list):
        return list(channel_list)

UNet = Net
number = 3
"""
POINTS = """[geocompose.backbones]
Net = tiny_parts:Net
UNet = tiny_parts:UNet
Broken = tiny_parts.missing:Net
Number = tiny_parts:number

[geocompose.necks]
Twice = tiny_parts:Twice

[geocompose.decoders]
Last = tiny_parts:Last
WithHead = tiny_parts:WithHead
"""


@pytest.fixture
def tiny_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package of parts: its module, and what pip writes of it."""
    (tmp_path / "tiny_parts.py").write_text(PARTS)
    metadata = tmp_path / "tiny_parts-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: Tiny-Parts\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("tiny_parts", None)


@pytest.mark.usefixtures("tiny_parts")
def test_another_packages_parts_compose_by_their_bare_names_and_by_their_packages_prefix():
    for prefix in ("", "tiny_parts_"):
        model = EncoderDecoderFactory((64, 64)).build_model(
            "segmentation",
            backbone=f"{prefix}Net",
            backbone_width=4,
            decoder=f"{prefix}Last",
            necks=[{"name": f"{prefix}Twice", "times": 3.0}],
            num_classes=2,
        )
        assert tuple(model(torch.rand(1, 3, 64, 64)).output.shape) == (1, 2, 64, 64)
    assert {"tiny_parts_Net", "tiny_parts_UNet"} <= set(BACKBONE_REGISTRY)
    assert "tiny_parts_Twice" in set(NECK_REGISTRY)
    assert len(NECK_REGISTRY) == len(set(NECK_REGISTRY))
    assert "tiny_parts_Net" not in set(DECODER_REGISTRY)
    assert not any(name.startswith("tiny_parts") for name in FULL_MODEL_REGISTRY)


@pytest.mark.usefixtures("tiny_parts")
def test_a_decoder_of_another_package_says_itself_whether_it_brings_its_head():
    assert DECODER_REGISTRY.includes_head("tiny_parts_WithHead")
    assert not DECODER_REGISTRY.includes_head("Last")


@pytest.mark.usefixtures("tiny_parts")
def test_a_name_that_is_ours_too_is_ours_and_theirs_by_its_prefix():
    assert BACKBONE_REGISTRY.find("UNet").__module__ == "geocompose.backbones.unet"
    assert BACKBONE_REGISTRY.find("tiny_parts_UNet").__module__ == "tiny_parts"


@pytest.mark.usefixtures("tiny_parts")
def test_another_packages_part_is_imported_only_when_it_is_asked_for():
    assert "Broken" in BACKBONE_REGISTRY
    assert "tiny_parts_Broken" in set(BACKBONE_REGISTRY)
    assert "tiny_parts" not in sys.modules
    BACKBONE_REGISTRY.find("Net")
    assert "tiny_parts" in sys.modules


@pytest.mark.usefixtures("tiny_parts")
def test_an_entry_point_that_fails_names_its_package():
    words = (
        r"The backbone 'Broken' of the package Tiny-Parts \(entry point tiny_parts.missing:Net\) can't be imported: "
        r"ModuleNotFoundError: .* Install or update that package"
    )
    with pytest.raises(UserError, match=words):
        BACKBONE_REGISTRY.find("tiny_parts_Broken")
    with pytest.raises(
        UserError,
        match=r"'Number' of the package Tiny-Parts .* is not a class or function that makes a backbone, but int",
    ):
        BACKBONE_REGISTRY.find("Number")


@pytest.mark.usefixtures("tiny_parts")
def test_a_misspelt_name_of_another_package_is_told_with_its_own_names():
    with pytest.raises(
        UserError, match=r"'tiny_parts_Nett'. Did you mean 'tiny_parts_Net'.*tiny_parts has 4: tiny_parts_Net, "
    ):
        BACKBONE_REGISTRY.find("tiny_parts_Nett")
    with pytest.raises(UserError, match=r"There is no neck 'Twicee'. Did you mean 'tiny_parts_Twice'"):
        NECK_REGISTRY["Twicee"]


# Names that no source has


MISSES = {
    "timm_resnet51": r"Did you mean 'timm_resnet5\S+' or .*\? timm has \d+: timm_\w+, .*, \.\.\.\.$",
    "smp_mit_b9": r"Did you mean 'smp_mit_b5' or .* smp has 76: ",
    "transformers_dinov5": r"Did you mean 'transformers_dinov2'\?",
    "geocompose_prithvi_eo_v2_30": r"Did you mean 'geocompose_prithvi_eo_v2_300'",
    "terratorch_prithvi_eo_v2_30": r"Did you mean 'terratorch_prithvi_eo_v2_300'",
    "resnet5O": r"Did you mean 'timm_resnet50'",
    "tim_resnet50": r"Did you mean 'timm_resnet50'",
    "mmseg_UPerHead": r"mmseg is not a source of backbones here. Allowed: .*; \d+ as timm_NAME",
    "something_else_entirely": r"^There is no backbone 'something_else_entirely'. Allowed: ",
    "timm_something_else_entirely": r"^There is no backbone 'timm_something_else_entirely'. timm has",
    "": r"There is no backbone ''. Allowed",
}  # fmt: skip


@pytest.mark.parametrize("name", MISSES)
def test_a_name_that_nobody_has_is_told_with_likely_names_of_the_source_that_is_meant(name):
    with pytest.raises(UserError, match=MISSES[name]) as told:
        BACKBONE_REGISTRY.find(name)
    prefix = name.partition("_")[0]
    if prefix in ("timm", "smp", "transformers"):
        assert all(word.startswith(f"'{prefix}_") for word in str(told.value).split() if word.startswith("'"))


def test_a_decoders_wrong_name_is_told_likewise():
    with pytest.raises(UserError, match=r"'mmseg_UPerHed'. Did you mean 'mmseg_UPerHead'"):
        DECODER_REGISTRY.find("mmseg_UPerHed")
    with pytest.raises(UserError, match=r"'terratorch_UNetDecodr'. Did you mean 'terratorch_UNetDecoder'"):
        DECODER_REGISTRY.find("terratorch_UNetDecodr")


def test_bare_names_are_searched_in_the_documented_order():
    order = list(BACKBONE_REGISTRY.sources)
    assert order[:3] == ["geocompose", "timm", "smp"]
    assert order.index("torchgeo") < order.index("transformers") < order.index("terratorch")


# Classes of a user's own


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a user's module where it can be imported, as the command line does with the working directory."""
    (tmp_path / "my_parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_parts", None)


OWN = [text for text in SMALL if text.startswith(("data.", "trainer."))]


def command(*typed: str) -> None:
    run(*open_own_parts([*typed, *OWN, "trainer.max_epochs=1"]))


@pytest.mark.usefixtures("module")
def test_a_users_own_classes_are_trained_and_told_the_datas_bands():
    command("backbone._target_=my_parts.Net", "backbone.width=6", "decoder._target_=my_parts.Last", "decoder.width=8")
    assert record_of(only_run("default"))["status"] == "completed"
    config = yaml.safe_load((only_run("default") / "config.yaml").read_text())
    assert config["backbone"] == {"_target_": "my_parts.Net", "_partial_": True, "width": 6}
    assert only_run("default").name.startswith("own-own-")


REEXPORTED = {
    "relative": "from .net import Net",
    "renamed": "from .inner import net as layers\nNet = layers.Net",
    "star": "from .inner import *",
    "child": "from my_parts import Net as Base\nclass Net(Base): ...",
}


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize("case", REEXPORTED)
def test_a_users_own_backbone_that_a_package_re_exports_is_told_the_datas_bands(case, tmp_path):
    package = tmp_path / f"my_package_{case}"
    for folder in (package, package / "inner"):
        folder.mkdir()
        (folder / "net.py").write_text(PARTS)
    (package / "__init__.py").write_text(REEXPORTED[case])
    (package / "inner" / "__init__.py").write_text("from .net import Net")
    command(f"backbone._target_={package.name}.Net", "backbone.width=6", "decoder=fcn", "decoder.channels=16")
    assert record_of(only_run("default"))["status"] == "completed"
    with pytest.raises(UserError, match=r"backbone has no key 'widht'. Did you mean 'width'"):
        command(f"backbone._target_={package.name}.Net", "backbone.widht=6", "decoder=fcn")


@pytest.mark.usefixtures("module")
def test_a_users_own_neck_is_an_item_of_the_list():
    neck = "neck.necks=[{_target_: my_parts.Twice, _partial_: true, times: 3.0}]"
    command("backbone._target_=my_parts.Net", "decoder=fcn", "decoder.channels=16", "neck=list", neck)
    assert record_of(only_run("default"))["status"] == "completed"


@pytest.mark.usefixtures("module")
def test_a_class_under_another_name_or_of_a_star_import_is_taken(tmp_path):
    (tmp_path / "my_stars.py").write_text("from my_parts import *")
    for target in ("my_parts.UNet", "my_stars.Net"):
        assert check_node("backbone", {"_target_": target, "_partial_": True})["_target_"] == target


@pytest.mark.usefixtures("module")
def test_an_option_of_a_users_own_needs_a_yaml_alone(tmp_path):
    node = {"_target_": "my_parts.Last", "_partial_": True, "width": 12}
    assert check_node("decoder", node) == node
    constructor: Callable[..., torch.nn.Module]
    from geocompose.configuration.instantiation import instantiate

    constructor = instantiate(node)
    assert constructor([4, 8]).out_channels == 12


@pytest.mark.usefixtures("module")
def test_a_class_without_partial_that_needs_its_neighbours_widths_is_told_to_be_partial():
    with pytest.raises(
        UserError,
        match=r"decoder._target_=my_parts.Last needs channel_list, .* \(decoder._partial_=true\): the factory",
    ):
        check_node("decoder", {"_target_": "my_parts.Last"})
    with pytest.raises(UserError, match=r"neck.necks\[0\]._target_=my_parts.Twice needs channel_list"):
        check_node("neck", {"_target_": "geocompose.planning.NeckList", "necks": [{"_target_": "my_parts.Twice"}]})
    assert check_node("backbone", {"_target_": "my_parts.Net"}) == {"_target_": "my_parts.Net"}


WRONG_OWN = {
    "argument": (
        ["backbone._target_=my_parts.Net", "backbone.widht=6"],
        r"backbone has no key 'widht'. Did you mean 'width'\? Allowed: in_chans, width",
    ),
    "type": (
        ["backbone._target_=my_parts.Net", "backbone.width=wide"],
        r"backbone.width takes a whole number; got 'wide'",
    ),
    "class": (["backbone._target_=my_parts.Nett"], r"module 'my_parts' has nothing named 'Nett'. Did you mean 'Net'"),
    "module": (
        ["backbone._target_=no_parts.Net"],
        r"backbone._target_=no_parts.Net can't be found: No module named 'no_parts'",
    ),
    "channels": (
        ["backbone._target_=my_parts.OfThree"],
        r"The backbone OfThree takes 3 channels, but the data has 6 bands: BLUE, .*in_chans",
    ),
    "nothing": (["backbone=own"], r"backbone._target_ is required"),
}


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize("case", WRONG_OWN)
def test_a_class_that_does_not_fit_is_told(case):
    typed, words = WRONG_OWN[case]
    with pytest.raises(UserError, match=words):
        command(*typed, "decoder=fcn")


def test_a_target_alone_means_the_option_own_and_its_keys_need_no_plus():
    assert open_own_parts(["backbone._target_=a.B", "backbone.width=3", "seed=1"]) == [
        "backbone._target_=a.B",
        "++backbone.width=3",
        "seed=1",
        "backbone=own",
    ]
    untouched = ["backbone=vit", "backbone.name=x", "decoder=own", "decoder._target_=a.B"]
    assert open_own_parts(untouched) == untouched
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=open_own_parts(["decoder._target_=torch.nn.Identity"]))
    assert OmegaConf.to_container(config.decoder) == {"_target_": "torch.nn.Identity", "_partial_": True}
    assert check(config, groups(CONF))["decoder"]["_partial_"] is True
