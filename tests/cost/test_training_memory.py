"""What the doctor counts on the meta device: operations, storages and the memory of training."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from geocompose.contracts.one_piece import in_one_piece
from geocompose.cost.ledger import Flops, Ledger
from geocompose.cost.training_memory import optimizer_slots, training_memory
from geocompose.doctor.kept import KeptBackbones
from geocompose.imagery.samples import Target
from geocompose.models.output import ModelOutput

TARGET = Target("classification", ("a", "b", "c"))
ADAMW = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 1e-3}


class Hidden(nn.Module):
    """Two linear layers on a vector, with a nonlinearity that keeps its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, width), nn.GELU(), nn.Linear(width, 3))

    def forward(self, image: torch.Tensor) -> ModelOutput:
        return ModelOutput(self.layers(image.flatten(1)))


def memory(model: nn.Module, batch: int = 10, **changes):
    config = {"optimizer": ADAMW, "trainer": {"precision": "32-true", "ema_decay": None}} | changes
    image = torch.empty(batch, 1, 2, 2, device="meta")
    return training_memory(model, {"image": image}, TARGET, config)


def hidden(width: int = 1000) -> Hidden:
    with torch.device("meta"):
        return Hidden(width)


def test_memory_is_weights_gradients_optimizer_and_what_the_forward_keeps():
    parameters = 5 * 1000 + 1001 * 3
    found = memory(hidden())
    assert found.weights == found.gradients == 4 * parameters
    assert found.optimizer == 2 * 4 * parameters
    # The nonlinearity keeps its input, the second layer its own; ten of each, with little beside it.
    assert 2 * 40_000 <= found.kept < 2 * 40_000 + 1000
    assert found.batch == 10 * 4 * 4 + 10 * 8
    assert memory(hidden(), batch=20).kept == pytest.approx(2 * found.kept, rel=0.01)


def test_what_does_not_learn_has_no_gradient_and_no_optimizer_state():
    model = hidden()
    model.layers[0].requires_grad_(False)
    found = memory(model)
    assert found.gradients == 4 * 3003
    assert found.optimizer == 8 * 3003
    # The nonlinearity has nothing to hand back to.
    assert found.kept < memory(hidden()).kept


def test_precision_and_averaged_weights_count():
    whole = memory(hidden())
    averaged = memory(hidden(), trainer={"precision": "32-true", "ema_decay": 0.99})
    assert averaged.weights == 2 * whole.weights
    half = memory(hidden(), trainer={"precision": "bf16-true", "ema_decay": None})
    assert (half.weights, half.optimizer, half.kept) == (whole.weights / 2, whole.optimizer / 2, whole.kept // 2)
    mixed = memory(hidden(), trainer={"precision": "16-mixed", "ema_decay": None})
    assert mixed.weights == 1.5 * whole.weights
    assert (mixed.optimizer, mixed.kept) == (whole.optimizer, whole.kept // 2)


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        ({"_target_": "torch.optim.AdamW"}, 2),
        ({"_target_": "torch.optim.SGD", "lr": 0.1}, 0),
        ({"_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9}, 1),
        ({"_target_": "torch.optim.RMSprop"}, 1),
    ],
)
def test_an_optimizers_state_is_what_it_keeps(optimizer, slots):
    assert optimizer_slots({**optimizer, "_partial_": True}) == slots


def test_a_ledger_enters_storages_once_and_strikes_them_out_at_their_end():
    known = torch.empty(100, device="meta")
    ledger = Ledger([known])
    with ledger:
        view = known.view(10, 10)
        assert ledger.live == 0
        first = view + 1
        same = first.t()
        assert (ledger.live, ledger.peak) == (400, 400)
        second = torch.cat([same, same])
        del first, same
        assert (ledger.live, ledger.peak, ledger.largest) == (800, 1200, 800)
        del second
        assert ledger.live == 0


class Twice(nn.Module):
    """Sums and products, of tensors alike and not."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (image + image) * image + image[:, :, :1] * 2 + image.transpose(1, 0).transpose(1, 0)


def operations() -> list[nn.Module]:
    return [
        nn.Upsample(size=(7, 9), mode="bilinear"),
        nn.Upsample(scale_factor=2, mode="bicubic"),
        nn.Upsample(scale_factor=3, mode="nearest"),
        nn.BatchNorm2d(4),
        nn.BatchNorm2d(4).eval(),
        nn.BatchNorm2d(4, affine=False),
        nn.LayerNorm([8]),
        nn.LayerNorm([6, 8], elementwise_affine=False),
        nn.Sequential(nn.Linear(8, 5), nn.GELU()),
        nn.Sequential(nn.Flatten(0, 2), nn.Linear(8, 5)),
        Twice(),
    ]


@pytest.mark.parametrize("layer", operations(), ids=str)
def test_an_operation_in_one_piece_returns_the_shape_of_the_real_one_and_the_gradient_too(layer):
    expected = layer(torch.randn(2, 4, 6, 8))
    image = torch.empty(2, 4, 6, 8, device="meta", requires_grad=True)
    with in_one_piece():
        found = layer.to("meta")(image)
    assert (found.shape, found.dtype, found.stride()) == (expected.shape, expected.dtype, expected.stride())
    found.sum().backward()
    assert image.grad.shape == image.shape


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.LayerNorm(5), (2, 4, 6, 8)), (nn.BatchNorm2d(3), (2, 4, 6, 8)), (nn.Linear(5, 2), (2, 4))]
)
def test_shapes_that_do_not_fit_are_refused_in_one_piece_too(layer, shape):
    with in_one_piece(), pytest.raises((RuntimeError, ValueError)):
        layer.to("meta")(torch.empty(shape, device="meta"))


@pytest.mark.parametrize("given", [{}, {"is_causal": True}, {"scale": 0.3}, {"attn_mask": "fixed"}])
def test_attention_keeps_no_matrix_of_pairs_where_a_real_device_keeps_none(given):
    kept = {}
    for tokens in (100, 200):
        query = torch.empty(1, 2, tokens, 16, device="meta", requires_grad=True)
        mask = torch.empty(tokens, tokens, device="meta") if given else None
        more = {**given, "attn_mask": mask} if "attn_mask" in given else given
        ledger = Ledger([query] if mask is None else [query, mask])
        with in_one_piece(), ledger:
            output = F.scaled_dot_product_attention(query, query, query, **more)
            kept[tokens] = ledger.live
        assert output.shape == query.shape
    assert kept[200] <= 2 * kept[100]


def test_attention_with_a_mask_that_learns_is_taken_apart_as_on_a_real_device():
    query = torch.empty(1, 2, 100, 16, device="meta", requires_grad=True)
    mask = torch.empty(100, 100, device="meta", requires_grad=True)
    ledger = Ledger([query, mask])
    with in_one_piece(), ledger:
        output = F.scaled_dot_product_attention(query, query, query, mask)
        assert ledger.live > 2 * 100 * 100 * 4
    assert output.shape == query.shape


def test_operations_are_counted_as_torch_counts_them():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, groups=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)).to("meta")
    image = torch.empty(2, 3, 8, 8, device="meta")
    with FlopCounterMode(display=False) as theirs:
        model(image)
    with Flops() as ours:
        model(image)
    assert ours.total == theirs.get_total_flops() > 0
    query = torch.empty(1, 2, 100, 16, device="meta")
    with FlopCounterMode(display=False) as theirs:
        F.scaled_dot_product_attention(query, query, query)
    with in_one_piece(), Flops() as ours:
        F.scaled_dot_product_attention(query, query, query)
    assert ours.total == theirs.get_total_flops() == 2 * 2 * 2 * 100 * 100 * 16


def test_a_backbone_is_built_once_and_handed_out_in_copies():
    built = []

    def backbone(width: int, bands: list[str] | None = None) -> nn.Module:
        built.append(width)
        return nn.Linear(width, width)

    keep = KeptBackbones().keeping
    first, second = keep(partial(backbone, 3, bands=["RED"]))(), keep(partial(backbone, 3))(bands=["RED"])
    assert built == [3]
    assert first is not second
    first.weight.data.zero_()
    assert second.weight.any()
    keep(partial(backbone, 3))(bands=["BLUE"])
    assert built == [3, 3]
    assert keep(backbone).__name__ == "backbone"
