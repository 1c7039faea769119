"""The activation at the end of a head."""

import sys

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.configuration.checking import check_node
from geocompose.errors import UserError
from geocompose.heads import RegressionHead
from tests.kit.decoded import decoded
from tests.kit.places import CONF


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
        ("Sigmoid",
         "final_act must be a dotted path such as torch.nn.Sigmoid; got 'Sigmoid'. Did you mean 'torch.nn.Sigmoid'"),
        ("", "must be a dotted path such as torch.nn.Sigmoid; got ''"),
        ("torch.nn.Sigmoid()", r"must be a dotted path .* got 'torch.nn.Sigmoid\(\)'"),
        ("..nn.Sigmoid", "must be a dotted path"),
        ("torch.nn.Sigmod", "torch.nn has no 'Sigmod'. Did you mean 'Sigmoid'"),
        ("torch.nnn.Sigmoid", "there is no module torch.nnn"),
        ("nowhere.at.all.Sigmoid", "there is no module nowhere"),
        ("torch.sigmoid", "is the class of a torch module, such as torch.nn.Sigmoid; 'torch.sigmoid' is not"),
        ("collections.OrderedDict", "'collections.OrderedDict' is not"),
        ("torch.nn.Linear", "is built without arguments; Linear needs in_features, out_features"),
        (int, "is the class of a torch module"),
        (3, "is the class of a torch module, .* 3 is not"),
    ],
)  # fmt: skip
def test_what_is_no_activation_is_refused(final_act, message):
    with pytest.raises(UserError, match=message):
        RegressionHead(6, 1, final_act=final_act)


def test_a_path_to_a_function_is_refused_without_calling_it(monkeypatch):
    called = []
    monkeypatch.setattr("os.getcwd", lambda *args: called.append(args))
    with pytest.raises(UserError, match=r"'os\.getcwd' is not"):
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
    with pytest.raises(UserError, match=r"head\.final_act takes text or null; got \[1\]"):
        check_node("head", {**node, "final_act": [1]})
