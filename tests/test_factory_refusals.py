"""Every argument of build_model, wrong once: what a colleague would answer."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from geocompose.decoders.fcn import FCNDecoder
from geocompose.decoders.linear import LinearDecoder
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.heads import HEADS
from geocompose.imagery.samples import OF_CLASSES
from geocompose.models import AuxiliaryHead
from geocompose.necks import Neck
from tests.kit import factory as kit
from tests.kit.factory import TINY

PRITHVI = {**TINY, "depth": 4}
build = partial(kit.build, backbone_kwargs=PRITHVI)
REGRESSION = {"task": "regression", "num_classes": None}


def aux(*names: str, **arguments: Any) -> dict[str, Any]:
    return {"aux_decoders": [AuxiliaryHead(name, "FCNDecoder", arguments) for name in names]}


WRONG = {
    "task": ({"task": "segmentaton"}, r"There is no task 'segmentaton'. Did you mean 'segmentation'\? Allowed: "
        r".*regression"),
    "task that is no text": ({"task": None}, r"There is no task None"),
    "backbone": ({"backbone": "prithvi_eo_v2_30"}, r"There is no backbone 'prithvi_eo_v2_30'. Did you mean "
        r"'prithvi_eo_v2_300'\?"),
    "backbone that is a number": ({"backbone": 3}, r"A backbone must be a name, a module or a constructor; got int"),
    "decoder": ({"decoder": "UpernetDecodr"}, r"There is no decoder 'UpernetDecodr'. Did you mean 'UperNetDecoder'\?"),
    "decoder of a source": ({"decoder": "smp_Unett"}, r"There is no decoder 'smp_Unett'. Did you mean 'smp_Unet'\?"),
    "backbone_kwargs": ({"backbone_kwargs": {"embed_dm": 32}}, r"takes no argument backbone_embed_dm. Did you mean "
        r"'backbone_embed_dim'\?"),
    "backbone argument": ({"backbone_drop_pth": 0.1}, r"takes no argument backbone_drop_pth. Did you mean "
        r"'backbone_drop_path'\?"),
    "decoder_kwargs": ({"decoder_kwargs": {"chanels": 8}}, r"FCNDecoder takes no argument decoder_chanels. Did you "
        r"mean 'decoder_channels'\?"),
    "head_kwargs": ({"head_kwargs": {"droput": 0.1}}, r"takes no argument head_droput. Did you mean 'head_dropout'\?"),
    "argument given twice": ({"decoder_channels": 4}, r"decoder_channels is given twice: by itself and in "
        r"decoder_kwargs"),
    "argument without a prefix": ({"chanels": 4}, r"build_model takes no argument 'chanels'.*prefix backbone_, "
        r"decoder_ or head_"),
    "argument of the factory": ({"num_clases": 4}, r"build_model takes no argument 'num_clases'.*Did you mean "
        r"'num_classes'\?"),
    "num_classes missing": ({"num_classes": None}, r"segmentation needs num_classes, a whole number, 1 or more; got "
        r"None"),
    "num_classes": ({"num_classes": "3"}, r"segmentation needs num_classes, a whole number, 1 or more; got '3'"),
    "num_classes of a regression": ({"task": "regression"}, r"regression has num_outputs, not num_classes; got "
        r"num_classes=3. Leave it out"),
    "num_classes that contradicts num_outputs": ({**REGRESSION, "num_outputs": 2, "num_classes": 1},
        r"regression has num_outputs, not num_classes; got num_classes=1. Leave it out"),
    "num_outputs of a segmentation": ({"num_outputs": 2}, r"segmentation has num_classes, not num_outputs; got "
        r"num_outputs=2"),
    "num_outputs": ({**REGRESSION, "num_outputs": 0},
        r"regression needs num_outputs, a whole number, 1 or more; got 0"),
    "necks": ({"necks": "pyramid"}, r"necks must be null, 'auto' or a list of necks"),
    "necks misspelt": ({"necks": "atuo"}, r"got 'atuo'. Did you mean 'auto'\?"),
    "necks that are a number": ({"necks": 3}, r"necks must be null, 'auto' or a list of necks such as"),
    "neck that is a text": ({"necks": ["SelectIndices"]}, r"Each neck must be a mapping with a name"),
    "neck without its argument": ({"necks": [{"name": "SelectIndices"}]},
        r"neck.necks\[0\] \(SelectIndices\): missing a required argument: 'indices'"),
    "necks by a prefix": ({"neck_indices": [1]}, r"build_model takes no argument 'neck_indices'"),
    "neck without a name": ({"necks": [{"indices": [0]}]}, r"Each neck must be a mapping with a name"),
    "unknown neck": ({"necks": [{"name": "SelectIndexes", "indices": [0]}]},
        r"There is no neck 'SelectIndexes'. Did you mean 'SelectIndices'\?"),
    "neck argument": ({"necks": [{"name": "SelectIndices", "index": [0]}]},
        r"neck.necks\[0\] \(SelectIndices\) takes no argument 'index'. Did you mean 'indices'\?"),
    "layers beyond the depth": ({"necks": [{"name": "SelectIndices", "indices": [2, 5]}]},
        r"there are 4 features, so indices go from 0 to 3"),
    "tokens for a decoder of maps": ({"necks": [{"name": "SelectIndices", "indices": [0, 1, 2, 3]}]},
        r"FCNDecoder reads maps.*ReshapeTokensToImage"),
    "one scale for a pyramid": ({"decoder": "UperNetDecoder", "decoder_kwargs": {"channels": 8}},
        r"UperNetDecoder needs a pyramid.*LearnedInterpolateToPyramidal"),
    "aux_decoders": ({"aux_decoders": "FCNDecoder"}, r"aux_decoders must be a list of AuxiliaryHead"),
    "one auxiliary head outside a list": ({"aux_decoders": AuxiliaryHead("a", "FCNDecoder")},
        r"aux_decoders must be a list of AuxiliaryHead"),
    "auxiliary head that is a number": ({"aux_decoders": [3]}, r"An auxiliary decoder must be an AuxiliaryHead, or a "
        r"mapping.*got 3"),
    "auxiliary head with an unknown field": ({"aux_decoders": [{"name": "a", "decodr": "FCNDecoder"}]},
        r"An auxiliary decoder has no field 'decodr'. Did you mean 'decoder'\?"),
    "auxiliary head without a decoder": ({"aux_decoders": [{"name": "a"}]}, r"has no decoder; write"),
    "auxiliary head without a prefix": (aux("a", channels=4), r"auxiliary decoder a has the argument 'channels'.*such "
        r"as decoder_channels"),
    "auxiliary head argument": (aux("a", decoder_chanels=4), r"FCNDecoder takes no argument decoder_chanels. Did you "
        r"mean 'decoder_channels'\?"),
    "two auxiliary heads of one name": (aux("a", "a"), r"Two auxiliary decoders are called 'a'"),
    "auxiliary head's name": (aux("a.b"), r"name must be text without dots; got 'a.b'"),
    "auxiliary decoder": ({"aux_decoders": [AuxiliaryHead("a", "FCNDecodr")]},
        r"There is no decoder 'FCNDecodr'. Did you mean 'FCNDecoder'\?"),
    "rescale": ({"rescale": "yes"}, r"rescale must be true or false; got 'yes'"),
    "head": ({"head": "SegmentationHed"}, r"There is no head 'SegmentationHed'. Did you mean 'SegmentationHead'\?"),
    "head that is a number": ({"head": 3}, r"A head must be a name, a module or a constructor; got int"),
    "head argument for a decoder with a head": ({"decoder": "LinearDecoder", "decoder_kwargs": None,
        "head_dropout": 0.1},
        r"LinearDecoder includes its head, so head_dropout \(head\.dropout\) would have no effect; leave it out"),
    "head for a decoder with a head": ({"decoder": "LinearDecoder", "decoder_kwargs": None, "head": nn.Identity()},
        r"LinearDecoder includes its head, so Identity would have no effect; leave it out"),
    "image_size_out": ({"image_size_out": 32},
        r"image_size_out must be rows and columns in pixels, such as \[224, 224\]; "
        r"got 32"),
    "image_size_out beyond the image": ({"image_size_out": [96, 64]},
        r"can't be larger than the image, which has 64 x 64 pixels"),
    "image_size_out of a scalar": ({"task": "classification", "image_size_out": [32, 32]},
        r"image_size_out is for tasks with an output per pixel"),
    "backbone_padding": ({"backbone_padding": "mirror"}, r"backbone_padding has no 'mirror'. Allowed: reflect, "
        r"replicate, constant, circular, null"),
    "backbone_use_temporal": ({"backbone_use_temporal": True, "backbone_temporal_poling": "mean"},
        r"temporal_poling.*Did you mean '(backbone_)?temporal_pooling'\?"),
    "backbone argument for a finished backbone": ({"backbone": nn.Identity(), "backbone_kwargs": {"depth": 3}},
        r"The backbone is a finished module, so backbone_depth would have no effect"),
    "backbone without widths": ({"backbone": nn.Identity(), "backbone_kwargs": None}, r"has no out_channels"),
    "widths of a decoder": ({"decoder": "UNetDecoder", "decoder_kwargs": {"channels": [8]}, "necks": "auto"},
        r"decoder.channels has one width per feature: 4 here, got \[8\]"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_answered_with_what_it_got_what_is_allowed_and_what_to_do(case):
    changes, message = WRONG[case]
    with pytest.raises(UserError, match=f"(?s){message}"):
        build(**changes)


def test_all_arguments_of_build_model_are_wrong_once():
    import inspect

    named = set(inspect.signature(EncoderDecoderFactory.build_model).parameters) - {
        "self",
        "kwargs",
        "peft_config",
    }  # test_peft.py
    assert {name for name in named if not any(name in changes for changes, _ in WRONG.values())} == set()


@pytest.mark.parametrize("task", HEADS)
def test_every_task_takes_auxiliary_decoders_with_arguments_of_their_own(task):
    counts = {"num_classes": 3} if task in OF_CLASSES else {"num_classes": None}
    of_numbers = {"regression": (2, 64, 64), "reconstruction": (2, 64, 64), "scalar_regression": (2,)}
    shape = {"segmentation": (2, 3, 64, 64), **of_numbers}.get(task, (2, 3))
    model = build(
        task=task,
        **counts,
        aux_decoders=[
            AuxiliaryHead("narrow", "FCNDecoder", {"decoder_channels": 4, "decoder_num_convs": 1, "head_dropout": 0.5}),
            {"name": "plain", "decoder": "FCNDecoder", "decoder_args": {"decoder_channels": 6}},
        ],
    )
    returned = model(torch.randn(2, 6, 64, 64))
    assert returned.output.shape == shape
    assert {name: tuple(value.shape) for name, value in returned.auxiliary_heads.items()} == {
        "narrow": shape,
        "plain": shape,
    }
    dropouts = {
        name: [m.p for m in head.modules() if isinstance(m, _DropoutNd)] for name, head in model.aux_heads.items()
    }
    assert 0.5 in dropouts["narrow"]
    assert 0.5 not in dropouts["plain"]
    assert model.aux_heads["narrow"][0].out_channels == 4
    assert model.decoder.out_channels == 8


def test_auxiliary_heads_do_not_get_the_main_heads_arguments():
    model = build(head_dropout=0.3, **aux("a", decoder_channels=4))
    assert any(isinstance(part, _DropoutNd) and part.p == 0.3 for part in model.head.modules())
    assert not any(isinstance(part, _DropoutNd) and part.p == 0.3 for part in model.aux_heads.modules())


def test_features_are_not_cloned_for_a_decoder_or_an_auxiliary_head():
    seen: list[int] = []

    class Watching(nn.Module):
        out_channels = 32

        def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
            seen.append(features[0].data_ptr())
            return features[0]

    model = build(decoder=Watching(), decoder_kwargs=None, aux_decoders=[AuxiliaryHead("a", Watching())])
    seen.clear()
    model(torch.randn(1, 6, 64, 64))
    assert len(seen) == 2
    assert len(set(seen)) == 1


def test_one_output_of_a_regression_has_no_dimension_of_its_own_and_several_have():
    assert build(**REGRESSION)(torch.randn(2, 6, 64, 64)).output.shape == (2, 64, 64)
    assert build(**REGRESSION, num_outputs=2)(torch.randn(2, 6, 64, 64)).output.shape == (2, 2, 64, 64)
    scalar = {"task": "scalar_regression", "num_classes": None}
    assert build(**scalar)(torch.randn(2, 6, 64, 64)).output.shape == (2,)
    assert build(**scalar, num_outputs=2)(torch.randn(2, 6, 64, 64)).output.shape == (2, 2)


def test_one_class_of_a_segmentation_keeps_its_dimension():
    assert build(num_classes=1)(torch.randn(1, 6, 64, 64)).output.shape == (1, 1, 64, 64)


def test_image_size_out_keeps_the_centre():
    torch.manual_seed(0)
    whole = build().eval()
    torch.manual_seed(0)
    centre = build(image_size_out=[32, 16]).eval()
    x = torch.randn(1, 6, 64, 64)
    torch.testing.assert_close(centre(x).output, whole(x).output[..., 16:48, 24:40])


@pytest.mark.parametrize("padding", ["reflect", "replicate", "constant", "circular"])
def test_every_padding_gives_logits_of_the_image(padding):
    assert build(backbone_padding=padding)(torch.randn(1, 6, 50, 37)).output.shape == (1, 3, 50, 37)


def test_without_padding_an_image_that_the_patch_does_not_divide_is_refused():
    model = build(backbone_padding=None)
    assert model(torch.randn(1, 6, 64, 64)).output.shape == (1, 3, 64, 64)
    with pytest.raises(UserError, match=r"Without padding this model can.t take images of 50 x 37 pixels"):
        model(torch.randn(1, 6, 50, 37))


class Halving(Neck):
    """A user's own neck, given as a module or a constructor."""

    def process_channel_list(self, channel_list: list[int]) -> list[int]:
        return list(channel_list)

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        return [feature[..., ::2, ::2] for feature in features]


@pytest.mark.parametrize("neck", [Halving([32] * 4), Halving, partial(Halving)])
def test_necks_may_be_modules_or_constructors(neck):
    model = build(necks=[{"name": "ReshapeTokensToImage"}, neck])
    assert model(torch.randn(1, 6, 64, 64)).output.shape == (1, 3, 64, 64)
    assert any(isinstance(part, Halving) for part in model.neck)


@pytest.mark.parametrize(
    "head", [partial(HEADS["segmentation"], dropout=0.1), "SegmentationHead", "segmentation", nn.Conv2d(8, 3, 1)]
)
def test_a_head_may_be_a_name_a_module_or_a_constructor(head):
    assert build(head=head)(torch.randn(1, 6, 64, 64)).output.shape == (1, 3, 64, 64)


def test_parts_that_do_not_fit_are_refused_before_weights_are_asked_for(monkeypatch):
    def download(*_: object) -> None:
        raise AssertionError("the weights were asked for")

    monkeypatch.setattr("geocompose.backbones.prithvi.weight_file.download", download)
    with pytest.raises(UserError, match="needs a pyramid"):
        build(decoder="UperNetDecoder", backbone_pretrained=True)
    with pytest.raises(AssertionError, match="were asked for"):
        build(backbone_pretrained=True)


KINDS = {
    "text for a switch": ({"backbone_kwargs": {**PRITHVI, "pretrained": "false"}},
        r"backbone_pretrained must be true or false; got 'false'"),
    "text for a number": ({"backbone_kwargs": {**PRITHVI, "num_frames": "3"}},
        r"backbone_num_frames must be a whole number; got '3'"),
    "number for a list": ({"backbone_kwargs": {**PRITHVI, "out_indices": 3}},
        r"backbone_out_indices must be a list of whole numbers or null; got 3"),
    "switch for a number": ({"decoder_kwargs": {"channels": True}},
        r"decoder_channels must be a whole number; got True"),
    "number for a switch": ({"decoder": "UNetDecoder", "decoder_kwargs": {"use_batchnorm": 5}, "necks": "auto"},
        r"decoder_use_batchnorm must be true or false; got 5"),
    "null where there must be a number": ({"head_kwargs": {"dropout": None}},
        r"head_dropout must be a number; got None"),
    "text for the bands of timm": ({"backbone": "timm_resnet18", "backbone_kwargs": {"bands": "RED"}},
        r"backbone_bands must be a list or null; got 'RED'"),
    "switches for the bands of timm": ({"backbone": "timm_resnet18", "backbone_kwargs": {"bands": [True, False]}},
        r"backbone.bands takes names of bands"),
    "share of timm": ({"backbone": "timm_resnet18", "backbone_kwargs": {"drop_path_rate": 5}},
        r"drop_path_rate must be a share from 0 to below 1; got 5"),
    "time steps": ({"backbone_use_temporal": True, "backbone_temporal_n_timestamps": "2"},
        r"backbone_temporal_n_timestamps must be a whole number or null; got '2'"),
    "arguments that are a text": ({"backbone_kwargs": "depth"},
        r"backbone_kwargs must be a mapping of names to values.*got 'depth'"),
    "arguments without names": ({"head_kwargs": {1: 2}},
        r"head_kwargs must be a mapping of names to values.*got \{1: 2\}"),
    "task that is a list": ({"task": ["segmentation"]}, r"There is no task \['segmentation'\]"),
    "auxiliary arguments": ({"aux_decoders": [AuxiliaryHead("a", "FCNDecoder", 5)]},
        r"auxiliary decoder a: decoder_args must be a mapping"),  # type: ignore[arg-type]
    "auxiliary name of torch's": (aux("keys"), r"can't be called 'keys'"),
    "image_size_out of switches": ({"image_size_out": [True, True]},
        r"image_size_out must be rows and columns in pixels"),
    "image_size_out without rescale": ({"image_size_out": [32, 32], "rescale": False},
        r"with rescale=false it is not. Leave one of them out"),
    "classes of a decoder with a head": ({"decoder": "LinearDecoder", "decoder_kwargs": {"num_classes": 5}},
        r"num_classes follows from the composition and is 3 here; got decoder_num_classes=5"),
    "argument in a partial": ({"decoder": partial(FCNDecoder, chanels=5), "decoder_kwargs": None},
        r"FCNDecoder takes no argument decoder_chanels. Did you mean 'decoder_channels'\?"),
    "classes in a partial": ({"decoder": partial(LinearDecoder, num_classes=5), "decoder_kwargs": None},
        r"num_classes follows from the composition and is 3 here"),
    "strides of a decoder": ({"decoder": "LinearDecoder", "decoder_kwargs": {"strides": [2, 2, 2, 2]}},
        r"strides follows from the composition"),
    "pyramid of tokens": ({"necks": [{"name":
        "LearnedInterpolateToPyramidal"}]}, r"neck.necks\[0\] \(LearnedInterpolateToPyramidal\) can't read what it "
            r"gets: 32 ch, 1/16, tokens \(4 times\)\. Tokens are not maps yet: write \{name: ReshapeTokensToImage\} "
            r"before it"),
    "pyramid network on tokens": ({"necks": [{"name": "FeaturePyramidNetworkNeck"}, {"name": "ReshapeTokensToImage"}]},
        r"neck.necks\[0\] \(FeaturePyramidNetworkNeck\) can't read what it gets.*ReshapeTokensToImage"),
}  # fmt: skip


@pytest.mark.parametrize("case", KINDS)
def test_an_argument_of_another_kind_is_answered_before_a_constructor_trips_over_it(case):
    changes, message = KINDS[case]
    with pytest.raises(UserError, match=f"(?s){message}"):
        build(**changes)


@pytest.mark.parametrize("size", [64, (64,), "64", (64.0, 64.0), (0, 64)])
def test_an_image_size_that_is_none_is_refused(size):
    with pytest.raises(UserError, match="image_size must be rows and columns in pixels"):
        EncoderDecoderFactory(size)


def test_numbers_of_numpy_are_numbers():
    model = build(
        num_classes=np.int64(3),
        backbone_kwargs={**PRITHVI, "img_size": np.int64(64)},
        decoder_kwargs={"channels": np.int32(8)},
        image_size_out=[np.int64(32), np.int64(16)],
    )
    assert model(torch.randn(1, 6, 64, 64)).output.shape == (1, 3, 32, 16)


def test_a_part_of_your_own_may_take_more_than_its_annotations_say():
    class Liberal(FCNDecoder):
        def __init__(self, channel_list: list[int], width: int) -> None:
            super().__init__(channel_list, channels=int(width))

    assert build(decoder=Liberal, decoder_kwargs={"width": "8"}).decoder.out_channels == 8
