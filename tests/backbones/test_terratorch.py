"""Backbones of the package terratorch: through a stand-in with its registry, and itself where it is installed."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.backbones.terratorch.builder import build_terratorch
from geocompose.catalog.optional import installed
from geocompose.catalog.terratorch import NAMES
from geocompose.errors import UserError
from geocompose.registry import BACKBONE_REGISTRY
from tests.kit.small import band_names

REGISTRY = """
class Registry(dict):
    def register(self, part):
        self[part.__name__] = part
        return part

class ManySources(Registry):
    def __contains__(self, name):
        return name in TERRATORCH_BACKBONE_REGISTRY or name == "clay_v1_base"
    def build(self, name, **arguments):
        import terratorch
        return terratorch.Tiny(**arguments)

TERRATORCH_BACKBONE_REGISTRY = Registry()
BACKBONE_REGISTRY = ManySources()
"""
PACKAGE = '''
import torch
from torch import nn
from terratorch import registry
from terratorch.registry import TERRATORCH_BACKBONE_REGISTRY

class Tiny(nn.Module):
    def __init__(self, bands=3, pretrained=False, last=True):
        super().__init__()
        self.out_channels = [8, 16]
        self.first, self.second = nn.Conv2d(bands, 8, 4, 4), nn.Conv2d(8, 16, 2, 2)
        self.last = nn.Linear(16, 2)
        if pretrained:
            for parameter in self.parameters():
                nn.init.constant_(parameter, 0.5)
    def forward(self, image):
        if isinstance(image, dict):
            image = torch.cat([image["S2"], image["S1"]], dim=1)
        first = self.first(image)
        return first, self.second(first)

@TERRATORCH_BACKBONE_REGISTRY.register
def satlas_tiny(model_bands, pretrained=False, **kwargs):
    """Loads weights of two bands; the filters of others stay random."""
    model = Tiny(len(model_bands), pretrained, **kwargs)
    for place, band in enumerate(model_bands):
        if pretrained and band not in ("RED", "GREEN"):
            nn.init.normal_(model.first.weight[:, place])
    return model

@TERRATORCH_BACKBONE_REGISTRY.register
def terramind_v1_tiny(**kwargs):
    given = kwargs.pop("bands", {"S2": ["RED", "GREEN"]})
    assert list(given) == kwargs.pop("modalities")
    return Tiny(sum(map(len, given.values())), **kwargs)

@TERRATORCH_BACKBONE_REGISTRY.register
def newer_than_our_table(**kwargs):
    return Tiny(**kwargs)

@TERRATORCH_BACKBONE_REGISTRY.register
def prithvi_eo_tiny(**kwargs):
    raise AssertionError("ours comes first")

@TERRATORCH_BACKBONE_REGISTRY.register
def returns_a_mapping(**kwargs):
    class Mapping(Tiny):
        def forward(self, image):
            return {"S2": image}
    return Mapping()
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a stand-in for the package, with the same registry."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "terratorch"]:
        monkeypatch.delitem(sys.modules, name)
    folder = tmp_path / "terratorch"
    folder.mkdir()
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "registry.py").write_text(REGISTRY)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "terratorch"]:
        del sys.modules[name]


@pytest.mark.usefixtures("package")
def test_its_backbones_are_found_by_their_prefix_and_ours_first():
    backbone = BACKBONE_REGISTRY.build(
        "terratorch_terramind_v1_tiny", bands=["RED", "GREEN"], kwargs={"modalities": ["S2"]}
    )
    assert [(spec.channels, spec.stride) for spec in backbone.feature_specs] == [(8, 4), (16, 8)]
    assert [tuple(feature.shape) for feature in backbone(torch.rand(2, 2, 32, 48))] == [(2, 8, 8, 12), (2, 16, 4, 6)]
    assert not backbone.model.last.weight.requires_grad
    assert backbone.weights is None
    assert BACKBONE_REGISTRY.find("terratorch_prithvi_eo_tiny").func is build_prithvi


@pytest.mark.usefixtures("package")
def test_a_name_that_our_table_lacks_is_looked_up_in_the_package_when_its_prefix_asks_for_it():
    assert BACKBONE_REGISTRY.build("terratorch_newer_than_our_table").out_channels == [8, 16]
    assert "newer_than_our_table" not in BACKBONE_REGISTRY
    with pytest.raises(
        UserError,
        match=r"There is no backbone 'terratorch_terramind_v1_tny'. Did you mean 'terratorch_terramind_v1_tiny'",
    ):
        BACKBONE_REGISTRY.find("terratorch_terramind_v1_tny")
    with pytest.raises(
        UserError, match=r"backbone.name=satlas_tny: terratorch .* has no such backbone. Did you mean 'satlas_tiny'"
    ):
        build_terratorch("satlas_tny")


@pytest.mark.usefixtures("package")
def test_what_it_registers_with_timm_is_found_too():
    assert build_terratorch("clay_v1_base").out_channels == [8, 16]


@pytest.mark.usefixtures("package")
def test_the_bands_of_several_modalities_are_told_apart_by_name():
    bands = {"S2": ["RED", "GREEN"], "S1": ["VV"]}
    arguments = {"modalities": ["S2", "S1"], "bands": bands}
    backbone = build_terratorch("terramind_v1_tiny", bands=["VV", "GREEN", "RED"], kwargs=arguments)
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(backbone(image)[0], backbone.model(image[:, [2, 1, 0]])[0])
    with pytest.raises(UserError, match=r"backbone.bands has no band 'VV'"):
        build_terratorch("terramind_v1_tiny", bands=["GREEN", "RED"], kwargs=arguments)
    with pytest.raises(UserError, match=r"name the image.s as backbone.bands"):
        build_terratorch("terramind_v1_tiny", kwargs=arguments)
    with pytest.raises(UserError, match=r"merge_method=dict gives features by modality.*concat, mean or max"):
        build_terratorch("terramind_v1_tiny", kwargs={**arguments, "merge_method": "dict"})


@pytest.mark.usefixtures("package")
def test_weights_that_stay_partly_random_are_refused_unless_that_is_allowed(caplog):
    loaded = build_terratorch("satlas_tiny", pretrained=True, bands=["RED", "GREEN"])
    assert (loaded.model.first.weight == 0.5).all()
    assert loaded.weights["source"].endswith("satlas_tiny")
    with pytest.raises(UserError, match=r"leave model.first.weight random, wholly or in part.*allow_random_bands=true"):
        build_terratorch("satlas_tiny", pretrained=True, bands=["RED", "NIR_NARROW"])
    partly = build_terratorch("satlas_tiny", pretrained=True, bands=["RED", "NIR_NARROW"], allow_random_bands=True)
    assert (loaded.random_inputs, partly.random_inputs) == ([], ["model.first.weight"])
    assert "model.first.weight start randomly, as allowed" in caplog.text
    with torch.device("meta"):
        assert build_terratorch("satlas_tiny", pretrained=True, bands=["RED", "NIR_NARROW"]).weights is None


@pytest.mark.usefixtures("package")
def test_a_weight_file_is_loaded(tmp_path):
    first = build_terratorch("satlas_tiny", bands=["RED"])
    torch.save(first.model.state_dict(), tmp_path / "w.pt")
    second = build_terratorch("satlas_tiny", bands=["RED"], ckpt_path=str(tmp_path / "w.pt"))
    assert torch.equal(first.model.first.weight, second.model.first.weight)


@pytest.mark.usefixtures("package")
def test_the_checkpoint_of_a_run_of_its_own_is_loaded(tmp_path, caplog):
    caplog.set_level("INFO")
    first = build_terratorch("satlas_tiny", bands=["RED"])
    whole = {f"model.encoder.{key}": value for key, value in first.state_dict().items()}
    torch.save({"state_dict": whole | {"model.head.weight": torch.zeros(1)}}, tmp_path / "best.ckpt")
    second = build_terratorch("satlas_tiny", bands=["RED"], ckpt_path=str(tmp_path / "best.ckpt"))
    assert torch.equal(first.model.first.weight, second.model.first.weight)
    assert "the prefix model.encoder.model. is stripped" in caplog.text


@pytest.mark.usefixtures("package")
def test_what_does_not_fit_is_refused_in_our_words():
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"pretrained": True, "ckpt_path": "x"}, "two sources of weights"),
        ({"kwargs": {"pretrained": True}}, r"kwargs.pretrained has its own key: write backbone.pretrained"),
        (
            {"kwargs": {"lst": 1}},
            r"TerraTorch's satlas_tiny refuses its arguments: .*'lst'.*Give what it needs as backbone.kwargs",
        ),
        ({"bands": None}, r"refuses its arguments: .*model_bands"),
        ({"img_size": 3}, r"can't take images of 3x3 pixels with 1 channels: .*another backbone.img_size"),
        ({"name": "returns_a_mapping", "in_chans": 3, "bands": None}, r"returns dict, not a list of features"),
    ]
    for arguments, words in refusals:
        with pytest.raises(UserError, match=words):
            build_terratorch(**{"name": "satlas_tiny", "bands": ["RED"], **arguments})


@pytest.mark.usefixtures("package")
def test_a_package_that_cannot_be_imported_is_told(package):
    (package / "__init__.py").write_text("import mmcv._ext")
    with pytest.raises(
        UserError, match=r"The package terratorch is installed, but can't be imported: No module named .*without mmcv"
    ):
        build_terratorch("satlas_tiny")


@pytest.mark.skipif(installed("terratorch"), reason="of an environment without terratorch")
def test_without_the_package_its_name_says_how_to_install_it():
    for ask in (BACKBONE_REGISTRY.find, BACKBONE_REGISTRY.build):
        with pytest.raises(
            UserError, match=r"Parts of terratorch need .* not installed: pip install -r requirements-terratorch.txt"
        ):
            ask("terratorch_terramind_v1_base")
    with pytest.raises(
        UserError, match=r"Did you mean 'terratorch_terramind_v1_base'.*pip install -r requirements-terratorch.txt"
    ):
        BACKBONE_REGISTRY.find("terratorch_terramind_v1_bse")
    with pytest.raises(UserError, match=r"requirements-terratorch.txt"):
        build_terratorch("terramind_v1_base")


@pytest.mark.optional
@pytest.mark.skipif(not installed("terratorch"), reason="pip install -r requirements-terratorch.txt")
@pytest.mark.parametrize(
    ("name", "arguments", "width", "stride"),
    [
        ("terramind_v1_tiny", {"bands": band_names(12)[:10], "kwargs": {"modalities": ["S2L2A"]}}, 192, 16),
        (
            "terramind_v1_tiny",
            {
                "bands": ["VV", "RED", "VH"],
                "kwargs": {"modalities": ["S2L2A", "S1GRD"], "bands": {"S2L2A": ["RED"], "S1GRD": ["VV", "VH"]}},
            },
            192,
            16,
        ),
        ("clay_v1_base", {"in_chans": 6, "img_size": 256}, 768, 8),
        ("satlas_swin_t_sentinel2_si_rgb", {"bands": ["RED", "GREEN", "BLUE"]}, 768, 32),
        ("ssl4eos12_resnet18_sentinel2_rgb_moco", {"bands": ["RED", "GREEN", "BLUE"]}, 512, 32),
        ("dofa_small_patch16_224", {"bands": ["RED", "GREEN", "BLUE"]}, 384, 16),
    ],
)
def test_terratorchs_own_backbones_return_what_is_declared(name, arguments, width, stride):
    backbone: nn.Module = BACKBONE_REGISTRY.build(f"terratorch_{name}", **arguments).eval()
    spec = backbone.feature_specs[-1]
    assert (spec.channels, spec.stride) == (width, stride)
    with torch.no_grad():
        features = backbone(torch.rand(1, backbone.in_chans, *backbone.img_size))
    assert len(features) == len(backbone.out_channels)
    assert all(feature.isfinite().all() for feature in features)


@pytest.mark.optional
@pytest.mark.skipif(not installed("terratorch"), reason="pip install -r requirements-terratorch.txt")
def test_the_table_holds_terratorchs_names():
    registry = pytest.importorskip("terratorch.registry")
    pytest.importorskip("terratorch")
    ours = ("prithvi", "IdentityBackbone", "UNet")
    theirs = {
        name for name in registry.TERRATORCH_BACKBONE_REGISTRY if not name.startswith(ours) and "tokenizer" not in name
    }
    assert set(NAMES) == theirs | {"clay_v1_base"}
