"""The factory: parts by name, as modules or as constructors, their arguments, and necks."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.decoders.fcn import FCNDecoder
from geocompose.decoders.upernet import UperNetDecoder
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.heads import SegmentationHead
from geocompose.models import PixelWiseModel
from tests.kit.factory import PYRAMID, TINY, build, logits

# Parts by name, as modules, as constructors


def test_a_part_is_found_by_its_name_with_and_without_the_prefix_of_its_source():
    names = [("prithvi_eo_v2_300", "FCNDecoder"), ("terratorch_prithvi_eo_v2_300", "geocompose_FCNDecoder")]
    for backbone, decoder in names:
        model = build(backbone=backbone, decoder=decoder)
        assert type(model.encoder).__name__ == "PrithviViT"
        assert isinstance(model.decoder, FCNDecoder)
    for backbone in ("timm_test_resnet", "test_resnet"):
        assert len(build(backbone=backbone, backbone_kwargs=None).encoder.out_channels) == 5


def test_the_task_may_be_written_in_any_case():
    assert isinstance(build(task="Segmentation"), PixelWiseModel)


@pytest.mark.parametrize("count", [1, 2])
def test_a_regression_takes_num_classes_that_confirm_its_outputs(count):
    model = build(task="regression", num_classes=count, num_outputs=count)
    assert logits(model).shape == ((1, 64, 64) if count == 1 else (1, 2, 64, 64))
    assert logits(build(task="regression", num_classes=1)).shape == (1, 64, 64)


def test_constructors_are_completed():
    head = partial(SegmentationHead, channel_list=[4])
    model = build(
        backbone=partial(build_prithvi, **TINY), backbone_kwargs=None, decoder=partial(FCNDecoder, channels=12),
        decoder_kwargs=None, head=head
    )  # fmt: skip
    assert model.decoder.out_channels == 12
    assert [tuple(weight.shape[:2]) for weight in model.head.parameters() if weight.ndim == 4] == [(4, 12), (3, 4)]


# Arguments


def test_prefixed_arguments_and_mappings_reach_their_part_alike():
    by_prefix = build(backbone_kwargs=None, decoder_kwargs=None, head_dropout=0.3, head_channel_list=[5],
        decoder_channels=9, **{
        f"backbone_{key}": value for key, value in TINY.items()
    })  # fmt: skip
    by_mapping = build(decoder_kwargs={"channels": 9}, head_kwargs={"dropout": 0.3, "channel_list": [5]})
    assert {k: v.shape for k, v in by_prefix.state_dict().items()} == {
        k: v.shape for k, v in by_mapping.state_dict().items()
    }
    assert by_prefix.decoder.out_channels == 9
    assert any(isinstance(module, nn.Dropout) and module.p == 0.3 for module in by_prefix.head.modules())


def test_the_inner_prefix_of_a_decoder_argument_stays():
    model = build(decoder="smp_Unet", decoder_kwargs=None, decoder_decoder_channels=[16, 8, 4], necks=PYRAMID)
    assert model.decoder.out_channels == 4


def test_the_mappings_of_the_caller_stay_as_they_were():
    given = {
        "backbone_kwargs": dict(TINY),
        "decoder_kwargs": {"channels": 8},
        "head_kwargs": {"dropout": 0.1},
        "necks": copy.deepcopy(PYRAMID),
    }
    before = copy.deepcopy(given)
    build(decoder="UperNetDecoder", head_channel_list=[4], **given)
    assert given == before


def test_an_error_inside_a_constructor_is_told_as_the_part_s():
    def broken(channel_list: list[int]) -> nn.Module:
        raise KeyError("a mistake of the constructor's own")

    with pytest.raises(
        UserError, match=r"decoder broken can't be built: its constructor stopped with KeyError: .* own"
    ) as caught:
        build(decoder=broken, decoder_kwargs=None)
    assert isinstance(caught.value.__cause__, KeyError)
    assert any("while building decoder broken" in note for note in caught.value.__notes__)


# Decoders with their head


class WithHead(nn.Module):
    includes_head = True

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(32, 3, 1)
        self.out_channels = 3

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.conv(features[-1])


def test_a_decoder_that_includes_its_head_gets_no_other():
    for decoder in (WithHead(), "LinearDecoder"):
        model = build(decoder=decoder, decoder_kwargs=None)
        assert isinstance(model.head, nn.Identity)
        assert logits(model).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("decoder", [WithHead(), "LinearDecoder"])
def test_head_arguments_for_a_decoder_with_its_own_head_are_refused(decoder):
    with pytest.raises(UserError, match="includes its head, so head_dropout"):
        build(decoder=decoder, decoder_kwargs=None, head_dropout=0.2)


# Necks


@pytest.mark.parametrize("decoder", ["FCNDecoder", "UperNetDecoder", "UNetDecoder", "smp_Unet"])
def test_planned_necks_are_what_one_could_have_written(decoder):
    factory = EncoderDecoderFactory((64, 64))
    arguments: dict[str, Any] = {
        "task": "segmentation", "backbone": "prithvi_eo_v2_300", "backbone_kwargs": TINY, "decoder": decoder,
        "num_classes": 3,
    }  # fmt: skip
    planned = factory.build_model(**arguments, necks="auto")
    assert factory.plan is not None
    written = EncoderDecoderFactory((64, 64)).build_model(**arguments, necks=factory.plan.necks)
    written.load_state_dict(planned.state_dict(), strict=True)
    assert torch.equal(logits(written), logits(planned))


def test_selected_layers_are_pushed_into_prithvi_which_stops_after_the_last():
    model = build(necks=[{"name": "SelectIndices", "indices": [3, 1]}, {"name": "ReshapeTokensToImage"}])
    ran: list[int] = []
    for index, block in enumerate(model.encoder.blocks):
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
    logits(model)
    assert ran == [0, 1, 2, 3]
    assert model.encoder.out_indices == [3, 1]
    everything = build(necks=None)
    assert list(model.encoder.state_dict()) == list(everything.encoder.state_dict())
    unreached = {name for name, parameter in model.encoder.named_parameters() if not parameter.requires_grad}
    # The decoder reads the last of the two features, layer 1: nothing of the blocks after it reaches the logits.
    after = tuple(f"blocks.{index}." for index in range(2, 6))
    expected = {name for name in model.encoder.state_dict() if name.startswith((*after, "norm."))}
    assert unreached == expected


def test_a_pushed_selection_gives_what_the_neck_alone_would_give():
    necks = [{"name": "SelectIndices", "indices": [-2, 0]}, {"name": "ReshapeTokensToImage"}]
    pushed = build(necks=necks, decoder_in_index=0)
    encoder = build_prithvi("prithvi_eo_v2_300", **TINY)
    encoder.load_state_dict(pushed.encoder.state_dict())
    plain = build(backbone=encoder, backbone_kwargs=None, necks=necks, decoder_in_index=0)
    plain.load_state_dict(pushed.state_dict())
    assert plain.encoder.out_indices == list(range(6))
    assert torch.equal(logits(plain), logits(pushed))


def test_the_coarsest_stride_after_the_necks_decides_the_padding():
    assert build(necks=None).pad_multiple == 16
    assert build(decoder="UperNetDecoder", necks=PYRAMID).pad_multiple == 32


def test_random_numbers_before_and_after_building_do_not_depend_on_the_trial():
    torch.manual_seed(3)
    first = build(decoder=partial(UperNetDecoder, channels=8), decoder_kwargs=None, necks="auto")
    torch.manual_seed(3)
    second = build(decoder="UperNetDecoder", necks="auto")
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
