"""Heads compute what they say, take the weights recorded from TerraTorch, and refuse what they can't be built with."""

import copy
import pickle
import sys

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.configuration.checking import check_node
from geocompose.errors import UserError
from geocompose.heads import HEADS, ClassificationHead, RegressionHead, ScalarRegressionHead, SegmentationHead
from geocompose.imagery.samples import Target
from tests.kit.places import CONF
from tests.kit.shared import PARITY, needs_parity

IMAGE_LEVEL = [ClassificationHead, ScalarRegressionHead]
GRIDS = [pytest.param((6, 6), id="square"), pytest.param((2, 7), id="wide"), pytest.param((7, 2), id="tall")]


def decoded(channels: int, grid: tuple[int, int] = (4, 6), batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, *grid, generator=torch.Generator().manual_seed(0))


def recorded_weights(case: str) -> dict[str, Tensor]:
    start = "model.head."
    weights = load_file(PARITY / f"{case}.safetensors")
    return {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}


# The table


def test_every_kind_of_target_has_a_head_and_an_option():
    kinds = set(Target.__dataclass_fields__["kind"].type.__args__)
    assert set(HEADS) == kinds == {path.stem for path in (CONF / "head").glob("*.yaml")}
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


class Halved(nn.Module):
    """An activation of a user's own."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 2


@pytest.mark.parametrize(
    ("final_act", "function"),
    [
        (None, lambda x: x),
        ("torch.nn.Sigmoid", torch.sigmoid),
        ("torch.nn.modules.activation.ReLU", torch.relu),
        (f"{__name__}.Halved", lambda x: x / 2),
        (nn.Softplus, F.softplus),
        (nn.Hardtanh(0.0, 1.0), lambda x: x.clamp(0, 1)),
    ],
)
def test_the_final_activation_is_a_path_a_class_or_a_module(final_act, function):
    torch.manual_seed(0)
    head = RegressionHead(6, 2, final_act=final_act)
    torch.testing.assert_close(head(decoded(6)), function(head.head(decoded(6))))


def test_a_final_activation_with_weights_learns():
    head = RegressionHead(6, 2, final_act="torch.nn.PReLU")
    head(decoded(6)).sum().backward()
    assert head.final_act.weight.grad is not None


@pytest.mark.parametrize(
    ("final_act", "message"),
    [
        ("Sigmoid", "head.final_act is a dotted path such as torch.nn.Sigmoid; got 'Sigmoid'. Did you mean 'torch.nn.Sigmoid'"),
        ("", "is a dotted path such as torch.nn.Sigmoid; got ''"),
        ("torch.nn.Sigmoid()", r"is a dotted path .* got 'torch.nn.Sigmoid\(\)'"),
        ("..nn.Sigmoid", "is a dotted path"),
        ("torch.nn.Sigmod", "torch.nn has no 'Sigmod'. Did you mean 'Sigmoid'"),
        ("torch.nnn.Sigmoid", "there is no module torch.nnn"),
        ("nowhere.at.all.Sigmoid", "there is no module nowhere"),
        ("torch.sigmoid", "is the class of a torch module, such as torch.nn.Sigmoid; 'torch.sigmoid' is none"),
        ("collections.OrderedDict", "'collections.OrderedDict' is none"),
        ("torch.nn.Linear", "is built without arguments; Linear needs in_features, out_features"),
        (int, "is the class of a torch module"),
        (3, "is the class of a torch module, .* 3 is none"),
    ],
)  # fmt: skip
def test_what_is_no_activation_is_refused(final_act, message):
    with pytest.raises(UserError, match=message):
        RegressionHead(6, 1, final_act=final_act)


def test_a_path_to_a_function_is_refused_without_calling_it(monkeypatch):
    called = []
    monkeypatch.setattr("os.getcwd", lambda *args: called.append(args))
    with pytest.raises(UserError, match=r"'os\.getcwd' is none"):
        RegressionHead(6, 1, final_act="os.getcwd")
    assert called == []


def test_a_module_that_fails_on_its_own_import_shows_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "lacking.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        RegressionHead(6, 1, final_act="lacking.Act")
    assert "lacking" not in sys.modules


def test_the_configuration_refuses_what_no_activation_can_be():
    node = yaml.safe_load((CONF / "head" / "regression.yaml").read_text())
    assert check_node("head", {**node, "final_act": "torch.nn.ReLU"})["final_act"] == "torch.nn.ReLU"
    with pytest.raises(UserError, match=r"head\.final_act takes a text or null; got \[1\]"):
        check_node("head", {**node, "final_act": [1]})


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


# What every head owes

BUILT = {
    "segmentation": {"channel_list": [4, 4], "dropout": 0.2},
    "regression": {"learned_upscale_layers": 1, "channel_list": [4], "dropout": 0.2, "final_act": "torch.nn.Softplus"},
    "classification": {"dim_list": [4, 4], "dropout": 0.2},
    "multilabel": {"dim_list": [4], "linear_after_pool": True},
    "scalar_regression": {"dim_list": [4], "dropout": 0.2},
}


def built(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return HEADS[kind](6, 3, **BUILT[kind])


@pytest.mark.parametrize("kind", HEADS)
def test_gradients_reach_every_parameter_of_a_head(kind):
    head, given = built(kind).train(), decoded(6).requires_grad_()
    head(given).square().sum().backward()
    assert [name for name, parameter in head.named_parameters() if not parameter.grad.abs().sum() > 0] == []
    assert given.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", HEADS)
def test_copies_of_a_head_and_its_state_give_the_same_outputs(kind):
    head, other = built(kind).eval(), HEADS[kind](6, 3, **BUILT[kind]).eval()
    expected = head(decoded(6))
    other.load_state_dict(head.state_dict(), strict=True)
    for copied in (copy.deepcopy(head), pickle.loads(pickle.dumps(head)), other):
        assert torch.equal(copied(decoded(6)), expected)


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_is_exported(kind):
    head = built(kind).eval()
    program = torch.export.export(head, (decoded(6),))
    torch.testing.assert_close(program.module()(decoded(6)), head(decoded(6)))


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_takes_the_lists_of_a_configuration(kind):
    plain = {key: value for key, value in BUILT[kind].items() if isinstance(value, list)}
    configured = HEADS[kind](6, 3, **OmegaConf.create(plain))
    shapes = [
        [value.shape for value in head.state_dict().values()] for head in (configured, HEADS[kind](6, 3, **plain))
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("kind", HEADS)
def test_dropout_acts_in_training_alone(kind):
    torch.manual_seed(0)
    head, given = HEADS[kind](64, 3, dropout=0.5), decoded(64)
    assert not torch.equal(head.train()(given), head(given))
    assert torch.equal(head.eval()(given), head(given))


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        *((kind, {"dropout": dropout}, rf"head\.dropout is from 0 to below 1; got {dropout}") for kind in HEADS for dropout in (1, -0.1)),
        ("segmentation", {"dropout": "0.1"}, "head.dropout is from 0 to below 1; got '0.1'"),
        ("segmentation", {"channel_list": 16}, r"head.channel_list is a list, such as \[32, 16\]; got 16"),
        ("segmentation", {"channel_list": [0]}, "Each of head.channel_list is a whole number, 1 or more; got 0"),
        ("regression", {"channel_list": [1.5]}, "Each of head.channel_list is a whole number, 1 or more; got 1.5"),
        ("regression", {"learned_upscale_layers": -1}, "head.learned_upscale_layers is a whole number, 0 or more; got -1"),
        ("classification", {"dim_list": 8}, "head.dim_list is a list, such as .*; got 8"),
        ("scalar_regression", {"dim_list": [-8]}, "Each of head.dim_list is a whole number, 1 or more; got -8"),
    ],
)  # fmt: skip
def test_an_argument_of_a_head_that_cannot_be_is_refused(kind, arguments, message):
    with pytest.raises(UserError, match=message):
        HEADS[kind](6, 3, **arguments)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("segmentation", "SegmentationHead: num_classes"),
        ("regression", "RegressionHead: num_outputs"),
        ("classification", "ClassificationHead: the number of outputs"),
        ("scalar_regression", "ScalarRegressionHead: the number of outputs"),
    ],
)
def test_a_head_has_an_output_or_more(kind, name):
    with pytest.raises(UserError, match=f"{name} is a whole number, 1 or more; got 0"):
        HEADS[kind](6, 0)
