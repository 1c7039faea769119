"""Backbones of transformers: every type, places of features, pretrained weights by bands, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.backbones.transformers.builder import build_transformers
from geocompose.catalog.transformers import REFUSED, TYPES
from geocompose.contracts.features import common_multiple
from geocompose.errors import UserError
from geocompose.imagery.pretraining import Pretraining

FEW = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
NEEDS_MORE = {"dinat"}  # the package natten
OWN_CHANNELS_ONLY = {"pp_lcnet", "pp_lcnet_v3", "uvdoc_backbone"}


def on_meta(name: str, **arguments: Any) -> nn.Module:
    with torch.device("meta"):
        return build_transformers(name, **arguments)


def test_the_table_holds_every_backbone_of_transformers():
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES as THEIRS

    assert set(TYPES) | set(REFUSED) == set(THEIRS)
    for name, (config, backbone) in TYPES.items():
        assert CONFIG_MAPPING_NAMES[name] == config
        assert backbone in ([THEIRS[name]] if isinstance(THEIRS[name], str) else THEIRS[name])


@pytest.mark.parametrize("name", [name for name in TYPES if name not in NEEDS_MORE])
def test_every_type_declares_features_for_a_number_of_bands_that_it_takes(name):
    backbone = on_meta(name, in_chans=3 if name in OWN_CHANNELS_ONLY else 5, img_size=64)
    specs = backbone.feature_specs
    assert backbone.out_channels == [spec.channels for spec in specs]
    assert 2 <= len(specs) <= 6
    rows, columns = (
        backbone.img_size if backbone.fixed_size else (6 * common_multiple(specs), 9 * common_multiple(specs))
    )
    with torch.device("meta"):
        features = backbone(torch.empty(2, backbone.in_chans, rows, columns))
    for spec, feature in zip(specs, features, strict=True):
        cells = (rows // spec.stride, columns // spec.stride)
        assert tuple(feature.shape) in ((2, spec.channels, *cells), (2, cells[0] * cells[1], spec.channels))


ONE = {"depths": [1, 1, 1, 1]}
PLACED = {
    "dinov2": (FEW, 14),
    "dinov3_vit": ({**FEW, "intermediate_size": 64}, 16),
    "beit": ({**FEW, "intermediate_size": 64}, 16),
    "vitdet": (FEW, 16),
    "swinv2": ({**ONE, "embed_dim": 16, "num_heads": [1, 2, 2, 4]}, 32),
    "convnextv2": ({**ONE, "hidden_sizes": [8, 16, 16, 32]}, 32),
    "focalnet": ({**ONE, "embed_dim": 8, "hidden_sizes": [16, 32, 64, 64]}, 32),
    "hiera": ({**ONE, "embed_dim": 16, "num_heads": [1, 2, 4, 8]}, 32),
}


@pytest.mark.parametrize("name", PLACED)
def test_a_feature_is_where_the_image_has_it_for_a_wide_image(name):
    kwargs, cell = PLACED[name]
    torch.manual_seed(0)
    size = [3 * cell, 5 * cell]
    backbone = build_transformers(name, in_chans=3, img_size=size, kwargs=kwargs).eval()
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        before = backbone(image)
        for row, column in ((0, 4), (2, 1), (1, 2)):
            changed = image.clone()
            changed[:, :, row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] += 5 * torch.randn(
                1, 3, cell, cell
            )
            for one, other in zip(before, backbone(changed), strict=True):
                change = nn.functional.adaptive_avg_pool2d((one - other).abs().sum(dim=1), (3, 5))[0]
                assert divmod(int(change.argmax()), 5) == (row, column)


def test_hieras_maps_are_those_of_its_whole_model_and_not_scrambled():
    from transformers import HieraModel

    torch.manual_seed(0)
    kwargs = {**ONE, "embed_dim": 16, "num_heads": [1, 2, 4, 8]}
    backbone = build_transformers("hiera", in_chans=3, img_size=[64, 96], kwargs=kwargs).eval()
    whole = HieraModel(backbone.model.config).eval()
    assert whole.load_state_dict(backbone.model.state_dict(), strict=False).missing_keys == [
        "pooler.layernorm.weight",
        "pooler.layernorm.bias",
    ]
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        states = whole(image, output_hidden_states=True).reshaped_hidden_states[1:]
        for stage, feature, state in zip(backbone.model.out_features, backbone(image), states, strict=True):
            expected = backbone.model.hidden_states_norms[stage](state).permute(0, 3, 1, 2)
            torch.testing.assert_close(feature, expected)


def test_a_model_of_one_size_refuses_the_same_size_lying_on_its_side():
    kwargs = {**ONE, "embed_dim": 16, "num_heads": [1, 2, 4, 8]}
    backbone = build_transformers("hiera", in_chans=3, img_size=[64, 96], kwargs=kwargs)
    with pytest.raises(
        UserError, match=r"takes images of \(64, 96\) pixels only \(backbone.img_size\); got \(96, 64\)"
    ):
        backbone(torch.randn(1, 3, 96, 64))


def save(folder: Path, channels: int = 3, **more: object) -> Any:
    """Write a tiny DINOv2, as who trained one would, and return it."""
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(1)
    model = Dinov2Model(Dinov2Config(image_size=70, num_channels=channels, **FEW)).eval()
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(more))
    return model


def last(model: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        return model(image)[-1]


def test_a_folder_is_loaded_and_its_filters_go_to_the_bands_by_name(tmp_path):
    model = save(tmp_path, image_mean=[0.4, 0.5, 0.6], image_std=[0.1, 0.2, 0.4])
    backbone = build_transformers(str(tmp_path), pretrained=True, bands=["B2", "GREEN", "B04"]).eval()
    image = torch.rand(1, 3, 70, 98)
    with torch.no_grad():
        tokens = model(image.flip(1)).last_hidden_state[:, 1:]
    torch.testing.assert_close(last(backbone, image), tokens.transpose(1, 2).unflatten(2, (5, 7)), atol=1e-5, rtol=1e-4)
    assert backbone.pretraining == Pretraining(
        ("RED", "GREEN", "BLUE"), "uint8", None, (102.0, 127.5, 153.0), (25.5, 51.0, 102.0)
    )
    assert backbone.weights["source"] == str(tmp_path)
    assert len(backbone.weights["sha256"]) == 64
    assert str(next(backbone.parameters()).dtype) == "torch.float32"


def test_bands_that_the_weights_lack_are_refused_or_start_randomly_as_allowed(tmp_path, caplog):
    save(tmp_path)
    bands = ["RED", "NIR_NARROW"]
    with pytest.raises(
        UserError, match=r"have no band NIR_NARROW; they have RED, GREEN, BLUE.*allow_random_bands=true"
    ):
        build_transformers(str(tmp_path), pretrained=True, bands=bands)
    with pytest.raises(
        UserError, match=r"backbone.in_chans=5, but the weights .* have RED, GREEN, BLUE: give the names"
    ):
        build_transformers(str(tmp_path), pretrained=True, in_chans=5)
    with pytest.raises(UserError, match=r"pretrained_bands names 2 bands, but the weights .* have 3 input channels"):
        build_transformers(str(tmp_path), pretrained=True, bands=bands, pretrained_bands=["VV", "VH"])
    backbone = build_transformers(str(tmp_path), pretrained=True, bands=bands, allow_random_bands=True)
    assert backbone.in_chans == 2
    assert "No pretrained weights for NIR_NARROW" in caplog.text


def test_weights_of_other_bands_than_colours_are_matched_by_the_names_that_are_given(tmp_path):
    model = save(tmp_path, channels=2)
    with pytest.raises(UserError, match="have 2 input channels, of which nothing says which bands they are"):
        build_transformers(str(tmp_path), pretrained=True, bands=["VH"])
    backbone = build_transformers(str(tmp_path), pretrained=True, bands=["VH"], pretrained_bands=["VV", "VH"])
    own, theirs = (
        each.state_dict()["embeddings.patch_embeddings.projection.weight"] for each in (backbone.model, model)
    )
    assert torch.equal(own[:, 0], theirs[:, 1])
    assert backbone.pretraining == Pretraining(("VV", "VH"))


def test_weights_of_a_classifier_make_a_backbone_whose_missing_norms_start_alike(tmp_path):
    from transformers import HieraConfig, HieraForImageClassification

    config = HieraConfig(image_size=[64, 64], embed_dim=16, num_heads=[1, 2, 4, 8], **ONE)
    HieraForImageClassification(config).save_pretrained(tmp_path)
    assert build_transformers(str(tmp_path), pretrained=True, img_size=64).fixed_size
    with pytest.raises(
        UserError, match=r"of another shape than the model: embeddings.position_embeddings .* other than 64x64"
    ):
        build_transformers(str(tmp_path), pretrained=True, img_size=96)


def test_weights_that_do_not_cover_the_model_are_refused(tmp_path):
    save(tmp_path)
    with pytest.raises(
        UserError, match=r"of another shape than the model: .* Leave out what changes it: backbone.kwargs"
    ):
        build_transformers(str(tmp_path), pretrained=True, kwargs={"hidden_size": 64})
    with pytest.raises(UserError, match=r"have no values for encoder.layer.4"):
        build_transformers(str(tmp_path), pretrained=True, kwargs={"num_hidden_layers": 5})


def test_a_weight_file_of_the_backbone_is_loaded_with_and_without_its_prefix(tmp_path):
    first = build_transformers("dinov2", bands=["VV", "VH"], kwargs=FEW)
    for prefix in ("model.", "", "dinov2."):
        torch.save({f"{prefix}{key}": value for key, value in first.model.state_dict().items()}, tmp_path / "w.pt")
        second = build_transformers("dinov2", bands=["VV", "VH"], kwargs=FEW, ckpt_path=str(tmp_path / "w.pt"))
        assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())
    with pytest.raises(UserError, match=r"ckpt_path=.* doesn't fit dinov2: 1 of another shape: .*backbone.name=FOLDER"):
        build_transformers("dinov2", in_chans=3, kwargs=FEW, ckpt_path=str(tmp_path / "w.pt"))


def test_an_untrained_backbone_has_no_pretraining_and_is_what_the_folder_says(tmp_path):
    save(tmp_path)
    backbone = build_transformers(str(tmp_path), bands=["VV"])
    assert backbone.pretraining is None
    assert backbone.weights is None
    assert backbone.out_channels == [32] * 4


def test_levels_are_chosen_by_transformers_numbers():
    assert len(on_meta("dinov2", kwargs={"num_hidden_layers": 6}).feature_specs) == 4
    assert len(on_meta("dinov2", kwargs=FEW, out_indices=[0, 1, -1]).feature_specs) == 3
    assert on_meta("pvt_v2", out_indices=[0, -1]).out_channels == [32, 256]


def test_tokens_are_declared_where_they_are_asked_for():
    (spec,) = on_meta("dinov2", kwargs={**FEW, "reshape_hidden_states": False}, out_indices=[-1]).feature_specs
    assert (spec.layout, spec.stride, spec.num_prefix_tokens) == ("tokens", 14, 1)


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "type": ({"name": "dinov9"}, r"transformers has no backbone of this type. Did you mean 'dinov2'\?"),
    "a model of timm": ({"name": "timm_backbone"}, r"since it is a model of timm: write backbone=timm"),
    "anisotropic": ({"name": "pp_lcnet_v4"}, r"its maps are halved in rows alone"),
    "folder": ({"name": "no/such/folder"}, r"is not a folder. Give a folder that save_pretrained\(\) wrote"),
    "empty folder": ({"name": "."}, r"has no config.json"),
    "weights of a type": (
        {"name": "dinov2", "pretrained": True},
        r"without weights of its own. Write backbone.name=MODEL",
    ),
    "two sources": ({"name": "a/b", "pretrained": True, "ckpt_path": "x"}, r"two sources of weights"),
    "key": (
        {"kwargs": {"hidden_sise": 8}},
        r"kwargs.hidden_sise: the config of transformers' dinov2 doesn't take it. Did you mean 'hidden_size'",
    ),
    "key that has its own here": (
        {"kwargs": {"num_channels": 4}},
        r"kwargs.num_channels has its own key: write backbone.bands",
    ),
    "image size in kwargs": (
        {"kwargs": {"image_size": 64}},
        r"kwargs.image_size has its own key: write backbone.img_size",
    ),
    "value": ({"kwargs": {"hidden_size": "a"}}, r"kwargs don't make a config of transformers' dinov2: .*expected int"),
    "level": ({"out_indices": [99]}, r"out_indices=\[99\]: dinov2 has 13 levels, 0 to 12 \(or -13 to -1\)"),
    "order": ({"out_indices": [4, 2]}, r"name each level once, in ascending order"),
    "size": ({"img_size": [64]}, r"give one number of pixels, or height and width"),
    "channels": ({"name": "pp_lcnet", "in_chans": 6}, r"transformers' pp_lcnet takes 3 channels only, here are 6"),
    "contradiction": ({"bands": ["RED"], "in_chans": 2}, r"in_chans=2 contradicts backbone.bands"),
    "no channels": ({"in_chans": 0}, r"at least one input channel"),
    "band": ({"bands": ["GREN"]}, r"Did you mean 'GREEN'"),
    "a package that it needs": ({"name": "dinat"}, r"transformers can't build dinat with this config: .*natten"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_fit_is_refused_in_our_words(case):
    arguments, words = REFUSALS[case]
    with pytest.raises(UserError, match=words):
        on_meta(**{"name": "dinov2", **arguments})


def test_a_model_of_the_hub_that_cannot_be_had_is_told(monkeypatch):
    from geocompose.backbones.transformers import config as transformers_config

    def refuse(repository: str, file: str) -> Path:
        raise UserError(f"The weights {repository}/{file} can't be downloaded")

    monkeypatch.setattr(transformers_config, "download", refuse)
    with pytest.raises(UserError, match=r"facebook/dinov2-small/config.json can't be downloaded"):
        build_transformers("facebook/dinov2-small")


def test_looking_for_names_imports_no_library_of_models():
    asked = (
        "import sys; from geocompose.registry import BACKBONE_REGISTRY as registry; "
        "assert 'transformers_dinov2' in registry and 'dinov2' in registry and 'no_such_name' not in registry; "
        "registry.find('transformers_swinv2'); "
        "print([name for name in ('transformers', 'torchgeo', 'terratorch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "[]\n"
