"""Heads with one output for the whole image."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from geocompose.errors import UserError
from geocompose.heads import ClassificationHead, ScalarRegressionHead
from tests.kit.decoded import GRIDS, decoded, recorded_weights
from tests.kit.shared import needs_parity

IMAGE_LEVEL = [ClassificationHead, ScalarRegressionHead]


# Heads of whole images


@needs_parity
@pytest.mark.parametrize("linear_after_pool", [False, True])
def test_recorded_weights_of_a_classification_head_give_its_logits(linear_after_pool):
    weights = recorded_weights("cls_identity")
    head = ClassificationHead(64, 3, dim_list=[32, 16], dropout=0.2, linear_after_pool=linear_after_pool).eval()
    head.load_state_dict(weights, strict=True)

    def layers(x: Tensor) -> Tensor:
        for block in ("0", "1"):
            x = F.relu(x @ weights[f"head.0.{block}.0.weight"].T + weights[f"head.0.{block}.0.bias"])
        return x @ weights["head.2.weight"].T + weights["head.2.bias"]

    cells = decoded(64).permute(0, 2, 3, 1)
    expected = layers(cells.mean(dim=(1, 2))) if linear_after_pool else layers(cells).mean(dim=(1, 2))
    torch.testing.assert_close(head(decoded(64)), expected, atol=1e-5, rtol=0)


@needs_parity
@pytest.mark.parametrize(("case", "width"), [("cls_mlp", 64), ("cls_tokens_cls", 64), ("cls_multi_temporal", 256)])
@pytest.mark.parametrize("head", IMAGE_LEVEL)
def test_recorded_weights_of_one_layer_load_into_both_heads_of_whole_images(head, case, width):
    built = head(width, 3).eval()
    weights = recorded_weights(case)
    built.load_state_dict(weights, strict=True)
    vector = torch.randn(2, width)
    torch.testing.assert_close(built(vector), vector @ weights["head.2.weight"].T + weights["head.2.bias"])


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("linear_after_pool", [False, True])
@pytest.mark.parametrize("head", IMAGE_LEVEL)
def test_a_map_its_cells_as_tokens_and_their_order_make_no_difference(head, linear_after_pool, grid):
    torch.manual_seed(0)
    built = head(6, 4, dim_list=[5], linear_after_pool=linear_after_pool)
    maps = decoded(6, grid)
    tokens = maps.flatten(2).transpose(1, 2)
    assert built(maps).shape == (2, 4)
    torch.testing.assert_close(built(tokens), built(maps))
    torch.testing.assert_close(built(tokens.flip(1)), built(maps))


@pytest.mark.parametrize("linear_after_pool", [False, True])
@pytest.mark.parametrize("head", IMAGE_LEVEL)
def test_a_vector_is_a_map_of_one_cell(head, linear_after_pool):
    built = head(6, 4, dim_list=[5], linear_after_pool=linear_after_pool)
    vector = torch.randn(3, 6)
    torch.testing.assert_close(built(vector), built(vector[:, :, None, None]))
    torch.testing.assert_close(built(vector), built(vector[:, None]))


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (2, 6, 9), (2, 5), (6,), (2, 6, 3, 4, 4)])
@pytest.mark.parametrize("head", IMAGE_LEVEL)
def test_a_head_of_whole_images_refuses_what_it_cannot_read(head, shape):
    with pytest.raises(UserError, match=rf"{head.__name__} takes a map \(batch, 6, rows, columns\), tokens .* got \("):
        head(6, 2)(torch.zeros(shape))
