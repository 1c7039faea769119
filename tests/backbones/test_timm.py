"""timm's models as backbones: what they declare holds, and what a user can get wrong is told."""

import copy
import logging
import pickle
from math import ceil

import pytest
import timm
import torch
from safetensors import safe_open
from torch import nn

from geocompose.backbones.foreign.memory import forget
from geocompose.backbones.timm import weights as timm_weights
from geocompose.backbones.timm.architecture import architecture_of
from geocompose.backbones.timm.builder import build_timm
from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError
from tests.kit.shared import PARITY, needs_parity

FAMILIES = [
    "convnext_atto",
    "crossvit_9_240",
    "dm_nfnet_f0",
    "efficientformer_l1",
    "efficientnet_b0",
    "hiera_tiny_224",
    "hrnet_w18_small",
    "inception_v3",
    "legacy_xception",
    "levit_128s",
    "test_maxvit",
    "mixer_s32_224",
    "mobilenetv3_small_050",
    "pit_ti_224",
    "pvt_v2_b0",
    "regnetx_002",
    "resnet50",
    "swin_tiny_patch4_window7_224",
    "tresnet_m",
    "vgg11",
    "vit_small_patch14_dinov2",
    "volo_d1_224",
    "xcit_nano_12_p16_224",
]
SMALL = ["test_resnet", "test_convnext", "test_efficientnet", "test_vit"]
# Their first layer is a fixed transform of three channels.
THREE_CHANNELS_ONLY = ("csatv2", "csatv2_21m")


def on_meta(name: str, **arguments: object) -> nn.Module:
    with torch.device("meta"):
        return build_timm(name, **arguments)


def rows_and_columns(module: nn.Module, spec: FeatureSpec, shape: torch.Size, size: tuple[int, int]) -> list[int]:
    """Return a map's rows and columns, once its width and number of axes are as declared."""
    if spec.layout == "tokens":
        assert (shape[2], shape[1]) == (spec.channels, (size[0] // spec.stride) * (size[1] // spec.stride))
        return [side // spec.stride for side in size]
    assert len(shape) == 4
    assert shape[1 if spec.layout == "NCHW" else 3] == spec.channels
    return list(shape[2:] if spec.layout == "NCHW" else shape[1:3])


def check_maps(module: nn.Module, size: tuple[int, int], features: list[torch.Tensor]) -> None:
    assert [spec.channels for spec in module.feature_specs] == module.out_channels
    for spec, feature in zip(module.feature_specs, features, strict=True):
        for side, cells in zip(size, rows_and_columns(module, spec, feature.shape, size), strict=True):
            # Convolutions without padding, as Inception's, lose up to five cells at the border; MobileViTv2 rounds up
            # to an even number of cells.
            assert -5 <= cells - side / spec.stride <= 1, (spec, size, feature.shape)


def check_on_meta(name: str) -> None:
    """Hold a model to all that `build_timm` promises, on the meta device."""
    module = on_meta(name, in_chans=3 if name in THREE_CHANNELS_ONLY else 6)
    assert module.training
    twin = pickle.loads(pickle.dumps(copy.deepcopy(module)))
    assert twin.feature_specs == module.feature_specs
    sizes = [module.img_size]
    if not module.fixed_size:
        coarsest = max(architecture_of(name).reductions.values())
        sizes += [tuple(ceil(side / coarsest) * coarsest for side in size) for size in ((224, 224), (96, 160))]
    with torch.device("meta"):
        for size in sizes:
            features = twin.eval()(torch.empty(2, module.in_chans, *size))
            check_maps(module, size, features)
        features = module(torch.empty(2, module.in_chans, *module.img_size))
        sum(feature.sum() for feature in features).backward()
    for parameter_name, parameter in module.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), parameter_name
    with torch.device("meta"):
        whole = timm.create_model(name, in_chans=module.in_chans)
    names = {spelling for key in whole.state_dict() for spelling in timm_weights._spellings(key)}
    assert set(module.state_dict()) <= names
    with pytest.raises(UserError, match="no_such_argument"):
        on_meta(name, kwargs={"no_such_argument": 1})


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_of_models_is_as_it_declares(name):
    check_on_meta(name)


@pytest.mark.slow
@pytest.mark.parametrize("family", timm.list_modules())
@pytest.mark.filterwarnings("ignore")
def test_every_model_of_a_family_is_as_it_declares(family):
    wrong = []
    for name in timm.list_models(module=family):
        try:
            check_on_meta(name)
        except Exception as error:  # noqa: BLE001 - all that fail are named at once
            wrong.append(f"{name}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", SMALL)
def test_a_small_model_computes_and_every_trainable_parameter_gets_a_gradient(name):
    module = build_timm(name, bands=["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2"])
    assert (module.in_chans, module.weights, module.fixed_size) == (6, None, False)
    for size in ((224, 224), (96, 160)):
        features = module(torch.randn(2, 6, *size))
        check_maps(module, size, features)
    sum(feature.square().mean() for feature in features).backward()
    for parameter_name, parameter in module.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), parameter_name


@pytest.mark.parametrize("name", [*SMALL, "pit_ti_224"])
def test_a_copy_and_a_pickled_model_compute_the_same(name):
    module = build_timm(name).eval()
    image = torch.randn(1, 3, *module.img_size)
    with torch.no_grad():
        for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            for expected, found in zip(module(image), twin(image), strict=True):
                torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_swin_declares_channels_last_and_resnet_channels_first():
    assert on_meta("swin_tiny_patch4_window7_224").feature_specs[1] == FeatureSpec(192, 8, "NHWC")
    assert on_meta("resnet50").feature_specs[-1] == FeatureSpec(2048, 32, "NCHW")


@pytest.mark.parametrize(
    ("name", "arguments", "strides"),
    [
        ("resnet50", {}, [2, 4, 8, 16, 32]),
        ("convnext_atto", {}, [4, 8, 16, 32]),
        ("resnet50", {"out_indices": [-2, -1]}, [16, 32]),
        ("tresnet_m", {}, [4, 8, 16, 32]),
        ("vit_tiny_patch16_224", {}, [16] * 4),
        ("vit_tiny_patch16_224", {"out_indices": [11]}, [16]),
        ("vit_tiny_patch16_224", {"kwargs": {"depth": 3}}, [16] * 3),
    ],
)
def test_levels_are_those_of_the_pyramid_or_those_asked_for(name, arguments, strides):
    assert [spec.stride for spec in on_meta(name, **arguments).feature_specs] == strides


@pytest.mark.parametrize(("depth", "last"), [(12, [2, 5, 8, 11]), (6, [0, 2, 3, 5]), (24, [5, 11, 17, 23])])
def test_four_layers_evenly_spaced_are_taken_of_a_plain_transformer(depth, last):
    module = on_meta("vit_tiny_patch16_224", kwargs={"depth": depth})
    assert list(module.out_indices) == last


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "efficientnet_b0", "mobilenetv3_small_050", "resnet50"])
def test_nothing_after_the_last_selected_level_is_kept(name):
    whole, cut = on_meta(name), on_meta(name, out_indices=[1])
    assert set(cut.state_dict()) < set(whole.state_dict())
    assert all(parameter.requires_grad for parameter in cut.parameters())


def test_parameters_that_no_returned_map_depends_on_are_frozen():
    module = build_timm("pit_ti_224", out_indices=[0])
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    assert "body.norm.weight" in frozen
    assert "body.transformers.0.blocks.0.attn.qkv.weight" not in frozen


def test_parameters_stay_trainable_where_a_model_is_built_without_gradients():
    with torch.no_grad():
        assert all(parameter.requires_grad for parameter in build_timm("test_resnet").parameters())


def test_a_build_draws_the_same_random_numbers_whether_or_not_the_model_was_looked_at_before():
    architecture_of.cache_clear()
    forget()
    torch.manual_seed(0)
    first = build_timm("test_vit").state_dict()
    torch.manual_seed(0)
    for key, value in build_timm("test_vit").state_dict().items():
        torch.testing.assert_close(value, first[key], rtol=0, atol=0)


def test_a_model_that_resizes_every_image_to_its_own_size_takes_only_that():
    assert on_meta("crossvit_9_240").fixed_size


def test_a_size_is_built_in_where_the_model_has_to_know_it():
    module = on_meta("mixer_s32_224", img_size=256)
    assert (module.img_size, module.fixed_size) == ((256, 256), True)
    assert on_meta("vit_so400m_patch14_siglip_384").img_size == (378, 378)


def test_a_model_that_reads_the_size_of_its_maps_off_values_returns_tokens():
    module = on_meta("gemma4_vit_167m", kwargs={"depth": 2})
    assert {spec.layout for spec in module.feature_specs} == {"tokens"}
    with torch.device("meta"):
        check_maps(module, (96, 192), module(torch.empty(1, 3, 96, 192)))


@needs_parity
def test_the_state_dict_has_the_names_of_the_reference():
    reference = PARITY / "seg_timm_resnet_unet.safetensors"
    prefix = "model.encoder."
    with safe_open(reference, "pt") as file:
        names = [key for key in file.keys() if prefix in key]  # noqa: SIM118 - it is not a mapping
        expected = {key.removeprefix(prefix): file.get_slice(key).get_shape() for key in names}
    found = build_timm("test_resnet", in_chans=6).state_dict()
    assert {key: list(value.shape) for key, value in found.items()} == expected


def test_a_random_backbone_says_so_in_one_line(caplog):
    with caplog.at_level(logging.INFO, logger="geocompose"):
        build_timm("test_resnet")
    assert [record.message for record in caplog.records] == [
        "Backbone test_resnet starts from random weights (backbone.pretrained=false)."
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet5O"}, r"backbone\.name=resnet5O.*Did you mean 'resnet50'"),
        ({"name": "zzz"}, r"backbone\.name=zzz: timm .* has no such model\. timm\.list_models"),
        ({"name": "resnet50.a1_in2k"}, r"no weights tagged 'a1_in2k'.*Did you mean 'resnet50\.a1_in1k'"),
        ({"bands": []}, "at least one; got"),
        ({"bands": ["RED", "RED"]}, "each band once"),
        ({"bands": ["RED", "GREN"]}, "Did you mean 'GREEN'"),
        ({"bands": ["RED"], "in_chans": 2}, r"in_chans=2 contradicts backbone\.bands=\['RED'\], which are 1"),
        ({"in_chans": 0}, "at least one input channel"),
        ({"img_size": [1, 2, 3]}, "height and width"),
        ({"img_size": 0}, "height and width"),
        ({"out_indices": [5]}, r"out_indices=\[5\]: resnet50 has 5 levels, 0 to 4 \(or -5 to -1\)"),
        ({"out_indices": [-6]}, "5 levels"),
        ({"out_indices": []}, "5 levels"),
        ({"out_indices": [2, 1]}, "ascending order"),
        ({"kwargs": {"drop_rte": 0.1}}, "drop_rte.*ResNet doesn't take it. Did you mean 'drop_rate'"),
        ({"kwargs": {"num_classes": 2}}, "num_classes.*doesn't take it"),
        ({"kwargs": {"in_chans": 2}}, r"write backbone\.in_chans"),
        ({"kwargs": {"layers": 3}}, "timm can't build resnet50 with .*layers=3"),
        ({"name": "dm_nfnet_f0", "kwargs": {"foo": 1}}, "can't build dm_nfnet_f0.*'foo'"),
        ({"name": "vgg11", "drop_path_rate": 0.1}, "vgg11 has no stochastic depth"),
        (
            {"name": "maxvit_tiny_rw_224", "img_size": [100, 160]},
            r"100x160.*try backbone\.img_size=\[96,160\]",
        ),
        ({"name": "csatv2", "in_chans": 6}, "with 6 channels.*made for 3 channels"),
        ({"pretrained": True, "ckpt_path": "a.pt"}, "two sources of weights"),
        ({"ckpt_path": "/nowhere/a.pt"}, "no weight file at /nowhere/a.pt"),
    ],
)
@pytest.mark.filterwarnings("ignore:CSATv2")
def test_a_wrong_argument_is_refused_with_what_to_do(arguments, message):
    with pytest.raises(UserError, match=message):
        build_timm(**({"name": "resnet50"} | arguments))


def test_a_model_without_feature_maps_is_refused(monkeypatch):
    architecture_of.cache_clear()
    monkeypatch.setattr("geocompose.backbones.timm.architecture._reductions", lambda model: {})
    with pytest.raises(UserError, match="test_resnet: this model of timm returns no feature maps"):
        build_timm("test_resnet")
    architecture_of.cache_clear()


def test_a_build_on_the_meta_device_downloads_and_allocates_nothing():
    module = on_meta("vit_7b_patch16_dinov3", pretrained=True)
    assert module.weights is None
    assert all(parameter.is_meta for parameter in module.parameters())


def test_the_size_of_a_model_that_takes_any_is_rounded_up_to_whole_patches():
    with torch.device("meta"):
        model = build_timm("vit_small_patch14_dinov2", img_size=[64, 100])
    assert model.img_size == (70, 112)
    assert model.model.patch_embed.grid_size == (5, 8)
