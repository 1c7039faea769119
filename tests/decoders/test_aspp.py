"""Atrous spatial pyramid pooling."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from geocompose.decoders.aspp import ASPPDecoder, ASPPRegressionHead, ASPPSegmentationHead
from geocompose.errors import UserError
from tests.kit.decoder_cases import shake

# Atrous pooling


def test_atrous_pooling_is_branches_of_each_dilation_and_the_whole_joined():
    decoder = shake(ASPPDecoder([6, 5], dilations=[1, 3], channels=4)).eval()
    x = torch.randn(2, 5, 7, 9)
    weights = decoder.state_dict()

    def block(prefix: str, x: Tensor, **more: int) -> Tensor:
        norm = [weights[f"{prefix}.norm.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(F.conv2d(x, weights[f"{prefix}.conv.weight"], **more), *norm).relu()

    whole = block("image_pool.1", x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, 7, 9)
    branches = [
        block("aspp_modules.model_sequence.0", x),
        block("aspp_modules.model_sequence.1", x, dilation=3, padding=3),
    ]
    expected = block("bottleneck", torch.cat([whole, *branches], dim=1), padding=1)
    with torch.no_grad():
        torch.testing.assert_close(decoder([torch.randn(2, 6, 14, 18), x]), expected)
    assert weights["aspp_modules.model_sequence.0.conv.weight"].shape == (4, 5, 1, 1)
    assert weights["aspp_modules.model_sequence.1.conv.weight"].shape == (4, 5, 3, 3)


@pytest.mark.parametrize("align_corners", [True, False])
def test_atrous_pooling_reads_several_features_resized_to_the_first_of_them(align_corners):
    joined = shake(ASPPDecoder([4, 6], [1, 2], 10, 4, align_corners, "resize_concat", [1, 0])).eval()
    single = ASPPDecoder([10], [1, 2], channels=4, align_corners=align_corners).eval()
    single.load_state_dict(joined.state_dict())
    coarse, fine = torch.randn(1, 4, 4, 6), torch.randn(1, 6, 8, 12)
    resized = F.interpolate(coarse, size=(8, 12), mode="bilinear", align_corners=align_corners)
    with torch.no_grad():
        torch.testing.assert_close(joined([coarse, fine]), single([torch.cat([fine, resized], dim=1)]))


@pytest.mark.parametrize(("head", "last"), [(ASPPSegmentationHead, "conv_seg"), (ASPPRegressionHead, "conv_reg")])
def test_atrous_pooling_with_its_head_ends_in_dropout_and_one_convolution(head, last):
    decoder = shake(head([5], num_classes=3, channels=4, head_dropout_ratio=0.5)).eval()
    base = ASPPDecoder([5], channels=4).eval()
    base.load_state_dict({name: value for name, value in decoder.state_dict().items() if not name.startswith(last)})
    x = [torch.randn(2, 5, 7, 9)]
    with torch.no_grad():
        torch.testing.assert_close(decoder(x), getattr(decoder, last)(base(x)))
        decoder.train()
        assert not torch.equal(decoder(x), decoder(x))
    assert decoder.out_channels == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dilations": []}, r"ASPPDecoder: dilations must be a list of one or more, such as \[1, 6, 12, 18\]"),
        ({"dilations": [1, 0]}, "dilations must be a whole number, 1 or more; got 0"),
        ({"dilations": 6}, "dilations must be a list"),
        ({"channels": 0}, "ASPPDecoder: channels must be a whole number, 1 or more; got 0"),
        ({"in_channels": 7}, "in_channels follows from the features and is 8 here; got 7"),
        ({"in_index": 2}, r"ASPPDecoder: in_index goes from -2 to 1 for 2 features; got 2"),
        ({"in_index": [0, 1]}, r"one number, or a list with input_transform=resize_concat; got \[0, 1\]"),
        ({"in_index": 0, "input_transform": "resize_concat"}, "got 0 with input_transform=resize_concat"),
        ({"in_index": [], "input_transform": "resize_concat"}, "in_index must be a list of one or more features"),
        ({"input_transform": "multiple_select"}, "transform must be null or resize_concat; got 'multiple_select'"),
    ],
)
def test_wrong_arguments_of_atrous_pooling_are_told(arguments, message):
    with pytest.raises(UserError, match=message):
        ASPPDecoder([4, 8], **arguments)


@pytest.mark.parametrize("head", [ASPPSegmentationHead, ASPPRegressionHead])
def test_a_dropout_of_all_channels_is_refused(head):
    with pytest.raises(UserError, match="head_dropout_ratio must be from 0 to below 1; got 1"):
        head([4], num_classes=2, head_dropout_ratio=1)
