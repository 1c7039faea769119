"""Heads of segmentation and pixel-wise regression."""

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.heads import HEADS, RegressionHead, SegmentationHead
from geocompose.imagery.samples import Target
from tests.kit.decoded import GRIDS, decoded, recorded_weights
from tests.kit.places import CONF
from tests.kit.shared import needs_parity

# The table


def test_every_kind_of_target_has_a_head_and_an_option():
    kinds = set(Target.__dataclass_fields__["kind"].type.__args__)
    assert set(HEADS) == kinds == {path.stem for path in (CONF / "head").glob("*.yaml")} - {"own"}
    for kind, head in HEADS.items():
        target = yaml.safe_load((CONF / "head" / f"{kind}.yaml").read_text())["_target_"]
        assert target == f"{head.__module__}.{head.__name__}"


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_is_built_from_the_width_and_the_number_of_outputs_and_its_options_defaults(kind):
    option = yaml.safe_load((CONF / "head" / f"{kind}.yaml").read_text())
    own = {key: value for key, value in option.items() if not key.startswith("_")}
    torch.manual_seed(0)
    head = HEADS[kind](5, 3, **own).eval()
    torch.manual_seed(0)
    bare = HEADS[kind](5, 3).eval()
    given = decoded(5)
    assert head(given).shape == ((2, 3, 4, 6) if Target(kind, ("a", "b", "c")).pixel_wise else (2, 3))
    assert torch.equal(head(given), bare(given))


# Segmentation


@needs_parity
def test_recorded_weights_of_a_segmentation_head_give_its_logits():
    weights = recorded_weights("seg_upernet_head_channels")
    head = SegmentationHead(32, 3, channel_list=[32, 16], dropout=0.1).eval()
    head.load_state_dict(weights, strict=True)
    x = decoded(32)
    for block in ("0", "1"):
        x = F.relu(F.conv2d(x, weights[f"head.0.{block}.0.weight"], weights[f"head.0.{block}.0.bias"], padding=1))
    expected = F.conv2d(x, weights["head.2.weight"], weights["head.2.bias"])
    torch.testing.assert_close(head(decoded(32)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("grid", GRIDS)
def test_segmentation_logits_have_the_resolution_of_the_map(grid):
    for channel_list in (None, [], [4], [4, 5]):
        assert SegmentationHead(8, 3, channel_list=channel_list)(decoded(8, grid)).shape == (2, 3, *grid)


# Regression


@needs_parity
def test_recorded_weights_of_a_regression_head_give_its_outputs():
    weights = recorded_weights("reg_upernet")
    head = RegressionHead(32, 1, learned_upscale_layers=1, channel_list=[16], final_act="torch.nn.Sigmoid").eval()
    head.load_state_dict(weights, strict=True)

    def normed(x: Tensor, name: str) -> Tensor:
        values = (weights[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return F.relu(F.batch_norm(x, *values, training=False, eps=1e-5))

    x = decoded(32)
    x = F.conv2d(x, weights["head.0.0.conv.weight"], weights["head.0.0.conv.bias"], padding=1)
    # Four channels become a square of four pixels.
    x = x.reshape(2, 32, 2, 2, 4, 6).permute(0, 1, 4, 2, 5, 3).reshape(2, 32, 8, 12)
    x = normed(x, "head.0.0.bn")
    x = normed(F.conv2d(x, weights["head.1.0.0.weight"], padding=1), "head.1.0.1")
    expected = torch.sigmoid(F.conv2d(x, weights["head.3.weight"], weights["head.3.bias"]))
    torch.testing.assert_close(head(decoded(32)), expected, atol=1e-5, rtol=0)


@needs_parity
def test_recorded_weights_of_a_plain_regression_head_are_one_linear_map():
    weights = recorded_weights("reg_fcn")
    head = RegressionHead(32, 1).eval()
    head.load_state_dict(weights, strict=True)
    expected = torch.einsum("bchw,oc->bohw", decoded(32), weights["head.1.weight"][:, :, 0, 0]) + weights["head.1.bias"]
    torch.testing.assert_close(head(decoded(32)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("learned_upscale_layers", [0, 1, 3])
@pytest.mark.parametrize("channel_list", [None, [4], [4, 3]])
def test_each_learned_upscale_of_a_regression_head_doubles_the_resolution(grid, learned_upscale_layers, channel_list):
    head = RegressionHead(6, 2, learned_upscale_layers=learned_upscale_layers, channel_list=channel_list)
    rows, columns = (size * 2**learned_upscale_layers for size in grid)
    assert head(decoded(6, grid)).shape == (2, 2, rows, columns)


def test_a_regression_head_without_batch_norm_has_none_and_its_convolutions_a_bias():
    arguments = {"learned_upscale_layers": 1, "channel_list": [4]}
    with_norm, without = (RegressionHead(6, 1, **arguments, batch_norm=norm) for norm in (True, False))
    norms = [[m for m in head.modules() if isinstance(m, nn.BatchNorm2d)] for head in (with_norm, without)]
    assert [len(found) for found in norms] == [2, 0]
    missing = without.state_dict().keys() - with_norm.state_dict().keys()
    assert missing == {"head.1.0.0.bias"}
    assert without(decoded(6)).shape == with_norm(decoded(6)).shape


def test_dropout_of_a_regression_head_drops_whole_channels():
    head = RegressionHead(64, 1, dropout=0.5).train()
    nn.init.ones_(head.head[-1].weight)
    nn.init.zeros_(head.head[-1].bias)
    torch.manual_seed(0)
    values = head(torch.ones(1, 64, 5, 5))
    # With whole channels every pixel keeps the same ones.
    assert values.unique().numel() == 1
    assert values[0, 0, 0, 0] != 64
    assert torch.equal(head.eval()(torch.ones(1, 64, 5, 5)), torch.full((1, 1, 5, 5), 64.0))
