"""What holds for every registered decoder."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from geocompose.contracts.needs import Needs, needs_of
from geocompose.decoders.smp.architectures import ARCHITECTURES
from geocompose.decoders.smp.decoder import SmpDecoder
from geocompose.registry import DECODER_REGISTRY
from tests.kit.decoder_cases import SMALL, build, features, shake

SIZES = [(64, 64), (64, 160), (160, 64), (96, 32)]  # (96, 32): 6 x 2 tokens and 3 x 1 cells


def test_every_registered_decoder_is_tested_here():
    tested = {name for name, *_ in SMALL.values()} | {"ASPPHead"}
    ours = {name for name in DECODER_REGISTRY if not name.startswith("mmseg_")}
    assert ours == tested
    assert len(ARCHITECTURES) == 12


# All of them


@pytest.mark.parametrize("case", SMALL)
def test_the_output_is_as_wide_and_as_fine_as_the_decoder_says(case):
    decoder, stride = build(case), SMALL[case][3]
    for training in (True, False):
        decoder.train(training)
        for rows, columns in SIZES:
            given = features(case, rows, columns)
            before = [feature.clone() for feature in given]
            with torch.no_grad():
                output = decoder(given)
            assert output.shape == (2, decoder.out_channels, rows // stride, columns // stride)
            assert output.isfinite().all()
            assert all(torch.equal(one, other) for one, other in zip(given, before, strict=True)), "its input changed"


@pytest.mark.parametrize("case", SMALL)
def test_one_image_in_training_with_maps_of_one_cell_is_no_error(case):
    """Batch norm at batch size 1 where pooling leaves one value a channel."""
    output = build(case).train()([feature.requires_grad_() for feature in features(case, 32, 32, batch=1)])
    assert output.isfinite().all()
    output.sum().backward()


@pytest.mark.parametrize("case", SMALL)
def test_gradients_reach_every_parameter_of_a_decoder(case):
    decoder = build(case).train()
    decoder([feature.requires_grad_() for feature in features(case, 64, 96)]).square().mean().backward()
    assert [name for name, parameter in decoder.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("case", SMALL)
def test_a_decoder_is_copied_stored_and_exported(case):
    decoder = shake(build(case)).eval()
    given = features(case, 64, 96)
    with torch.no_grad():
        before = decoder(given)
        for copied in (copy.deepcopy(decoder), pickle.loads(pickle.dumps(decoder))):
            assert torch.equal(copied(given), before)
        other = build(case).eval()
        other.load_state_dict(decoder.state_dict(), strict=True)
        assert torch.equal(other(given), before)
        exported = torch.export.export(decoder, (given,)).module()
        torch.testing.assert_close(exported(given), before)


@pytest.mark.parametrize("case", SMALL)
def test_includes_head_means_the_same_on_class_module_and_source(case):
    """TerraTorch's class, module and registry disagree."""
    name, decoder = SMALL[case][0], build(case)
    assert type(decoder).includes_head is decoder.includes_head
    assert DECODER_REGISTRY.includes_head(name) is decoder.includes_head
    assert decoder.includes_head is (name in ("LinearDecoder", "ASPPSegmentationHead", "ASPPRegressionHead"))
    assert DECODER_REGISTRY.includes_head("smp_Unet") is SmpDecoder.includes_head is False


@pytest.mark.parametrize("case", SMALL)
def test_a_finished_decoder_needs_what_its_class_needs_with_these_arguments(case):
    name, arguments, _, _ = SMALL[case]
    decoder = build(case)
    given = {"arch": name.removeprefix("smp_"), "kwargs": arguments} if name.startswith("smp_") else arguments
    assert needs_of(decoder, {}) == needs_of(type(decoder), given)


def test_a_decoder_takes_a_coarsest_level_of_one_cell_in_training_and_after():
    """One image, one cell, as many groups as channels: torch's group norm stops there."""
    decoder = SmpDecoder([8, 8, 8, 8], "FPN", {"segmentation_channels": 32, "pyramid_channels": 8})
    given = [torch.randn(1, 8, size, size) for size in (8, 4, 2, 1)]
    for training in (True, False):
        assert decoder.train(training)(given).isfinite().all()
    norm = decoder.get_submodule("_smp_decoder.seg_blocks.0.block.0.block.1")
    x = torch.randn(1, 32, 3, 3)
    torch.testing.assert_close(norm(x), F.group_norm(x, 32, norm.weight, norm.bias, norm.eps))


def test_a_decoder_that_declares_nothing_takes_any_maps():
    assert needs_of(nn.Identity(), {}) == needs_of(nn.Identity, {}) == Needs()
