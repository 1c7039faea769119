"""mmsegmentation's decode heads: names, refusals, and the import of the package."""

import inspect
import subprocess
import sys
import types
from typing import Any

import pytest

from geocompose.catalog import optional
from geocompose.catalog.mmseg import NAMES, NOT_HERE
from geocompose.decoders.mmseg import library as mmseg_import
from geocompose.decoders.mmseg.arguments import FILLED_IN
from geocompose.decoders.mmseg.decoder import MmsegDecoder
from geocompose.decoders.mmseg.heads import HEADS
from geocompose.errors import UserError
from geocompose.registry import DECODER_REGISTRY
from tests.kit.mmseg_heads import SMALL, WIDTHS, built, needs_mmseg, widths
from tests.kit.small import DECODERS, content

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
        match=r"need no_such_one, no_such_two, which are not installed: pip install -r requirements-mmseg.txt",
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
    ("FCNHead", {"channels": 0}, "mmseg FCNHead: channels must be a whole number, 1 or more; got 0"),
    ("FCNHead", {"channels": "8"}, "channels must be a whole number, 1 or more; got '8'"),
    ("FCNHead", {"dropout_ratio": 1.0}, "dropout_ratio must be from 0 to below 1; got 1.0"),
    ("FCNHead", {"concat_input": "yes"}, "concat_input must be true or false; got 'yes'"),
    ("FCNHead", {"num_convs": 0, "channels": 8}, "with num_convs=0 .* channels must be its width, 16; got 8"),
    ("DepthwiseSeparableFCNHead", {"num_convs": 0}, "num_convs must be a whole number, 1 or more; got 0"),
    ("FCNHead", {"in_index": 4}, "mmseg FCNHead: in_index goes from -4 to 3 for 4 feature.*; got 4"),
    ("FCNHead", {"in_index": [0, 1]},
     r"a list with input_transform=resize_concat; got \[0, 1\] with input_transform=null"),
    ("FCNHead", {"input_transform": "resize_concat"}, "got -1 with input_transform=resize_concat"),
    ("FCNHead", {"input_transform": "join"}, "input_transform has no value 'join'.*resize_concat"),
    ("SETRUPHead", {"in_index": [0]}, r"in_index must be the number of the one feature that it reads; got \[0\]"),
    ("SETRUPHead", {"norm_layer": {"type": "BN"}}, "norm_layer has no type 'BN'.*Allowed: LN"),
    ("UPerHead", {"in_index": 2}, "in_index must be a list of the features that it reads.*got 2"),
    ("UPerHead", {"in_index": []}, "in_index must be a list of one or more"),
    ("UPerHead", {"in_index": [0, 7]}, "in_index goes from -4 to 3"),
    ("UPerHead", {"in_index": [3, 1]},
     r"in_index names levels of a pyramid once each, finest first, such as \[1, 3\]; got \[3, 1\]"),
    ("FPNHead", {"in_index": [1, 1]}, r"levels of a pyramid once each, finest first, such as \[1\]; got \[1, 1\]"),
    ("LRASPPHead", {"in_index": [0, 3]}, "LRASPPHead reads three features or more; it gets 2"),
    ("UPerHead", {"pool_scales": []}, "pool_scales must be a list of one or more"),
    ("UPerHead", {"pool_scales": [1, 2.5]}, "Each of mmseg UPerHead: pool_scales must be a whole number"),
    ("UPerHead", {"norm_cfg": {"type": "SyncBN"}}, "SyncBN is for several processes.*Write {type: BN}"),
    ("UPerHead", {"norm_cfg": {"type": "BM"}}, "norm_cfg has no type 'BM'. Allowed: BN, GN, IN"),
    ("UPerHead", {"norm_cfg": {"type": "IN"}}, "pools a map to one cell, of which an instance norm leaves nothing"),
    ("UPerHead", {"norm_cfg": {"type": "GN"}}, "GN needs num_groups"),
    ("UPerHead", {"norm_cfg": "BN"}, r"norm_cfg must be a mapping with a type, such as {type: BN}; got 'BN'"),
    ("UPerHead", {"act_cfg": {"type": "Relu"}}, "act_cfg has no type 'Relu'. Did you mean 'ReLU'"),
    ("FPNHead", {"feature_strides": [4, 8, 16]},
     r"feature_strides follows from the features and is \[4, 8, 16, 32\] here"),
    ("ANNHead", {"in_index": [0, 1, 2]}, r"reads two features, such as in_index=\[-2, -1\]; got \[0, 1, 2\]"),
    ("LRASPPHead", {"branch_channels": [4]},
     r"branch_channels has one width per feature before the last: 3 here, got \[4\]"),
    ("LightHamHead", {"ham_kwargs": {"MD_Q": 1}}, "ham_kwargs has no 'MD_Q'. Did you mean"),
    ("LightHamHead", {"ham_kwargs": 4}, "ham_kwargs must be a mapping"),
    ("LightHamHead", {"ham_kwargs": {"MD_S": 3}}, "ham_channels must be a multiple of ham_kwargs.MD_S; got 8 and 3"),
    ("SegformerHead", {"interpolate_mode": "nearest"}, "interpolate_mode has no value 'nearest'.*bilinear, bicubic"),
    ("NLHead", {"mode": "gaussian"}, "mode has no value 'gaussian'.*embedded_gaussian"),
    ("GCHead", {"ratio": 0}, "ratio must be a number above 0; got 0"),
    ("GCHead", {"fusion_types": ["channel_sum"]}, "fusion_types must be a list of some of channel_add, channel_mul"),
    ("ISAHead", {"down_factor": [8]}, "down_factor must be a list of 2 whole numbers"),
    ("SegmenterMaskTransformerHead", {"num_heads": 3}, "embed_dims must be a multiple of num_heads; got 8 and 3"),
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
