"""mmsegmentation's decode heads compute what mmseg computes, with every documented value."""

from typing import Any

import pytest
import torch
from torch import Tensor

from geocompose.decoders.mmseg import library as mmseg_import
from geocompose.decoders.mmseg.heads import HEADS
from geocompose.errors import UserError
from tests.kit.mmseg_heads import SMALL, STRIDES, built, needs_mmseg, widths

OF_ONE_SCALE = ("DPTHead", "SETRMLAHead")


def features(name: str, batch: int = 2, rows: int = 64, columns: int = 96) -> list[Tensor]:
    draw = torch.Generator().manual_seed(rows)
    strides = [16] * 4 if name in OF_ONE_SCALE else STRIDES
    return [
        torch.randn(batch, width, rows // stride, columns // stride, generator=draw)
        for width, stride in zip(widths(name), strides, strict=True)
    ]


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
