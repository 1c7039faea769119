"""A foreign backbone is built once for the trial of a composition and once for real, whoever asks about it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import segmentation_models_pytorch.encoders
import timm
import torch
from torch import nn

from geocompose.backbones.foreign.memory import forget, looked_at, remembered
from geocompose.backbones.timm.architecture import architecture_of
from geocompose.backbones.transformers.config import Definition
from geocompose.factory import EncoderDecoderFactory

FEW = {"num_hidden_layers": 4, "hidden_size": 48, "num_attention_heads": 4}


class Devices(list[str]):
    """The kinds of devices on which something was built, in order."""

    def count_calls(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **kwargs: Any) -> Any:
            self.append(torch.get_default_device().type)
            return real(*args, **kwargs)

        return counting


@pytest.fixture
def built(monkeypatch) -> Iterator[Devices]:
    """Count what timm, smp and transformers build, none of which is known yet."""
    devices = Devices()
    monkeypatch.setattr(timm, "create_model", devices.count_calls(timm.create_model))
    encoders = segmentation_models_pytorch.encoders
    monkeypatch.setattr(encoders, "get_encoder", devices.count_calls(encoders.get_encoder))
    monkeypatch.setattr(Definition, "create", devices.count_calls(Definition.create))
    forget()
    architecture_of.cache_clear()
    return devices


def compose(backbone: str, **arguments: Any) -> nn.Module:
    return EncoderDecoderFactory((64, 64)).build_model(
        "segmentation", backbone, "FCNDecoder", num_classes=2, necks="auto", backbone_kwargs=arguments
    )


# Of a model of timm that no build has met yet, the definition is learnt first: timm tells its class by an instance
# alone. With arguments that may change the number of levels, these are asked for as well. Of layers of one stride,
# transformers' maps tell that they are so, before four are chosen.
@pytest.mark.parametrize(
    ("backbone", "arguments", "learnt"),
    [
        ("timm_test_resnet", {}, 1),
        ("timm_test_vit", {"out_indices": [1, -1]}, 1),
        ("timm_test_vit", {"kwargs": {"depth": 5}}, 2),
        ("smp_mit_b0", {}, 0),
        ("smp_resnet18", {"out_indices": [-2, -1]}, 0),
        ("transformers_resnet", {}, 0),
        ("transformers_dinov2", {"kwargs": FEW, "out_indices": [-1]}, 0),
        ("transformers_dinov2", {"kwargs": {**FEW, "num_hidden_layers": 6}}, 1),
        pytest.param("torchgeo_resnet18", {}, 1, marks=pytest.mark.optional),
    ],
)
def test_a_backbone_is_built_once_on_the_meta_device_and_once_for_real(built, backbone, arguments, learnt):
    if backbone.startswith("torchgeo"):
        pytest.importorskip("torchgeo")
    compose(backbone, **arguments)
    assert built == ["meta"] * learnt + ["meta", "cpu"]
    built.clear()
    compose(backbone, **arguments)
    assert built == ["meta", "cpu"]


def test_what_is_known_is_as_what_is_seen(built):
    seen, known = (compose("timm_test_efficientnet", out_indices=[0, 1]).encoder for _ in range(2))
    assert seen.feature_specs == known.feature_specs
    assert list(seen.state_dict()) == list(known.state_dict())
    assert [p.requires_grad for p in seen.parameters()] == [p.requires_grad for p in known.parameters()]


def test_an_answer_is_kept_for_equal_keys_only():
    forget()
    asked: list[object] = []

    def ask(*key: object) -> int:
        return remembered(key, lambda: asked.append(key) or len(asked))

    assert [ask("a", {"x": [1]}), ask("a", {"x": (1,)}), ask("a", {"x": [True]}), ask("a", {"x": [1, 2]})] == [
        1,
        1,
        2,
        3,
    ]
    unhashable = bytearray(b"1")
    assert [ask(unhashable), ask(unhashable)] == [4, 5]


def test_what_failed_is_asked_again_and_modules_are_not_kept():
    forget()
    with pytest.raises(ZeroDivisionError):
        remembered(["a"], lambda: 1 // 0)
    module = nn.Identity()
    assert looked_at(["a"], lambda: (2, module)) == (2, module)
    assert looked_at(["a"], lambda: (3, nn.Identity())) == (2, None)
