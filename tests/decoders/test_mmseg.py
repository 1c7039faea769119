"""Decode heads of mmsegmentation as decoders; what needs the package is marked `optional`."""

import inspect
import subprocess
import sys
import types
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.catalog import optional
from geocompose.catalog.mmseg import NAMES, NOT_HERE
from geocompose.decoders.mmseg import library as mmseg_import
from geocompose.decoders.mmseg.arguments import FILLED_IN
from geocompose.decoders.mmseg.decoder import MmsegDecoder
from geocompose.decoders.mmseg.heads import HEADS
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.registry import DECODER_REGISTRY
from tests.kit.small import DECODERS, Maps, content, image, marks, stand_in

WIDTHS, STRIDES = [8, 8, 16, 16], [4, 8, 16, 32]
SMALL: Mapping[str, Mapping[str, Any]] = {
    **{name: {"channels": 8} for name, row in HEADS.items() if "channels" in row.required},
    "ANNHead": {"channels": 8, "project_channels": 8},
    "DAHead": {"channels": 8, "pam_channels": 4},
    "DPTHead": {"channels": 8, "post_process_channels": [4, 4, 8, 8]},
    "DepthwiseSeparableASPPHead": {"channels": 8, "c1_channels": 4},
    "EMAHead": {"channels": 8, "ema_channels": 8, "num_bases": 4, "num_stages": 2},
    "ISAHead": {"channels": 8, "isa_channels": 4, "down_factor": [2, 2]},
    "LightHamHead": {"channels": 8, "ham_channels": 8, "ham_kwargs": {"MD_R": 4}},
    "SETRMLAHead": {"mla_channels": 4},
    "SegmenterMaskTransformerHead": {"num_layers": 1, "num_heads": 2, "embed_dims": 8},
}
OF_ONE_WIDTH = ("DPTHead",)
OF_ONE_SCALE = ("DPTHead", "SETRMLAHead")
NEEDS_IT = marks("mmseg_fcn")


def needs_mmseg(test: Any) -> Any:
    """Mark a test as `optional`, and skip it where mmsegmentation is not installed."""
    for mark in NEEDS_IT:
        test = mark(test)
    return test


def widths(name: str) -> list[int]:
    return [8] * 4 if name in OF_ONE_WIDTH else WIDTHS


def features(name: str, batch: int = 2, rows: int = 64, columns: int = 96) -> list[Tensor]:
    draw = torch.Generator().manual_seed(rows)
    strides = [16] * 4 if name in OF_ONE_SCALE else STRIDES
    return [
        torch.randn(batch, width, rows // stride, columns // stride, generator=draw)
        for width, stride in zip(widths(name), strides, strict=True)
    ]


def built(name: str, num_classes: int = 3, /, strides: list[int] | None = STRIDES, **kwargs: Any) -> MmsegDecoder:  # type: ignore[assignment]
    torch.manual_seed(0)
    return MmsegDecoder(widths(name), name, num_classes, {**SMALL[name], **kwargs}, strides)  # type: ignore[arg-type]


# Without the package


def test_every_head_that_is_a_decoder_is_a_name_and_all_but_one_are_options():
    assert len(HEADS) == 25
    assert {f"mmseg_{name}" for name in HEADS} <= set(DECODER_REGISTRY)
    optioned = {content("decoder", name)["name"] for name in DECODERS if name.startswith("mmseg_")}
    # But for its own loss, which is not used, STDC's is FCN's.
    assert set(HEADS) - optioned == {"STDCHead"}


@pytest.mark.parametrize("option", [name for name in DECODERS if name.startswith("mmseg_")])
def test_an_option_of_mmseg_lists_all_arguments_of_its_head(option):
    keys = content("decoder", option)
    follows = {"feature_strides"}  # may be given to confirm it
    assert set(keys["kwargs"]) == set(HEADS[keys["name"]].allowed) - follows


def test_what_is_not_installed_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "mmseg.models.decode_heads", raising=False)
    monkeypatch.setattr(optional, "PACKAGES", {"mmseg": ("torch", "no_such_one", "no_such_two")})
    with pytest.raises(
        UserError,
        match=r"Parts of mmseg need no_such_one, no_such_two, which are not installed: pip install -r requirements-mmseg.txt",
    ):
        built("FCNHead")
    monkeypatch.setattr(optional, "PACKAGES", {"mmseg": ("no_such_one",)})
    with pytest.raises(UserError, match="need the package no_such_one, which is not installed"):
        built("FCNHead")


def test_an_mmcv_with_its_operators_is_left_alone(monkeypatch):
    compiled = types.ModuleType("mmcv.ops")
    monkeypatch.setitem(sys.modules, "mmcv.ops", compiled)
    with mmseg_import._operators():
        assert sys.modules["mmcv.ops"] is compiled
    assert sys.modules["mmcv.ops"] is compiled


@pytest.mark.parametrize("name", NOT_HERE)
def test_a_head_that_is_no_decoder_here_is_refused_with_the_reason(name):
    source = DECODER_REGISTRY.sources["mmseg"]
    assert name in source  # found, so that the reason is told
    assert name not in list(source)
    for build in (lambda: source[name], lambda: MmsegDecoder(WIDTHS, name, 3)):
        with pytest.raises(UserError, match=rf"mmseg's {name} can't be a decoder here: it \w+ .*UPerHead"):
            build()


@pytest.mark.parametrize("name", [name for name, row in HEADS.items() if row.required])
def test_a_head_without_its_arguments_names_all_that_it_lacks(name):
    with pytest.raises(UserError, match=rf"mmseg's {name} can't be built without decoder\.kwargs\.\w+") as refused:
        MmsegDecoder(widths(name), name, 3)
    for argument in HEADS[name].required:
        assert f"decoder.kwargs.{argument}={HEADS[name].required[argument]}" in str(refused.value)
        assert f"decoder_{argument}" in str(refused.value)


@pytest.mark.parametrize("argument", FILLED_IN)
def test_an_argument_that_follows_from_elsewhere_is_refused(argument):
    with pytest.raises(UserError, match=rf"takes no decoder.kwargs.{argument}: it (follows|is) .*Leave it out"):
        built("EncHead", **{argument: 1})


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("UPerHead", {"chanels": 8}, "takes no argument 'chanels'. Did you mean 'channels'?"),
    ("FCNHead", {"channels": 0}, "mmseg FCNHead: channels is a whole number, 1 or more; got 0"),
    ("FCNHead", {"channels": "8"}, "channels is a whole number, 1 or more; got '8'"),
    ("FCNHead", {"dropout_ratio": 1.0}, "dropout_ratio is from 0 to below 1; got 1.0"),
    ("FCNHead", {"concat_input": "yes"}, "concat_input is true or false; got 'yes'"),
    ("FCNHead", {"num_convs": 0, "channels": 8}, "with num_convs=0 .* channels is its width, 16; got 8"),
    ("DepthwiseSeparableFCNHead", {"num_convs": 0}, "num_convs is a whole number, 1 or more; got 0"),
    ("FCNHead", {"in_index": 4}, "mmseg FCNHead: in_index goes from -4 to 3 for 4 feature.*; got 4"),
    ("FCNHead", {"in_index": [0, 1]}, r"a list with input_transform=resize_concat; got \[0, 1\] with input_transform=null"),
    ("FCNHead", {"input_transform": "resize_concat"}, "got -1 with input_transform=resize_concat"),
    ("FCNHead", {"input_transform": "join"}, "input_transform has no value 'join'.*resize_concat"),
    ("SETRUPHead", {"in_index": [0]}, r"in_index is the number of the one feature that it reads; got \[0\]"),
    ("SETRUPHead", {"norm_layer": {"type": "BN"}}, "norm_layer has no type 'BN'.*Allowed: LN"),
    ("UPerHead", {"in_index": 2}, "in_index is a list of the features that it reads.*got 2"),
    ("UPerHead", {"in_index": []}, "in_index is a list of one or more"),
    ("UPerHead", {"in_index": [0, 7]}, "in_index goes from -4 to 3"),
    ("UPerHead", {"in_index": [3, 1]}, r"in_index names levels of a pyramid once each, finest first, such as \[1, 3\]; got \[3, 1\]"),
    ("FPNHead", {"in_index": [1, 1]}, r"levels of a pyramid once each, finest first, such as \[1\]; got \[1, 1\]"),
    ("LRASPPHead", {"in_index": [0, 3]}, "LRASPPHead reads three features or more; it gets 2"),
    ("UPerHead", {"pool_scales": []}, "pool_scales is a list of one or more"),
    ("UPerHead", {"pool_scales": [1, 2.5]}, "Each of mmseg UPerHead: pool_scales is a whole number"),
    ("UPerHead", {"norm_cfg": {"type": "SyncBN"}}, "SyncBN is for several processes.*Write {type: BN}"),
    ("UPerHead", {"norm_cfg": {"type": "BM"}}, "norm_cfg has no type 'BM'. Allowed: BN, GN, IN"),
    ("UPerHead", {"norm_cfg": {"type": "IN"}}, "pools a map to one cell, of which an instance norm leaves nothing"),
    ("UPerHead", {"norm_cfg": {"type": "GN"}}, "GN needs num_groups"),
    ("UPerHead", {"norm_cfg": "BN"}, r"norm_cfg is a mapping with a type, such as {type: BN}; got 'BN'"),
    ("UPerHead", {"act_cfg": {"type": "Relu"}}, "act_cfg has no type 'Relu'. Did you mean 'ReLU'"),
    ("FPNHead", {"feature_strides": [4, 8, 16]}, r"feature_strides follows from the features and is \[4, 8, 16, 32\] here"),
    ("ANNHead", {"in_index": [0, 1, 2]}, r"reads two features, such as in_index=\[-2, -1\]; got \[0, 1, 2\]"),
    ("LRASPPHead", {"branch_channels": [4]}, r"branch_channels has one width per feature before the last: 3 here, got \[4\]"),
    ("LightHamHead", {"ham_kwargs": {"MD_Q": 1}}, "ham_kwargs has no 'MD_Q'. Did you mean"),
    ("LightHamHead", {"ham_kwargs": 4}, "ham_kwargs is a mapping"),
    ("LightHamHead", {"ham_kwargs": {"MD_S": 3}}, "ham_channels is a multiple of ham_kwargs.MD_S; got 8 and 3"),
    ("SegformerHead", {"interpolate_mode": "nearest"}, "interpolate_mode has no value 'nearest'.*bilinear, bicubic"),
    ("NLHead", {"mode": "gaussian"}, "mode has no value 'gaussian'.*embedded_gaussian"),
    ("GCHead", {"ratio": 0}, "ratio is a number above 0; got 0"),
    ("GCHead", {"fusion_types": ["channel_sum"]}, "fusion_types is a list of some of channel_add, channel_mul"),
    ("ISAHead", {"down_factor": [8]}, "down_factor is a list of 2 whole numbers"),
    ("SegmenterMaskTransformerHead", {"num_heads": 3}, "embed_dims is divided among num_heads; got 8 and 3"),
    ("SegmenterMaskTransformerHead", {"norm_cfg": {"type": "BN"}}, "norm_cfg has no type 'BN'.*LN"),
    ("SegmenterMaskTransformerHead", {"dropout_ratio": 0.1}, "takes no argument 'dropout_ratio'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given", "message"),
    WRONG,
    ids=[f"{name}-{'-'.join(given)}-{i}" for i, (name, given, _) in enumerate(WRONG)],
)
def test_a_value_that_a_head_can_not_take_is_refused_before_the_package_is_imported(name, given, message):
    with pytest.raises(UserError, match=message):
        built(name, **given)


def test_features_that_a_head_can_not_read_are_refused():
    with pytest.raises(UserError, match=r"four features of one width; it gets \[8, 8, 16, 16\] channels"):
        MmsegDecoder(WIDTHS, "DPTHead", 3, {"channels": 8})
    with pytest.raises(UserError, match="reads two features; it gets 1"):
        MmsegDecoder([8], "ANNHead", 3, dict(SMALL["ANNHead"]))
    with pytest.raises(UserError, match=r"give feature_strides, one for each of the 4 features"):
        built("FPNHead", strides=None)
    with pytest.raises(UserError, match="leaves nothing of one and a sign of two: it needs 3 or more; the task has 2"):
        built("SegmenterMaskTransformerHead", 2)
    with pytest.raises(UserError, match=r"There is no mmseg decode head 'UperHead' here. Did you mean 'UPerHead'"):
        MmsegDecoder(WIDTHS, "UperHead", 3)


# With the package


@needs_mmseg
def test_every_decode_head_of_mmseg_is_a_decoder_or_has_its_reason():
    assert set(mmseg_import.decode_heads().__all__) == set(HEADS) | set(NOT_HERE)
    assert set(HEADS) & set(NOT_HERE) == set()
    assert tuple(HEADS) == NAMES


@needs_mmseg
@pytest.mark.parametrize("name", HEADS)
def test_what_a_head_may_be_given_are_arguments_of_its_constructor(name):
    head, real = getattr(mmseg_import.decode_heads(), name), set()
    for base in head.__mro__:
        if "__init__" in vars(base) and base.__module__.startswith("mmseg."):
            real |= set(inspect.signature(base).parameters)
    assert set(HEADS[name].allowed) - real == set()
    for parameter in inspect.signature(head).parameters.values():
        must = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        known = {*HEADS[name].required, *FILLED_IN, "feature_strides", "norm_cfg"}
        assert not must or parameter.name in known, parameter


@needs_mmseg
def test_the_import_is_silent_leaves_no_stand_in_behind_and_lists_names_without_it():
    script = """
import os, sys
from geocompose.registry import DECODER_REGISTRY
names = list(DECODER_REGISTRY)
assert "mmseg_UPerHead" in names and "mmseg_OCRHead" not in names
assert not [name for name in sys.modules if name.partition(".")[0] in ("mmseg", "mmcv", "mmengine")]
before = dict(os.environ)
DECODER_REGISTRY.build("mmseg_FCNHead", [8], num_classes=1, kwargs={"channels": 8})
assert "mmcv.ops" not in sys.modules and "mmseg" in sys.modules
assert dict(os.environ) == before
try:
    import mmcv.ops
except ImportError as error:
    assert "_ext" in str(error)
"""
    done = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_mmseg
def test_a_compiled_operator_is_refused_when_it_is_used():
    heads = mmseg_import.decode_heads()
    with pytest.raises(
        UserError, match="CrissCrossAttention is a compiled operator of mmcv, which can't be loaded here"
    ):
        heads.CCHead(in_channels=8, channels=8, num_classes=3, loss_decode=[])


@needs_mmseg
@pytest.mark.parametrize("name", HEADS)
def test_a_head_computes_what_mmseg_computes_with_the_same_weights(name):
    ours = built(name).eval()
    row = HEADS[name]
    arguments = row.complete(name, widths(name), STRIDES, dict(SMALL[name]))
    norm = {} if name == "SegmenterMaskTransformerHead" else {"norm_cfg": {"type": "BN"}}
    theirs = getattr(mmseg_import.decode_heads(), name)(
        **arguments, **norm, num_classes=3, out_channels=3, threshold=0.3, loss_decode=[]
    ).eval()
    state = ours.decoder.state_dict()
    if name == "LightHamHead":
        bases = state.pop("hamburger.ham.bases")  # theirs come with the first image
    if name == "LRASPPHead":  # its own pools by 49 x 49, and takes the third feature for the last
        assert theirs.image_pool[1].conv.weight.shape == state["image_pool.1.conv.weight"].shape
    theirs.load_state_dict(state)
    if name == "LightHamHead":
        theirs.hamburger.ham.register_buffer("bases", bases)
    size = (49 * 32, 50 * 32) if name == "LRASPPHead" else (64, 96)
    given = features(name, 1, *size)
    with torch.no_grad():
        output = theirs([(one, one) for one in given] if name == "DPTHead" else given)
        output = output[0] if isinstance(output, tuple) else output
        torch.testing.assert_close(ours(given), output, atol=0, rtol=0)


@needs_mmseg
@pytest.mark.parametrize("name", HEADS)
def test_a_batch_of_one_image_trains_on_maps_of_a_single_cell(name):
    decoder = built(name).train()
    output = decoder([torch.randn(1, width, 1, 1) for width in widths(name)])
    assert output.shape[:2] == (1, 3)
    assert output.isfinite().all()


@needs_mmseg
@pytest.mark.parametrize("name", HEADS)
def test_an_own_loss_leaves_nothing_in_a_head_and_weights_begin_as_mmsegs(name):
    decoder = built(name, 5)
    assert not any("loss" in key for key, _ in decoder.named_modules())
    assert decoder.out_channels == 5
    if name != "SegmenterMaskTransformerHead":
        assert 0.005 < decoder.decoder.conv_seg.weight.std() < 0.02
        assert not decoder.decoder.conv_seg.bias.any()


@needs_mmseg
def test_the_map_of_an_image_from_a_ham_head_is_the_same_each_time_and_after_it_is_stored():
    one, other = built("LightHamHead").eval(), built("LightHamHead").eval()
    given = features("LightHamHead")
    with torch.no_grad():
        for number in one.state_dict().values():
            number += 1
        other.load_state_dict(one.state_dict(), strict=True)
        assert torch.equal(one(given), one(given))
        assert torch.equal(one(given), other(given))
        anew = built("LightHamHead", ham_kwargs={"MD_R": 4, "rand_init": True}).eval()
        assert not torch.equal(anew(given), anew(given))


DOCUMENTED: list[tuple[str, dict[str, Any]]] = [
    *[("UPerHead", {"norm_cfg": norm}) for norm in ({"type": "BN"}, {"type": "GN", "num_groups": 4}, None)],
    ("FCNHead", {"norm_cfg": {"type": "IN"}}),
    *[("FCNHead", {"act_cfg": act}) for act in ({"type": "GELU"}, {"type": "LeakyReLU", "negative_slope": 0.1}, None)],
    ("FCNHead", {"in_index": 0}),
    ("FCNHead", {"in_index": [0, 1, 3], "input_transform": "resize_concat", "align_corners": True}),
    ("FCNHead", {"num_convs": 0, "channels": 16, "concat_input": False}),
    ("FCNHead", {"num_convs": 0, "channels": 16}),
    ("FCNHead", {"kernel_size": 1, "dilation": 2, "dropout_ratio": 0.0}),
    ("DepthwiseSeparableFCNHead", {"dw_act_cfg": {"type": "ReLU"}}),
    ("ANNHead", {"in_index": [0, 2], "dropout_ratio": 0.0, "query_scales": [1, 1]}),
    ("APCHead", {"fusion": False}),
    ("DMHead", {"fusion": True, "filter_sizes": [1, 2]}),
    *[(name, {"mode": "dot_product", "use_scale": False}) for name in ("NLHead", "DNLHead")],
    ("GCHead", {"pooling_type": "avg", "fusion_types": ["channel_add", "channel_mul"], "ratio": 0.5}),
    ("EncHead", {"add_lateral": True}),
    ("EncHead", {"in_index": [1, 2], "norm_cfg": None}),
    ("DepthwiseSeparableASPPHead", {"c1_channels": 0}),
    ("LRASPPHead", {"branch_channels": [4, 8, 4]}),
    ("LRASPPHead", {"in_index": [0, 1, 3]}),
    ("SETRUPHead", {"num_convs": 4, "up_scale": 2, "kernel_size": 1}),
    ("SETRMLAHead", {"in_index": [0, 3], "up_scale": 2}),
    ("FPNHead", {"feature_strides": [4, 8, 16, 32]}),
    ("FPNHead", {"in_index": [1, 3]}),
    ("EMAHead", {"concat_input": False}),
    ("UPerHead", {"in_index": [1, 2, 3], "align_corners": True}),
    ("LightHamHead", {"in_index": [1, 2, 3], "ham_kwargs": {"MD_S": 2, "MD_R": 4, "train_steps": 2, "eval_steps": 3}}),
    ("SegmenterMaskTransformerHead", {"qkv_bias": False, "drop_rate": 0.1, "num_layers": 2}),
    *[("SegformerHead", {"interpolate_mode": mode}) for mode in ("bilinear", "bicubic")],
]  # fmt: skip


@needs_mmseg
@pytest.mark.filterwarnings("ignore:When align_corners=True")
@pytest.mark.parametrize(
    ("name", "given"), DOCUMENTED, ids=[f"{name}-{'-'.join(given)}-{i}" for i, (name, given) in enumerate(DOCUMENTED)]
)
def test_a_documented_value_computes(name, given):
    for training in (True, False):
        output = built(name, **given).train(training)(features(name))
        assert output.shape[:2] == (2, 3)
        assert output.isfinite().all()


@needs_mmseg
def test_what_mmseg_stops_at_is_told_as_one_message_with_the_arguments():
    with pytest.raises(UserError, match=r"UPerHead can't be built with channels=6.*GN.*It stopped with ValueError"):
        built("UPerHead", channels=6, norm_cfg={"type": "GN", "num_groups": 4})


def model(task: str, **more: Any) -> nn.Module:
    torch.manual_seed(0)
    return EncoderDecoderFactory((64, 96)).build_model(
        task=task, backbone=stand_in("pyramid"), **{"necks": "auto", "decoder": "mmseg_UPerHead", **more}
    )


@needs_mmseg
def test_terratorchs_arguments_build_a_head_that_brings_its_own_last_layer():
    built_so = model(
        "segmentation", num_classes=4, decoder_channels=8, decoder_in_index=[0, 1, 2, 3], decoder_pool_scales=[1, 2]
    )
    assert built_so(image(3, 2, 64, 96)).output.shape == (2, 4, 64, 96)
    assert isinstance(built_so.head, nn.Identity)
    assert "decoder.decoder.conv_seg.weight" in built_so.state_dict()  # TerraTorch's name
    assert model("regression", num_outputs=1, decoder_channels=8, decoder_num_classes=1)(
        image(3, 2, 64, 96)
    ).output.shape == (2, 64, 96)
    bare = model("segmentation", num_classes=4, decoder="UPerHead", decoder_channels=8)
    assert type(bare.decoder).__name__ == "MmsegDecoder"
    with pytest.raises(
        UserError, match="num_classes follows from the composition and is 4 here; got decoder_num_classes=7"
    ):
        model("segmentation", num_classes=4, decoder_channels=8, decoder_num_classes=7)


@needs_mmseg
def test_tasks_of_whole_images_take_the_mean_of_a_heads_map():
    classifier = model("classification", num_classes=4, decoder_channels=8).eval()
    maps: list[Tensor] = []
    classifier.decoder.register_forward_hook(lambda _, __, out: maps.append(out))
    with torch.no_grad():
        output = classifier(image(3, 2, 64, 96)).output
    assert output.shape == (2, 4)
    torch.testing.assert_close(output, maps[0].mean(dim=(2, 3)))
    assert model("multilabel", num_classes=4, decoder_channels=8)(image(3, 2, 64, 96)).output.shape == (2, 4)
    assert model("scalar_regression", num_outputs=1, decoder_channels=8)(image(3, 2, 64, 96)).output.shape == (2,)
    assert model("scalar_regression", num_outputs=2, decoder_channels=8)(image(3, 2, 64, 96)).output.shape == (2, 2)


@needs_mmseg
def test_the_heads_for_mmsegs_own_losses_do_not_learn():
    decoder = built("DAHead")
    still = {name for name, parameter in decoder.named_parameters() if not parameter.requires_grad}
    assert still == {f"decoder.{part}.{key}" for part in HEADS["DAHead"].still for key in ("weight", "bias")}


@needs_mmseg
@pytest.mark.parametrize("name", ["ANNHead", "DPTHead", "SETRMLAHead"])
def test_features_that_somebody_counted_out_are_those_of_the_backbones_list(name):
    indices = [0, 4] if name == "ANNHead" else [0, 1, 2, 4]
    arguments = {f"decoder_{key}": value for key, value in {**SMALL[name], "in_index": indices}.items()}
    trial = EncoderDecoderFactory((64, 96)).trial(
        "segmentation", Maps([8] * 5, [2, 4, 8, 16, 32]), f"mmseg_{name}", num_classes=3, necks="auto", **arguments
    )
    read = {f"encoder.levels.{index}.weight" for index in indices}
    assert {f"encoder.levels.{level}.weight" for level in range(5)} - set(trial.plan.unreached) == read


@needs_mmseg
def test_a_backbone_of_two_levels_has_a_third_made_for_lraspp():
    trial = EncoderDecoderFactory((64, 96)).trial(
        "segmentation", Maps([8, 8], [8, 16]), "mmseg_LRASPPHead", num_classes=3, necks="auto", decoder_channels=8
    )
    assert [spec.stride for spec in trial.plan.decoder_features] == [4, 8, 16]


@needs_mmseg
@pytest.mark.parametrize("name", list(HEADS))
def test_layers_of_one_scale_are_refused_by_a_head_that_would_read_them_as_a_pyramid(name):
    arguments = {f"decoder_{key}": value for key, value in SMALL[name].items()}

    def composed() -> nn.Module:
        return EncoderDecoderFactory((64, 64)).build_model(
            "segmentation", Maps([8] * 4, [16] * 4), f"mmseg_{name}", num_classes=3, necks=None, **arguments
        )

    if HEADS[name].needs(SMALL[name]).pyramid:
        with pytest.raises(UserError, match=r"needs a pyramid, finest level first.*strides \[16, 16, 16, 16\]"):
            composed()
    else:
        with torch.inference_mode():
            assert composed().eval()(image(3, 1, 64, 96)).output.shape == (1, 3, 64, 96)
